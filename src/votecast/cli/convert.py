"""votecast convert: between all formats of votes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath, ReadingInput, Source
from votecast.cli.output import check_outputs, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import facts, remark
from votecast.cli.words import STANDARD_INPUT
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.data.battles import Battles


def convert(
    source: Source,
    out: Path,
    /,
    *,
    format: Literal["auto", "lmsys", "wsdm", "votecast"] = "auto",
    reading: ReadingInput = ReadingInput(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Turn a file of votes into another format.

    Args:
        source: File of votes, "-" for standard input.
        out: File to write; its ending chooses csv, parquet, jsonl or arrow.
        format: Columns to write; auto takes lmsys for csv and votecast's own otherwise.
        reading: How the file is read.
        json: Write what was read and repaired as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    from votecast.data.outputs import write_votes
    from votecast.data.reader import VoteReader

    if str(out) == STANDARD_INPUT:
        raise ConfigError(
            "convert does not write to standard output; name a file that ends in .csv, .parquet, .jsonl or .arrow"
        )
    check_outputs(out, settings_path(out), json, overwrite=overwrite)
    reader = reading.reader(overwrite=overwrite)
    votes = VoteReader(source, **reader)
    with Bars() as bars:

        def _counted() -> Iterator[Battles]:
            done = 0
            for battles in votes:
                yield battles
                done += len(battles)
                bars.rows(done, votes.expected_rows)

        written = write_votes(_counted(), out, overwrite=overwrite, format=None if format == "auto" else format)
    report = votes.report.to_dict()
    write_settings(
        out,
        "convert",
        {"source": source, "format": format, "reader": reader},
        reading=report,
    )
    show_reading(report)
    for note in written.notes:
        remark(f"  note: {note}")
    if json is not None:
        write_json(
            {"out": str(out), "format": written.format, "notes": written.notes, "reading": report},
            json,
            overwrite=overwrite,
        )
    if json != "-":
        facts({"rows": f"{written.rows:,}", "written": f"{out} ({written.format} format)"})
