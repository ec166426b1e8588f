"""What may be taken out of the votes before training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from votecast.config import Settings
from votecast.data.aggregation import aggregate_votes
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.pairs import Bools, Pairs, without_text

Duplicates = Literal["none", "first", "all", "aggregate"]


class CleaningSettings(Settings):
    """What is taken out of the votes before training; by default nothing.

    Args:
        duplicates: "none" keeps every row; "first" keeps the first row of each pair (same prompt, same two answers, in
            either order); "all" drops every row whose answers a and b occur together, in this order, in more than one
            row, whatever the prompt, as a published 8B system did; "aggregate" joins the votes on one pair into a soft
            label whose weight is their number (`aggregate_votes`).
        drop_identical: Drop rows whose two answers are the same text.
        drop_missing: Drop rows whose prompt or one of whose answers has no visible character.

    Example:
        >>> CleaningSettings.parse({"duplicates": "first"}).drop_identical
        False
    """

    duplicates: Duplicates = "none"
    drop_identical: bool = False
    drop_missing: bool = False


@dataclass(frozen=True)
class CleaningReport:
    """How many rows went, and why.

    Args:
        rows: Rows before.
        missing: Rows dropped because a text was missing.
        identical: Rows dropped because their answers were identical.
        duplicates: Rows dropped as duplicates, or joined to an earlier row.
        kept: Rows after.
        duplicates_as: How duplicates were treated.
    """

    rows: int
    missing: int
    identical: int
    duplicates: int
    kept: int
    duplicates_as: Duplicates

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return asdict(self)


def clean(battles: Battles, settings: CleaningSettings | None = None) -> tuple[Battles, CleaningReport]:
    """Clean votes: first rows with missing texts go, then those with identical answers, then duplicates.

    Args:
        battles: The rows; they are not changed.
        settings: What to take out; by default nothing.

    Returns:
        The rows that remain, in their order, and how many went at each step.

    Example:
        >>> row = {"prompt": "Hi", "response_a": "x", "response_b": "y", "winner": "a"}
        >>> rows = Battles.from_rows([row, row, row | {"response_b": "x"}])
        >>> kept, report = clean(rows, CleaningSettings(duplicates="first", drop_identical=True))
        >>> len(kept), report.identical, report.duplicates
        (1, 1, 1)
    """
    settings = settings or CleaningSettings()
    rows = len(battles)
    if settings.drop_missing:
        battles = _keep(battles, ~np.logical_or.reduce([without_text(battles, name) for name in TEXT_COLUMNS]))
    present = len(battles)
    if settings.drop_identical:
        battles = _keep(battles, ~Pairs.of(battles).identical)
    different = len(battles)
    battles = _without_duplicates(battles, settings.duplicates)
    kept = len(battles)
    return battles, CleaningReport(
        rows, rows - present, present - different, different - kept, kept, settings.duplicates
    )


def _without_duplicates(battles: Battles, duplicates: Duplicates) -> Battles:
    if duplicates == "none":
        return battles
    if duplicates == "aggregate":
        return aggregate_votes(battles)
    pairs = Pairs.of(battles)
    if duplicates == "all":
        numbers = pairs.numbers(ordered=True, prompt=False)
        return _keep(battles, np.bincount(numbers)[numbers] == 1)
    first = np.zeros(len(battles), dtype=bool)
    first[np.unique(pairs.numbers(ordered=False), return_index=True)[1]] = True
    return _keep(battles, first)


def _keep(battles: Battles, rows: Bools) -> Battles:
    return battles if rows.all() else Battles(battles.table.filter(pa.array(rows)), battles.report)
