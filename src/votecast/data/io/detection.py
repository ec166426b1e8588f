"""Detect the container of a file from its first bytes and its name.

`open_table` calls `find_container`; writers take the suffixes from here.
"""

from __future__ import annotations

from pathlib import PurePath

from votecast.errors import DataError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".arrows": "arrow",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
ALLOWED = "allowed are CSV, TSV, JSON lines, Parquet and Arrow, each also gzip- or zstd-compressed"

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "unpack it and name the file inside"),
    b"PK\x05\x06": ("an empty zip archive", "name the file that was meant"),
    b"%PDF": ("a PDF document", "name the table it was made from"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word document", "save the sheet as CSV (UTF-8)"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV or Parquet"),
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch it with: git lfs pull"),
}
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<svg", b"<!--")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r")) + b"\x7f"  # no header and no JSON begins with one


def split_suffixes(path: str) -> tuple[str | None, str | None]:
    """Return the container and the compression that the suffixes of a name stand for."""
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    inner = suffixes[:-1] if compression else suffixes
    return (SUFFIXES.get(inner[-1]) if inner else None), compression


def find_container(head: bytes, path: str) -> str:
    """Return the container of a file, csv, tsv, jsonl, parquet or arrow, by its first bytes, decompressed, and name.

    Raises:
        DataError: If it is none that votecast reads, or not the one that its suffix stands for.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text.strip(b"\0 \t\r\n"):
        raise DataError(f"{path} is empty; a file of votes has at least a header or one row: check how it was written")
    if head.startswith(b"PK\x03\x04") and (b"xl/" in head or b"[Content_Types].xml" in head):
        foreign = "an Excel workbook", "save the sheet as CSV (UTF-8)"
    elif head.startswith(_PICKLES):
        foreign = "a Python pickle, which can run code and is never opened", "save the table as Parquet"
    elif text[:9].lower().startswith(_MARKUP):
        foreign = "a web page or XML, perhaps an error page saved in place of the file", "download the file itself"
    else:
        foreign = next((found for magic, found in _FOREIGN.items() if head.startswith(magic)), ("", ""))
    if foreign[0]:
        raise DataError(f"{path} is {foreign[0]}; {ALLOWED}: {foreign[1]}")
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    if found is not None:
        return found
    expected = split_suffixes(path)[0]
    if expected in ("parquet", "arrow"):
        raise DataError(
            f"{path} should be {expected} but does not begin as such a file does; "
            "write it again, or rename it to what it is"
        )
    # In UTF-16, every second byte of ASCII text is zero.
    sample = head[:4096]
    half_zero = len(sample) >= 8 and max(sample[::2].count(0), sample[1::2].count(0)) > len(sample) // 4
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or half_zero:
        raise DataError(
            f"{path} is encoded as UTF-16 or UTF-32, or is no text at all; allowed is UTF-8: save it as UTF-8 (for "
            "example: iconv -f UTF-16 -t UTF-8)"
        )
    if head[:8].translate(None, _CONTROLS) != head[:8]:
        raise DataError(f"{path} is a binary file of an unknown kind; {ALLOWED}: name the table that was meant")
    if expected in (None, "csv"):
        return "jsonl" if text.startswith((b"{", b"[{", b"[]")) else "csv"
    return str(expected)
