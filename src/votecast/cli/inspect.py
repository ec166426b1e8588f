"""votecast inspect: what is in a file of votes, and what is wrong with it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import check_outputs, write_json
from votecast.cli.progress import Bars


def inspect(
    source: str,
    /,
    *,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Show what is in a file of votes, and what is wrong with it.

    Args:
        source: File of votes, "-" for standard input.
        reading: How the file is read.
        json: Write everything found as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    from votecast.data.inspection import inspect_votes

    check_outputs(json, overwrite=overwrite)
    with Bars() as bars:
        bars.steps("inspecting", 0, 1)
        found = inspect_votes(source, **reading.reader())
    if json is not None:
        write_json(found.to_dict(), json, overwrite=overwrite)
