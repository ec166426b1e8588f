"""What a reader found, in a few lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from votecast.cli.screen import remark
from votecast.errors import VotecastError

_HEAD_ROWS = 100
_SAMPLED, _SHOWN = 8, 5
_PACKED = (".gz", ".zst")


def about_rows(path: str, reader: Mapping[str, Any]) -> int | None:
    """About how many rows a file has, for the remaining time of a progress bar; None where that cannot be told.

    Args:
        path: The file.
        reader: Options of `read_votes`.
    """
    if path == "-" or not Path(path).is_file() or path.endswith(_PACKED):
        return None
    with contextlib.suppress(VotecastError):  # whoever reads the file says what is wrong with it
        rows = _parquet_rows(path) if path.endswith(".parquet") else _estimated_rows(path, reader)
        sampled = rows * (reader.get("sample") or 1)
        return round(min(sampled, reader.get("limit") or sampled))
    return None


def show_reading(report: Mapping[str, Any], show: Callable[[str], None] = remark) -> None:
    """Say what was read, how it was understood, and what was repaired or set aside.

    Args:
        report: A `ReadReport` as a dict.
        show: Where to say it; beside the results, unless it is one of them.
    """
    text = report.get("text") or {}
    modes = f", text {'/'.join(sorted(set(text.values())))}" if text else ""
    sampling = f", {report['sampling']}" if report.get("sampling") else ""
    labelled = f", {report['labelled']:,} with votes" if report.get("labelled") else ""
    show(
        f"read {report['path']}: {report['rows']:,} rows{labelled} ({report['format']} format, {report['container']}"
        f"{modes}{sampling})"
    )
    for kind, count in (report.get("repairs") or {}).items():
        first = ", ".join(map(str, (report.get("examples") or {}).get(kind, [])[:3]))
        show(f"  repaired {count:,}: {kind}" + (f" (first rows: {first})" if first else ""))
    if report.get("quarantined"):
        show(f"  set aside {report['quarantined']:,} bad rows in {report['quarantine']}")
    for note in report.get("notes") or []:
        show(f"  note: {note}")


def about_all_rows(inputs: Sequence[str], reader: Mapping[str, Any]) -> int | None:
    """About how many rows several inputs have, told by the first and by their sizes; None where it cannot be told.

    Args:
        inputs: Paths, globs and folders.
        reader: Options of `read_votes`.
    """
    from votecast.jobs.input_files import find_inputs

    with contextlib.suppress(VotecastError):  # whoever reads the files says what is wrong with them
        found = find_inputs(inputs)
        told = [about_rows(str(each.place.path), reader) for each in found[:_SAMPLED] if each.place.path is not None]
        size = sum(each.size for each in found[:_SAMPLED])
        if len(told) == min(_SAMPLED, len(found)) and None not in told and size:
            return round(sum(rows or 0 for rows in told) * sum(each.size for each in found) / size)
    return None


def show_readings(reports: Sequence[Mapping[str, Any]], show: Callable[[str], None] = remark) -> None:
    """Say what was read from several files: file by file while they are few.

    Args:
        reports: A `ReadReport` of each as a dict.
        show: Where to say it.
    """
    if len(reports) <= _SHOWN:
        for report in reports:
            show_reading(report, show)
        return
    rows = sum(report["rows"] for report in reports)
    kinds = ", ".join(sorted({f"{report['format']} format, {report['container']}" for report in reports}))
    show(f"read {len(reports):,} files: {rows:,} rows ({kinds})")
    repaired = sum(sum((report.get("repairs") or {}).values()) for report in reports)
    aside = sum(report.get("quarantined") or 0 for report in reports)
    if repaired:
        show(f"  repaired {repaired:,}; manifest.json says what and where")
    if aside:
        show(f"  set aside {aside:,} bad rows in quarantine-*.jsonl of the output")


def show_cut(cut: Mapping[str, Any] | None) -> None:
    """Say what a judge does not get to see of the texts.

    Args:
        cut: A `Cut` as a dict; None for a judge that reads texts whole.
    """
    if cut is None:
        return
    kept = ", ".join(f"{share:.1%} of {name}" for name, share in cut["kept"].items())
    remark(f"cut: {cut['rows_cut']:,} of {cut['rows']:,} rows are longer than the model reads; tokens kept: {kept}")


def show_cleaning(report: Mapping[str, Any]) -> None:
    """Say what was taken out of the votes, if anything was.

    Args:
        report: A `CleaningReport` as a dict.
    """
    joined = "joined to an earlier vote" if report["duplicates_as"] == "aggregate" else "dropped as duplicates"
    went = {"without a text": report["missing"], "with identical answers": report["identical"]}
    said = [f"{count:,} {what}" for what, count in (went | {joined: report["duplicates"]}).items() if count]
    if said:
        remark(f"cleaned: {', '.join(said)}; {report['kept']:,} of {report['rows']:,} rows are left")


def _parquet_rows(path: str) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with Path(path).open("rb") as file:
            return int(pq.read_metadata(file).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise VotecastError(str(error)) from error


def _estimated_rows(path: str, reader: Mapping[str, Any]) -> float:
    """From the size of the file and of its first rows."""
    from votecast.data.reader import VoteReader

    options = {name: reader[name] for name in ("format", "text") if name in reader}
    head = next(iter(VoteReader(path, labels="ignored", limit=_HEAD_ROWS, **options)), None)
    if head is None or not len(head):
        return 0
    return float(Path(path).stat().st_size * len(head) / head.table.nbytes)
