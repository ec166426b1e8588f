"""votecast convert: between all formats of votes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from votecast.artifacts import settings_path
from votecast.cli.options import STANDARD, InputReadOptions, Output, Source, write_settings
from votecast.cli.screen import Bars, print_facts, print_note
from votecast.cli.summaries import show_reading
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.data.battles import Battles


def convert(
    source: Source,
    out: Source,
    /,
    *,
    format: Literal["auto", "lmsys", "wsdm", "votecast"] = "auto",
    reading: InputReadOptions = InputReadOptions(),
    output: Output = Output(),
) -> None:
    """Convert a file of votes to another format.

    Args:
        source: File of votes, "-" for standard input.
        out: File to write; its ending chooses csv, parquet, jsonl or arrow.
        format: Columns to write; auto takes lmsys for csv and votecast's own otherwise.
    """
    from votecast.data.outputs import write_votes
    from votecast.data.reader import VoteReader

    if out == STANDARD:
        raise ConfigError(
            "convert does not write to standard output; name a file that ends in .csv, .parquet, .jsonl or .arrow"
        )
    output.check(out, settings_path(out), settings=False)
    reader = reading.reader(overwrite=output.overwrite)
    votes = VoteReader(source, both_bad=True, **reader)
    with Bars() as bars:

        def _count_rows() -> Iterator[Battles]:
            done = 0
            for battles in votes:
                yield battles
                done += len(battles)
                bars.rows(done, votes.expected_rows)

        columns = None if format == "auto" else format
        written = write_votes(_count_rows(), Path(out), overwrite=output.overwrite, format=columns)
    report = votes.report.to_dict()
    write_settings(out, "convert", {"source": source, "format": format, "reader": reader}, reading=report)
    show_reading(report)
    for note in written.notes:
        print_note(f"  note: {note}")
    if output.write({"out": out, "format": written.format, "notes": written.notes, "reading": report}):
        print_facts({"rows": f"{written.rows:,}", "written": f"{out} ({written.format} format)"})
