"""Build damaged and hostile files, with the expected parts of errors."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

HEADER = "id,model_a,model_b,prompt,response_a,response_b,winner_model_a,winner_model_b,winner_tie\n"
ROW = '{id},m1,m2,"[""Why?""]","[""Because.""]","[""Gravity.""]",1,0,0\n'
CSV = (HEADER + "".join(ROW.format(id=i) for i in range(1, 6))).encode()
VOTE = {"id": "1", "prompt": ["Why?"], "response_a": ["Because."], "response_b": ["Gravity."], "winner": "a"}


@dataclass(frozen=True)
class Hostile:
    """One damaged or hostile file.

    Args:
        name: File name.
        content: Its bytes.
        parts: Expected parts of the error message besides the path.
        seen_by: "table" if the container is invalid, "votes" if only its content is.
    """

    name: str
    content: bytes
    parts: tuple[str, ...] = field(default=())
    seen_by: str = "table"


def line(**changes: object) -> bytes:
    """Return a vote as a JSON line, with some values replaced."""
    return json.dumps(VOTE | changes).encode() + b"\n"


def csv_row(label: str = "1,0,0", prompt: str = '"[""Why?""]"', id: str = "2", header: str = HEADER) -> bytes:
    """Return a CSV file whose second row is given."""
    good = "".join(ROW.format(id=i) for i in range(3, 53))
    return (header + ROW.format(id=1) + f'{id},m1,m2,{prompt},"[""x""]","[""y""]",{label}\n{good}').encode()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def zstd_stream(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(content)
    return out.getvalue().to_pybytes()


def votes_table(rows: int = 200, **columns: object) -> pa.Table:
    base = {name: [value] * rows for name, value in VOTE.items()} | {"id": [str(i) for i in range(rows)]}
    return pa.table(base | columns)


def parquet(table: pa.Table | None = None) -> bytes:
    out = io.BytesIO()
    pq.write_table(votes_table() if table is None else table, out, compression="none")
    return out.getvalue()


def arrow(table: pa.Table | None = None, *, stream: bool = False) -> bytes:
    table = votes_table() if table is None else table
    out = io.BytesIO()
    opened = pa.ipc.new_stream(out, table.schema) if stream else pa.ipc.new_file(out, table.schema)
    with opened as writer:
        writer.write_table(table)
    return out.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def doubled_columns() -> pa.Table:
    return pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=["id", "id"])


def broken_strings() -> pa.Table:
    """Return a text column whose second cell is not UTF-8."""
    offsets = pa.py_buffer(b"".join(i.to_bytes(4, "little") for i in (0, 2, 4, 6)))
    column = pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"ok\xff\xfeok")])
    return pa.table(votes_table(3).to_pydict() | {"prompt": column})


def deep(depth: int) -> bytes:
    return b'{"id": "1", "prompt": ' + b"[" * depth + b"]" * depth + b"}\n"


def flipped(content: bytes, at: int, count: int = 64) -> bytes:
    return content[:at] + bytes(byte ^ 0xA5 for byte in content[at : at + count]) + content[at + count :]


HUGE = "9" * 5000
PARQUET = parquet()
ARROW = arrow()
JSONL = b"".join(line(id=str(i)) for i in range(50))

FOREIGN = [
    Hostile("empty.csv", b"", ("is empty",)),
    Hostile("empty.jsonl", b"", ("is empty",)),
    Hostile("empty.parquet", b"", ("is empty",)),
    Hostile("blank.csv", b"\n\r\n  \n", ("is empty",)),
    Hostile("mark.csv", b"\xef\xbb\xbf", ("is empty",)),
    Hostile("nuls.csv", b"\0" * 5000, ("is empty",)),
    Hostile("zip.csv", zipped("votes.csv", CSV), ("zip archive", "unpack")),
    Hostile("empty_zip.csv", b"PK\x05\x06" + b"\0" * 18, ("zip archive",)),
    Hostile("sheet.csv", zipped("[Content_Types].xml", b"<Types/>"), ("Excel", "save the sheet as CSV")),
    Hostile("old_sheet.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ("Excel",)),
    Hostile("page.csv", b"<!DOCTYPE html>\n<html><body>404</body></html>", ("web page", "download")),
    Hostile("page.jsonl", b"  <html><body>Sign in</body></html>", ("web page",)),
    Hostile("feed.csv", b"<?xml version='1.0'?><votes/>", ("XML",)),
    Hostile("paper.csv", b"%PDF-1.7\n%\xe2\xe3", ("PDF",)),
    Hostile("data.sqlite.csv", b"SQLite format 3\0" + b"\0" * 100, ("SQLite",)),
    Hostile("table.csv", b"\x89HDF\r\n\x1a\n", ("binary file",)),
    Hostile("picture.csv", b"\x89PNG\r\n\x1a\n", ("binary file",)),
    Hostile("pickle.csv", pickle.dumps({"id": [1]}), ("pickle", "never opened")),
    Hostile("program.csv", b"\x7fELF\x02\x01", ("binary file",)),
    Hostile("feather1.arrow", b"FEA1" + b"\0" * 64, ("should be arrow",)),
    Hostile("pointer.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ("git lfs pull",)),
    Hostile("bzip2.csv.bz2", b"BZh91AY&SY" + b"\0" * 20, ("bzip2", "gzip and zstd")),
    Hostile("xz.csv.xz", b"\xfd7zXZ\x00\x00\x04", ("xz", "gzip and zstd")),
    Hostile("lz4.csv.lz4", b"\x04\x22\x4d\x18" + b"\0" * 20, ("lz4",)),
    Hostile("twice.csv.gz", gzip.compress(gzip.compress(CSV)), ("compressed twice",)),
    Hostile("random.parquet", bytes(range(1, 256)) * 4, ("parquet",)),
    Hostile("csv_named.parquet", CSV, ("parquet", "does not begin")),
    Hostile("csv_named.arrow", CSV, ("arrow", "does not begin")),
]

ENCODINGS = [
    Hostile("utf16.csv", CSV.decode().encode("utf-16"), ("UTF-16", "UTF-8")),
    Hostile("utf16_le.csv", CSV.decode().encode("utf-16-le"), ("UTF-16",)),
    Hostile("utf16_be.csv", CSV.decode().encode("utf-16-be"), ("UTF-16",)),
    Hostile("utf32.csv", CSV.decode().encode("utf-32"), ("UTF-32",)),
    Hostile("utf16.jsonl", JSONL.decode().encode("utf-16"), ("UTF-16",)),
    Hostile(
        "latin1.csv",
        csv_row(prompt='"[""caf\u00e9""]"').decode().encode("latin-1"),
        ("row 2", "'prompt'", "UTF-8", "iconv"),
    ),
    Hostile("latin1_header.csv", "id,réponse\n1,x\n".encode("latin-1"), ("header", "UTF-8")),
    Hostile("latin1.jsonl", line() + '{"id": "2", "prompt": ["caf\u00e9"]}\n'.encode("latin-1"), ("row 2", "UTF-8")),
    Hostile("latin1_key.jsonl", '{"réponse": 1}\n'.encode("latin-1"), ("row 1", "UTF-8")),
    Hostile(
        "shift_jis.csv", csv_row(prompt='"[""\u65e5\u672c""]"').decode().encode("shift_jis"), ("row 2", "'prompt'")
    ),
    Hostile("surrogate.csv", csv_row().replace(b"Why?", b"\xed\xa0\xbd"), ("row 1", "'prompt'", "UTF-8")),
    Hostile("broken_text.parquet", parquet(broken_strings()), ("row 2", "'prompt'", "UTF-8")),
    Hostile("broken_text.arrow", arrow(broken_strings()), ("row 2", "'prompt'", "UTF-8")),
]

SHAPES = [
    Hostile("semicolons.csv", CSV.replace(b",", b";"), ("semicolon", "';'")),
    Hostile("tabs.csv", CSV.replace(b",", b"\t"), ("a tab",)),
    Hostile("bars.csv", CSV.replace(b",", b"|"), ("vertical bar",)),
    Hostile("commas.tsv", CSV, ("a comma",)),
    Hostile("doubled.csv", CSV.replace(b"model_b", b"model_a", 1), ("header", "'model_a'", "more than one")),
    Hostile("doubled.parquet", parquet(doubled_columns()), ("'id'", "more than one")),
    Hostile("doubled.arrow", arrow(doubled_columns()), ("'id'", "more than one")),
    Hostile(
        "doubled.jsonl",
        line() + b'{"id": "2", "prompt": "x", "prompt": "y"}\n',
        ("row 2", "'prompt'", "more than once"),
    ),
    Hostile("more_cells.csv", CSV + b"6,m1,m2,a,b,c,1,0,0,0\n", ("row 6", "10 cells", "9")),
    Hostile("fewer_cells.csv", CSV + b"6,m1\n" + CSV, ("row 6", "2 cells", "9")),
    Hostile("cut_in_a_quote.csv", CSV[:-15], ("row 5", "never closed")),
    Hostile("cut_after_a_cell.csv", CSV + b"6,m1,m2", ("row 6", "3 cells")),
    Hostile("open_header.csv", b'id,"prompt\n1,2\n', ("header", "never closed")),
    Hostile("open_quote.csv", CSV.replace(b'2,m1,m2,"[""Why?""]"', b'2,m1,m2,"[""Why?""]', 1), ("row 2",)),
    Hostile("not_objects.jsonl", line() + b"[1, 2]\n", ("row 2", "a list", "object")),
    Hostile("numbers.jsonl", b"1\n2\n", ("row 1", "a number")),
    Hostile("null.jsonl", line() + b"null\n", ("row 2", "null")),
    Hostile("cut.jsonl", JSONL[:-30], ("row 50", "truncated")),
    Hostile("two_a_line.jsonl", line().strip() + line(), ("row 1", "one object a line")),
    Hostile("pretty.jsonl", json.dumps(VOTE, indent=2).encode(), ("row 1", "several lines")),
    Hostile("csv_named.jsonl", CSV, ("row 1", "CSV")),
    Hostile("single_quotes.jsonl", str(VOTE).encode() + b"\n", ("row 1", "not JSON")),
    Hostile("python.jsonl", b'{"id": __import__("os").getpid()}\n', ("row 1", "not JSON")),
    Hostile("deep_list.jsonl", line() + deep(100_000), ("row 2", "nested")),
    Hostile("deep_object.jsonl", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, ("row 1", "nested")),
    Hostile("open_depth.jsonl", b'{"a":' + b"[" * 200_000, ("row 1", "nested")),
    Hostile("quite_deep.jsonl", deep(400), ("row 1",)),
]

DAMAGED = [
    Hostile("cut.csv.gz", gzip.compress(CSV * 100, mtime=0)[:-9], ("truncated", "gzip")),
    Hostile("flipped.csv.gz", flipped(gzip.compress(CSV * 100, mtime=0), 30), ("damaged", "gzip")),
    Hostile("checksum.csv.gz", flipped(gzip.compress(CSV, mtime=0), -8, 4), ("damaged", "gzip")),
    Hostile("trailing.csv.gz", gzip.compress(CSV, mtime=0) + b"rubbish", ("damaged", "gzip")),
    Hostile("header_only.gz", gzip.compress(CSV, mtime=0)[:6], ("damaged",)),
    Hostile("cut.jsonl.zst", zstd_stream(JSONL * 100)[:-9], ("truncated", "zstd")),
    Hostile("flipped.jsonl.zst", flipped(zstd_stream(JSONL), 12), ("damaged", "zstd")),
    Hostile("nothing.csv.gz", gzip.compress(b"", mtime=0), ("is empty",)),
    Hostile("nothing.csv.zst", zstd_stream(b""), ("is empty",)),
    Hostile("zip.csv.gz", gzip.compress(zipped("votes.csv", CSV)), ("zip archive",)),
    Hostile("cut.parquet", PARQUET[:-10], ("damaged",)),
    Hostile("half.parquet", PARQUET[: len(PARQUET) // 2], ("damaged",)),
    Hostile("four_bytes.parquet", b"PAR1", ("damaged",)),
    Hostile("footer.parquet", flipped(PARQUET, len(PARQUET) - 200), ("damaged",)),
    Hostile("footer_length.parquet", PARQUET[:-8] + b"\xff\xff\xff\x7fPAR1", ("damaged",)),
    Hostile("pages.parquet", flipped(PARQUET, 8, 400), ()),
    Hostile("cut.parquet.gz", gzip.compress(PARQUET, mtime=0)[:-50], ("truncated", "gzip")),
    Hostile("footer.parquet.zst", zstd_stream(flipped(PARQUET, len(PARQUET) - 200)), ("damaged",)),
    Hostile("cut.arrow", ARROW[:-30], ("damaged",)),
    Hostile("half.arrow", ARROW[: len(ARROW) // 2], ("damaged",)),
    Hostile("magic.arrow", b"ARROW1\0\0", ("damaged",)),
    Hostile("cut_stream.arrow", arrow(stream=True)[:700], ("damaged",)),
    Hostile("offsets.arrow", flipped(ARROW, len(ARROW) // 2, 200), ()),
]

MEANING = [
    Hostile("no_columns.csv", b"1,2,3\n4,5,6\n", (), "votes"),
    Hostile("header_missing.csv", CSV.split(b"\n", 1)[1], (), "votes"),
    Hostile("two_winners.csv", csv_row("1,1,0"), ("row 2",), "votes"),
    Hostile("three_ones.csv", csv_row("1,1,1"), ("row 2",), "votes"),
    Hostile("no_winner.csv", csv_row("0,0,0"), ("row 2",), "votes"),
    Hostile("nan_label.csv", csv_row("NaN,0,0"), ("row 2",), "votes"),
    Hostile("huge_label.csv", csv_row(f"{HUGE},0,0"), ("row 2",), "votes"),
    Hostile("word_label.csv", csv_row("yes,no,no"), ("row 2",), "votes"),
    Hostile("empty_label.csv", csv_row("1,,"), ("row 2",), "votes"),
    Hostile("cell_cut.csv", csv_row(prompt='"[""Why?"'), ("row 2", "prompt"), "votes"),
    Hostile("cell_code.csv", csv_row(prompt='"[__import__(""os"").getpid()]"'), ("row 2", "prompt"), "votes"),
    Hostile("cell_number.csv", csv_row(prompt='"[1, 2]"'), ("row 2", "prompt"), "votes"),
    Hostile("cell_deep.csv", csv_row(prompt="[" * 50_000 + "]" * 50_000), ("row 2", "prompt"), "votes"),
    Hostile("unknown_winner.jsonl", line() + line(winner="draw?"), ("row 2", "winner"), "votes"),
    Hostile("number_winner.jsonl", line() + line(winner=7), ("row 2", "winner"), "votes"),
    Hostile(
        "soft_sum.jsonl", line() + line(winner=None, probabilities=[0.9, 0.9, 0.9]), ("row 2", "probabilities"), "votes"
    ),
    Hostile(
        "soft_nan.jsonl", line(winner=None, probabilities=[float("nan"), 0, 1]), ("row 1", "probabilities"), "votes"
    ),
    Hostile("soft_two.jsonl", line(winner=None, probabilities=[0.5, 0.5]), ("row 1", "probabilities"), "votes"),
    Hostile("weight_negative.jsonl", line(weight=-1), ("row 1", "weight"), "votes"),
    Hostile("weight_huge.jsonl", line().replace(b"}", b', "weight": 1e999}'), ("row 1", "weight"), "votes"),
    Hostile("prompt_missing.jsonl", line() + line(prompt=None), ("row 2", "prompt"), "votes"),
    Hostile("prompt_number.jsonl", line() + line(prompt=5), ("row 2", "prompt"), "votes"),
    Hostile("prompt_object.jsonl", line(prompt={"a": 1}), ("row 1", "prompt"), "votes"),
    Hostile("prompt_numbers.parquet", parquet(votes_table(prompt=list(range(200)))), ("prompt",), "votes"),
    Hostile("winner_floats.parquet", parquet(votes_table(winner=[0.5] * 200)), ("winner",), "votes"),
    Hostile("winner_lists.arrow", arrow(votes_table(winner=[["a"]] * 200)), ("winner",), "votes"),
]

FILES = FOREIGN + ENCODINGS + SHAPES + DAMAGED + MEANING
