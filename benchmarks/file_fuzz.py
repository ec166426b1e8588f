"""Read thousands of vote files with seeded mutations: only `DataError`, and every row accounted for.

Small files and files of several blocks, CSV, TSV, JSON, JSON lines, Parquet and Arrow, also gzip and zstd, mutated
before and after compression. Cases run in processes of their own, so that a native crash or a hang is counted. The rows
of text files are counted again by Python's `csv` and `json`, and by lines.

Usage: python benchmarks/file_fuzz.py [--cases 20000] [--seed 0] [--only CASE ...]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from votecast.data import VoteReader
from votecast.data.io import byte_source, json_array, open_table, record_blocks
from votecast.errors import DataError

CHUNK = 500
"""Cases of one process."""
SECONDS, MEGABYTES = 20, 1024
WORDS = ["why", "because", '"quoted"', "é", "😀", "\\", "\\u00e9", ",", ";", "\n", "{}", "[]", "null", "tie", "1.5"]
STRUCTURE = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b"[",
    b"]",
    b"{",
    b"}",
    b":",
    b"\\",
    b"\\u",
    b"\0",
    b"\xff",
]
STRUCTURE += [
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"null",
    b"NaN",
    b"1e999",
    b"-",
    b"PAR1",
    b"ARROW1",
    b"\x1f\x8b",
    b'{"a":',
]


def votes(rng: np.random.Generator, rows: int) -> list[dict[str, object]]:
    """Make up votes; texts are words, lists of words, and structure in quotes."""

    def _text() -> str:
        return " ".join(rng.choice(WORDS, int(rng.integers(0, 12))))

    return [
        {"id": str(n), "prompt": [_text()], "response_a": [_text(), _text()][: 1 + n % 2], "response_b": [_text()]}
        | {"winner": ("a", "b", "tie")[n % 3], "weight": 1.0 + n % 2}
        for n in range(rows)
    ]


def encode_csv(rows: list[dict[str, object]], delimiter: str = ",") -> bytes:
    """Write rows as CSV, lists as JSON."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in rows)
    return out.getvalue().encode()


def encode_parquet(rows: list[dict[str, object]], compression: str = "snappy", dictionary: bool = True) -> bytes:
    """Write rows as Parquet of several row groups and pages."""
    out = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows),
        out,
        compression=compression,
        use_dictionary=dictionary,
        row_group_size=40,
        data_page_size=512,
        data_page_version="1.0" if dictionary else "2.0",
    )
    return out.getvalue()


def encode_arrow(rows: list[dict[str, object]], compression: str | None = None, *, stream: bool = False) -> bytes:
    """Write rows as an Arrow file or stream of several batches, one column with a dictionary."""
    table = pa.Table.from_pylist(rows)
    winner = table.column_names.index("winner")
    table = table.set_column(winner, "winner", table["winner"].combine_chunks().dictionary_encode())
    out = io.BytesIO()
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=40)
    return out.getvalue()


def pack_zstd(content: bytes) -> bytes:
    """Compress as a stream of zstd."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(content)
    return out.getvalue().to_pybytes()


ENCODERS: dict[str, Callable[[list[dict[str, object]]], bytes]] = {
    "csv": encode_csv,
    "tsv": lambda rows: encode_csv(rows, "\t"),
    "jsonl": lambda rows: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(),
    "json": lambda rows: json.dumps(rows).encode(),
    "indented.json": lambda rows: json.dumps(rows, indent=1, ensure_ascii=False).encode(),
    "parquet": encode_parquet,
    "plain.parquet": lambda rows: encode_parquet(rows, "none", dictionary=False),
    "zstd.parquet": lambda rows: encode_parquet(rows, "zstd"),
    "arrow": encode_arrow,
    "zstd.arrow": lambda rows: encode_arrow(rows, "zstd"),
    "stream.arrow": lambda rows: encode_arrow(rows, stream=True),
}
PACKS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda content: gzip.compress(content, 1, mtime=0),
    ".zst": pack_zstd,
}


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file in one to four places."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at, length = int(rng.integers(0, len(data) + 1)), int(rng.choice([1, 2, 8, 64, 700]))
        end = min(at + length, len(data))
        match int(rng.integers(0, 9)):
            case 0:  # flip a bit
                if at < len(data):
                    data[at] ^= 1 << int(rng.integers(0, 8))
            case 1:
                data[at:end] = rng.bytes(end - at)
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = rng.bytes(length)
            case 4:
                data[at:at] = data[at:end]
            case 5:
                data[at:end] = bytes(end - at)
            case 6:
                other = int(rng.integers(0, len(data) + 1))
                data[at:end] = data[other : other + length]
            case 7:
                data[at:at] = STRUCTURE[int(rng.integers(0, len(STRUCTURE)))] * int(rng.choice([1, 1, 1, 3, 200]))
            case _:
                if rng.random() < 0.3:
                    del data[at:]
    return bytes(data)


def make(case: int, seed: int) -> tuple[str, bytes, bytes | None]:
    """Return name and content of a case, and the text that it unpacks to where its rows can be counted."""
    rng = np.random.default_rng([seed, case])
    container = list(ENCODERS)[case % len(ENCODERS)]
    packing = list(PACKS)[int(rng.choice([0, 0, 1, 2]))]
    rows = int(rng.choice([5, 12, 150]))  # the last are several blocks and row groups
    content = ENCODERS[container](votes(rng, rows))
    is_outside = bool(packing) and rng.random() < 0.5
    if not is_outside:
        content = mutate(content, rng)
    packed = PACKS[packing](content)
    if is_outside:
        packed = mutate(packed, rng)
    is_text = container.split(".")[-1] in ("csv", "tsv", "jsonl", "json") and not is_outside
    return f"case_{case}.{container}{packing}", packed, (content if is_text else None)


def count_rows(container: str, text: bytes) -> int | None:
    """Count the rows of a text file by other means; None where nobody can say."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    if container == "jsonl":
        return sum(bool(line.strip(b" \t\r")) for line in text.split(b"\n")) if text.lstrip()[:1] != b"[" else None
    if container in ("csv", "tsv"):
        reader = csv.reader(
            io.StringIO(text.decode("latin-1"), newline=""), delimiter="\t" if container == "tsv" else ","
        )
        return sum(map(bool, reader)) - 1
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return len(found) if isinstance(found, list) else None


def run_case(case: int, seed: int, folder: Path) -> str:
    """Read one case twice; return what came of it."""
    name, content, text = make(case, seed)
    path, side = folder / name, folder / "side.jsonl"
    path.write_bytes(content)
    side.unlink(missing_ok=True)
    start = time.process_time()
    try:
        reader = VoteReader(path, bad_rows="quarantine", quarantine=side)
        try:
            rows = sum(len(part) for part in reader)
        except DataError as error:
            if not str(error).strip() or len(str(error)) > 2000:
                return f"FAULT an error of {len(str(error))} characters"
            rows = None
        counted = 0
        try:
            with open_table(path, on_bad_row=lambda _: None) as stream:
                counted = sum(len(batch.rows) for batch in stream) and stream.rows
        except DataError:
            counted = None
        lines = len(side.read_bytes().splitlines()) if side.exists() else 0
        if rows is not None and lines != reader.report.quarantined:
            return f"FAULT {reader.report.quarantined} rows are reported and {lines} written"
        if rows is not None and counted is not None and counted and rows + lines != counted:
            return f"FAULT {counted} rows in, {rows} out, {lines} reported"
        expected = (
            count_rows(name.removesuffix(".gz").removesuffix(".zst").split(".")[-1], text) if text is not None else None
        )
        if expected is not None and rows is not None and rows + lines != expected:
            return f"FAULT {expected} rows by other means, {rows} out, {lines} reported"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"FAULT {type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    finally:
        path.unlink(missing_ok=True)
    if (took := time.process_time() - start) > SECONDS:
        return f"FAULT {took:.0f} s"
    if (peak := resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10) > MEGABYTES:
        return f"FAULT {peak} MB of memory"
    return "refused" if rows is None else f"read {rows} {lines}"


def work(cases: list[int], seed: int) -> None:
    """Run cases in this process, in small blocks; print each before and after."""
    byte_source.BATCH_BYTES = 4096
    byte_source.HEAD_BYTES = 1024
    byte_source._CHUNK = 512
    record_blocks.LEAST_READ = 512
    record_blocks._WINDOW = 1000
    json_array._LEAST_READ = 512
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            print(case, end=" ", flush=True)
            signal.alarm(3 * SECONDS)
            print(run_case(case, seed, Path(folder)), flush=True)


def run_apart(cases: list[int], seed: int) -> dict[int, str]:
    """Run cases in processes of their own until each has a result."""
    results: dict[int, str] = {}
    while left := [case for case in cases if case not in results]:
        command = [sys.executable, __file__, "--seed", str(seed), "--apart", *map(str, left)]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONWARNINGS": "ignore"}
        )
        for line in ran.stdout.splitlines():
            case, _, result = line.partition(" ")
            results[int(case)] = result or f"FAULT the process ended with {ran.returncode}: {ran.stderr[-300:]}"
        if not ran.stdout.strip():
            raise SystemExit(f"the process ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of cases")
    parser.add_argument("--apart", type=int, nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.apart:
        work(asked.apart, asked.seed)
        return 0
    cases = asked.only or list(range(asked.first, asked.first + asked.cases))
    start, counts, faults = time.perf_counter(), Counter[tuple[str, str]](), 0
    for first in range(0, len(cases), CHUNK):
        for case, result in run_apart(cases[first : first + CHUNK], asked.seed).items():
            container = list(ENCODERS)[case % len(ENCODERS)]
            kind, *numbers = result.split()
            counts[container, kind] += 1
            for what, number in zip(("rows", "reported"), numbers if kind == "read" else (), strict=False):
                counts[container, what] += int(number)
            if kind == "FAULT":
                faults += 1
                print(f"case {case} ({container}): {result}", flush=True)
    print(f"{'container':15} {'read':>7} {'refused':>8} {'faults':>7} {'rows':>9} {'reported':>9}")
    for name in ENCODERS:
        row = [counts[name, what] for what in ("read", "refused", "FAULT", "rows", "reported")]
        print(f"{name:15} {row[0]:7,} {row[1]:8,} {row[2]:7,} {row[3]:9,} {row[4]:9,}")
    print(f"\nfile_fuzz: {faults} faults in {len(cases):,} mutated files, {time.perf_counter() - start:.0f} s")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
