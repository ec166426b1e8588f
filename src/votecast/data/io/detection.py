"""Which container a file is, from its first bytes and its name."""

from __future__ import annotations

from pathlib import PurePath

from votecast.errors import DataError

CONTAINERS = ("csv", "tsv", "jsonl", "parquet", "arrow")
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

_ARROW_STREAM = b"\xff\xff\xff\xff"
_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", _ARROW_STREAM: "arrow"}
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive", "unpack it and name the file inside"),
    b"PK\x05\x06": ("an empty zip archive", "name the file that was meant"),
    b"%PDF": ("a PDF document", "name the table it was made from"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word document", "save the sheet as CSV (UTF-8)"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV or Parquet"),
    b"\x89HDF": ("an HDF5 file", "save the table as Parquet"),
    b"\x89PNG": ("an image", "name the table that was meant"),
    b"\xff\xd8\xff": ("an image", "name the table that was meant"),
    b"\x7fELF": ("a program", "name the table that was meant"),
    b"Obj\x01": ("an Avro file", "save the table as Parquet"),
    b"ORC": ("an ORC file", "save the table as Parquet"),
    b"FEA1": ("a Feather file of version 1", "save it as Arrow (Feather version 2)"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it and name the file inside"),
    b"Rar!": ("a RAR archive", "unpack it and name the file inside"),
    b"version https://git-lfs": ("a Git LFS pointer, not the file itself", "fetch it with: git lfs pull"),
}
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<svg", b"<!--")


def split_suffixes(path: str) -> tuple[str | None, str | None]:
    """The container and the compression that a name promises.

    Example:
        >>> split_suffixes("votes.csv.gz"), split_suffixes("votes")
        (('csv', 'gzip'), (None, None))
    """
    suffixes = [suffix.lower() for suffix in PurePath(path).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1]) if suffixes else None
    inner = suffixes[:-1] if compression else suffixes
    return (SUFFIXES.get(inner[-1]) if inner else None), compression


def find_container(head: bytes, path: str, wanted: str | None = None) -> str:
    """Name the container of a file.

    Args:
        head: The first bytes, decompressed.
        path: Name of the file.
        wanted: A container the user insists on.

    Raises:
        DataError: If it is none that votecast reads, or not the one its name or the user says.
    """
    if wanted is not None and wanted not in CONTAINERS:
        raise DataError(f"the container {wanted!r} is unknown; allowed are {', '.join(CONTAINERS)}")
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        raise DataError(f"{path} is empty; a file of votes has at least a header or one row: check how it was written")
    _refuse_foreign(head, path)
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    expected = wanted or split_suffixes(path)[0]
    if found is None and expected in ("parquet", "arrow"):
        raise DataError(
            f"{path} should be {expected} but does not begin as such a file does; "
            "write it again, or rename it to what it is"
        )
    if found is not None and wanted not in (None, found):
        raise DataError(f"{path} is {found}, not {wanted}; leave the container out to have it found")
    if found is not None:
        return found
    _refuse_encoding(head, path)
    if expected is None or (wanted is None and expected == "csv"):
        return "jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[{", b"[]")) else expected or "csv"
    return expected


def _refuse_foreign(head: bytes, path: str) -> None:
    if head.startswith(b"PK\x03\x04") and (b"xl/" in head or b"[Content_Types].xml" in head):
        raise DataError(f"{path} is an Excel workbook; {ALLOWED}: save the sheet as CSV (UTF-8)")
    for magic, (what, cure) in _FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{path} is {what}; {ALLOWED}: {cure}")
    if head.startswith(_PICKLES):
        raise DataError(
            f"{path} is a Python pickle, which can run code and is never opened; {ALLOWED}: save the table as Parquet"
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:9].lower().startswith(_MARKUP):
        raise DataError(
            f"{path} is a web page or XML, perhaps an error page saved in place of the file; {ALLOWED}: "
            "download the file itself"
        )


def _refuse_encoding(head: bytes, path: str) -> None:
    cure = "save it as UTF-8 (for example: iconv -f UTF-16 -t UTF-8)"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is encoded as UTF-16 or UTF-32; allowed is UTF-8: {cure}")
    sample = head[:4096]
    if len(sample) >= 8 and max(sample[::2].count(0), sample[1::2].count(0)) > len(sample) // 4:
        raise DataError(f"{path} is encoded as UTF-16 or UTF-32, or is no text at all; allowed is UTF-8: {cure}")
