"""Forecasts for a whole file, read in parts and written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from votecast.artifacts import check_free
from votecast.data.reading import VoteReader
from votecast.data.writing import write_predictions
from votecast.types import Judge, Probabilities


def predict_file(
    judge: Judge,
    source: str | Path,
    out: str | Path,
    *,
    format: str = "votecast",
    overwrite: bool = False,
    reader: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Forecast every row of a file, in its order; memory stays flat whatever its length.

    Args:
        judge: Any judge.
        source: File of battles; votes in it are not looked at.
        out: File of predictions; its ending chooses the container.
        format: votecast (`id, p_a, p_b, p_tie`), lmsys or wsdm (a submission).
        overwrite: Whether an existing file may be replaced.
        reader: Options of `VoteReader`.
        progress: Called with the number of rows done, if given.

    Returns:
        Rows, judge, hash and what the reader found.

    Raises:
        DataError: If a row cannot be read; nothing is written.
        ArtifactError: If `out` is in the way; nothing is read.
    """
    check_free(out, overwrite=overwrite)
    votes = VoteReader(source, **({"labels": "ignored"} | dict(reader or {})))
    cite = {"name": judge.name, "hash": judge.hash}

    def _forecasts() -> Iterator[tuple[list[str], Probabilities]]:
        done = 0
        for battles in votes:
            yield battles.ids, judge.predict_proba(battles)
            done += len(battles)
            if progress is not None:
                progress(done)

    settings = {"input": str(source), "format": format, "reader": dict(reader or {})}
    write_predictions(_forecasts(), out, format=format, judge=cite, metadata=settings, overwrite=overwrite)
    return {
        "rows": votes.report.rows,
        "out": str(out),
        "format": format,
        "judge": cite,
        "reading": votes.report.to_dict(),
    }
