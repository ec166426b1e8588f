"""What a reader found, in a few lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from votecast.cli.screen import remark


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
