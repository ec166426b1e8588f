"""Record outputs that must not change, and compare two recordings.

    python scripts/golden.py record OUT_DIR [--quick] [--only CASE,CASE] [--jobs N]
    python scripts/golden.py compare DIR_A DIR_B [--quick] [--only CASE,CASE] [--strict] [--most N]
    python scripts/golden.py list

Cases use the command line and the names in `votecast.__all__` alone, so that the script runs with any version of the
package. Numbers, booleans and digests are hard facts: a difference exits with 1. Keys of JSON and words without spaces
are soft facts: a difference is printed, and exits with 1 under --strict alone. Prose, paths, hashes of judges and
durations are not recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import difflib
import hashlib
import io
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from golden_cases import GAMES, QUICK, SCRIPTS, make_files

Record = dict[str, Any]
LIMIT_SECONDS, LONGEST_LIST = 3600, 40
VOLATILE = {"second", "seconds", "elapsed", "duration", "time", "created", "date", "bytes", "hash", "port", "speed"}
"""Words in keys of JSON whose values differ between two runs of one version."""
PROSE = {"judge", "reason", "value", "cells", "file"}
"""Columns of tables that hold prose, names of files or hashes of judges."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1", "TZ": "UTC", "HF_HUB_OFFLINE": "1"}
csv.field_size_limit(10**9)


def digest(data: bytes) -> str:
    """Return a hard fact that stands for bytes."""
    return "#" + hashlib.sha256(data).hexdigest()[:24]


def array(values: Any) -> Record:
    """Record an array: shape, digest of the float64 bytes, first values."""
    numbers = np.ascontiguousarray(np.asarray(values, dtype=np.float64))
    return {"shape": str(numbers.shape), "sha": digest(numbers.tobytes()), "head": numbers.ravel()[:6].tolist()}


def facts(value: Any) -> Any:
    """Keep numbers, booleans and words of a JSON value in order.

    Args:
        value: What `json.loads` gave.

    Returns:
        The value without volatile keys, prose, paths and hashes; a long list of numbers as its digest.
    """
    if isinstance(value, Mapping):
        stable = {str(key): one for key, one in value.items() if not VOLATILE & set(re.split(r"[^a-z]+", str(key)))}
        return {key: kept for key, one in stable.items() if (kept := facts(one)) is not None}
    if isinstance(value, list):
        if len(value) > LONGEST_LIST and all(isinstance(one, (int, float)) for one in value):
            return array(value)
        return [kept for one in value if (kept := facts(one)) is not None]
    is_prose = isinstance(value, str) and (len(value) > 60 or re.search(r"[\s/\\]|[0-9a-f]{12}", value))
    return None if is_prose else value


def table(path: Path) -> Record:
    """Record a table by column, and the bytes of a CSV file."""
    data = path.read_bytes()
    if path.suffix == ".csv":
        rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
        columns = {name: [row[place] for row in rows[1:]] for place, name in enumerate(rows[0])}
    elif path.suffix == ".jsonl":
        lines = [json.loads(line) for line in data.splitlines()]
        columns = {
            key: [line.get(key) for line in lines] for key in dict.fromkeys(key for line in lines for key in line)
        }
    else:
        columns = (pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()).to_pydict()
    record = {name: column(values) for name, values in columns.items() if name not in PROSE and facts({name: 1})}
    return record | ({"csv": digest(data)} if path.suffix == ".csv" and not PROSE & set(columns) else {})


def column(values: Sequence[Any]) -> Record:
    """Record a column: length, digest, first values."""
    head = ["#" + json.dumps(one, default=repr)[:40] for one in values[:3]]
    return {"n": len(values), "sha": digest(json.dumps(values, default=repr).encode()), "head": head}


def written(path: Path) -> Any:
    """Record a file: JSON facts, table columns, or a digest."""
    if path.suffix == ".json":
        return facts(json.loads(path.read_bytes()))
    return table(path) if path.suffix in (".csv", ".parquet", ".jsonl", ".arrow") else digest(path.read_bytes())


def play(script: str) -> Record:
    """Run a script in this folder; record its results and files.

    Files that `make` writes, cards, pages and settings of runs are not recorded.
    """
    record: Record = {}
    for line in filter(None, map(str.strip, script.splitlines())):
        choices = re.search(r"\{([^{}]+)\}", line)
        for choice in choices[1].split("|") if choices else [""]:
            words = shlex.split(line.replace(choices[0], choice).replace("{}", choice) if choices else line)
            record[f"{len(record):03} {' '.join(words)}"] = step(*words)
    for file in sorted(file for file in Path().rglob("*") if file.is_file()):
        is_output = file.suffix not in (".md", ".html") and not file.name.endswith((".settings.json", ".bad.jsonl"))
        if is_output and not str(file).startswith(".") and str(file) not in make_files():
            record[f"file {file}"] = written(file)
    return record


def step(verb: str, *words: str) -> Any:
    """Run one script line; return exit code and JSON output."""
    import votecast
    from votecast.cli import main

    command = [sys.executable, "-m", "votecast", *words[1:]]
    if verb == "ask":
        return ask(*words)
    if verb == "make":
        Path(words[0]).write_bytes(make_files()[words[0]])
    elif verb == "make_cascade":
        *judges, votes, out = words
        votecast.cascade(judges, votes, max_loss=0.01, seconds=[0.001, 0.02], out=out, draws=200)
    elif verb == "stdin":
        return subprocess.run(command, input=Path(words[0]).read_bytes(), capture_output=True).returncode
    elif verb == "kill":
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not any(Path().glob(words[0])):
                time.sleep(0.02)
            process.kill()
    else:
        code = main([verb, *words, "--json", ".figures"])
        figures = facts(json.loads(Path(".figures").read_bytes())) if Path(".figures").exists() else None
        for leftover in Path().glob(".figures*"):
            leftover.unlink()
        return [code, figures]
    return None


@cache
def load_judge(name: str) -> Any:
    """Load a judge once in a case."""
    import votecast

    return votecast.load_judge(name)


def ask(name: str, file: str) -> Any:
    """Predict a file from Python: as read, swapped, and as data frame."""
    import pandas as pd

    import votecast

    try:
        battles, judge = votecast.read_votes(file), load_judge(name)
        shown = [[list(one.prompt), list(one.response_a), list(one.response_b)] for one in battles]
        swapped = pd.DataFrame([(a, c, b) for a, b, c in shown], columns=["prompt", "response_a", "response_b"])
        record = {"shown": array(judge.predict_proba(battles)), "swapped": array(judge.predict_proba(swapped))}
    except votecast.VotecastError as error:
        return "#" + type(error).__name__
    return record | {"votes": column([one.winner for one in battles])}


def serve() -> Record:
    """Serve a judge on a free loopback port; record its responses."""
    import httpx

    import votecast

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    one: Record = {"prompt": "Why is the sky blue?", "response_a": "Air scatters blue light.", "response_b": "The sea."}
    two: Record = {
        "prompt": ["Hi", "More?"],
        "response_a": ["Hello!", "Yes **please**."],
        "response_b": ["Go away.", "No."],
    }
    asked: list[tuple[str, Record]] = [
        ("compare", one),
        ("compare", two | {"order": "given"}),
        ("compare", one | {"explain": True}),
        ("compare", one | {"response_b": ""}),
        ("compare", {"prompt": 3}),
        ("compare/batch", {"battles": [one, two]}),
        ("rerank", {"prompt": "Why?", "candidates": ["So.", "Because **it** is.", "No idea."]}),
        ("leaderboard", {"games": GAMES}),
    ]
    record: Record = {}
    words = [sys.executable, "-m", "votecast", "serve", "--judge", "bundled:baseline", "--port", port, "--workers", "1"]
    with (
        subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as web,
    ):
        try:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    if web.get("/ready").is_success:
                        break
                time.sleep(0.2)
            for number, (route, body) in enumerate(asked):
                answer = web.post(f"/v1/{route}", json=body)
                record[f"{number} {route}"] = [answer.status_code, facts(answer.json())]
            record["judges"] = facts(web.get("/v1/judges").json())
            client = votecast.Client(f"http://127.0.0.1:{port}")
            record["client"] = array(list(client.compare(**one).probabilities.values()))
        finally:
            server.terminate()
    return record | {"exit": server.returncode}


CASES: dict[str, Callable[[], Record]] = {name: partial(play, script) for name, script in SCRIPTS.items()}
CASES["service"] = serve


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every scalar of a record with its path."""
    if isinstance(value, (dict, list)):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(one, f"{path} > {key}" if path else str(key))
    else:
        yield path, value


def is_hard(value: Any) -> bool:
    """Return whether a value is a number, a boolean or a digest."""
    return isinstance(value, (int, float)) or str(value).startswith("#")


def differences(a: Record, b: Record) -> tuple[list[str], list[str]]:
    """Compare two recordings of one case.

    Args:
        a: The recording that holds.
        b: The recording that is checked.

    Returns:
        Hard differences (a number changed or is missing), and soft ones (a key or a word changed, something is new).
    """
    one, two = dict(leaves(a)), dict(leaves(b))
    hard: list[str] = []
    soft: list[str] = []
    for path in (path for path in one if path in two and repr(one[path]) != repr(two[path])):
        is_number = is_hard(one[path]) or is_hard(two[path])
        (hard if is_number else soft).append(f"{path}: {one[path]!r} -> {two[path]!r}")
    gone = [(path, value) for path, value in one.items() if path not in two]
    new = [(path, value) for path, value in two.items() if path not in one]
    matcher = difflib.SequenceMatcher(None, [repr(x) for _, x in gone], [repr(x) for _, x in new], autojunk=False)
    renamed = Counter[str]()
    for i, j, size in reversed(matcher.get_matching_blocks()):
        for (old, _), (path, _) in zip(gone[i : i + size], new[j : j + size], strict=True):
            parts = list(zip_longest(old.split(" > "), path.split(" > "), fillvalue="(nothing)"))
            renamed[", ".join(f"{x} -> {y}" for x, y in parts if x != y)] += 1
        del gone[i : i + size], new[j : j + size]
    soft += [f"key renamed? {names} ({count} values)" for names, count in renamed.most_common()]
    elsewhere = Counter(repr(value) for _, value in new)
    for path, value in gone:
        elsewhere[repr(value)] -= 1
        is_lost = elsewhere[repr(value)] < 0 and is_hard(value)
        (hard if is_lost else soft).append(f"{path}: {value!r} {'is missing' if is_lost else 'moved or gone'}")
    return hard, soft + [f"{path}: {value!r} is new" for path, value in new]


def compare(a: Path, b: Path, names: Sequence[str], *, strict: bool, most: int) -> int:
    """Print the differences of two recordings; return the exit code."""
    is_different, compared = False, 0
    for name in names:
        files = [place / f"{name}.json" for place in (a, b)]
        if not all(file.exists() for file in files):
            print(f"{name}: not in both recordings")
            continue
        hard, soft = differences(*(json.loads(file.read_bytes()) for file in files))
        print(f"{name}: {'DIFFERENT' if hard else 'same numbers'}, {len(hard)} hard and {len(soft)} soft differences")
        for kind, some in (("hard", hard), ("soft", soft)):
            for line in some[:most] + ([f"... {len(some) - most} more"] if len(some) > most else []):
                print(f"  {kind}  {line[:300]}")
        is_different, compared = is_different or bool(hard or (strict and soft)), compared + 1
    return int(is_different or not compared)


def record_case(name: str, out: Path) -> bool:
    """Run a case in its own process; return whether it was recorded."""
    began, target = time.monotonic(), out.resolve() / f"{name}.json"
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"golden-{name}-") as work:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("VOTECAST_")}
        environment = kept | ENVIRONMENT | {"XDG_CONFIG_HOME": f"{work}/.config"}
        words = [sys.executable, str(Path(__file__).resolve()), "case", name, str(target)]
        try:
            done = subprocess.run(words, cwd=work, env=environment, capture_output=True, timeout=LIMIT_SECONDS)
            fault = done.stderr[-2000:].decode(errors="replace") if done.returncode else ""
        except subprocess.TimeoutExpired:
            fault = f"took more than {LIMIT_SECONDS} s"
    print(f"{name}: {'FAILED' if fault else 'recorded'} in {time.monotonic() - began:.0f} s {fault}", flush=True)
    return not fault


def main() -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "compare", "list", "case"])
    parser.add_argument("places", nargs="*", help="OUT_DIR for record, DIR_A DIR_B for compare")
    parser.add_argument("--only", action="append", default=[], help="cases, separated by commas; may be repeated")
    parser.add_argument("--quick", action="store_true", help="the most telling cases")
    parser.add_argument("--jobs", type=int, default=2, help="cases that run at once")
    parser.add_argument("--strict", action="store_true", help="exit with 1 on soft differences too")
    parser.add_argument("--most", type=int, default=15, help="differences of each kind that are printed for a case")
    given = parser.parse_args()
    names = ",".join(given.only).split(",") if given.only else QUICK.split() if given.quick else list(CASES)
    if unknown := set(names) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if given.verb == "compare":
        return compare(Path(given.places[0]), Path(given.places[1]), names, strict=given.strict, most=given.most)
    if given.verb == "record":
        out = Path(given.places[0])
        out.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(given.jobs) as pool:
            return int(not all(list(pool.map(partial(record_case, out=out), names))))
    if given.verb == "case":
        record = CASES[given.places[0]]()
        Path(given.places[1]).write_text(json.dumps(record, indent=1) + "\n")
    else:
        print(*(f"{name}{' (quick)' if name in QUICK.split() else ''}" for name in names), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
