"""Clean votes before training: drop rows without text, identical answers and duplicates, or aggregate repeated votes.

`train` calls `clean` with the recipe's settings; benchmarks call `aggregate_votes` alone.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.config import Settings
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.text_columns import AnswerPairs, Bools, Ints, without_text
from votecast.types import CLASSES, Probabilities, swap_columns

Duplicates = Literal["none", "first", "all", "aggregate"]


class CleaningSettings(Settings):
    """What is dropped from the votes before training; by default nothing.

    Args:
        duplicates: "none" keeps every row; "first" keeps the first row of each pair (same prompt, same two answers, in
            either order); "all" drops every row whose answers a and b occur together, in this order, in more than one
            row, whatever the prompt, as a published 8B system did; "aggregate" joins the votes on one pair into a soft
            label whose weight is their number (`aggregate_votes`).
        drop_identical: Drop rows whose two answers are the same text.
        drop_missing: Drop rows whose prompt or one of whose answers has no visible character. false keeps them, as
            `dropna` of pandas does where the cell says `[""]` or `[null]`; a cell that is empty itself is an error of
            the file.
    """

    duplicates: Duplicates = "none"
    drop_identical: bool = False
    drop_missing: bool = False


@dataclass(frozen=True)
class CleaningReport:
    """How many rows were dropped, and why."""

    rows: int  # before
    missing: int  # dropped because a text was missing
    identical: int  # dropped because their answers were identical
    duplicates: int  # dropped as duplicates, or joined to an earlier row
    kept: int  # after
    duplicates_as: Duplicates  # how duplicates were treated

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON-able values."""
        return asdict(self)


def clean(battles: Battles, settings: CleaningSettings | None = None) -> tuple[Battles, CleaningReport]:
    """Drop rows with missing texts, then those with identical answers, then duplicates.

    Returns:
        The rows that remain, in their order, and how many were dropped at each step.

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
        battles = _keep(battles, ~AnswerPairs.of(battles).identical)
    different = len(battles)
    if settings.duplicates == "first":
        first = np.zeros(different, dtype=bool)
        first[np.unique(AnswerPairs.of(battles).numbers(ordered=False), return_index=True)[1]] = True
        battles = _keep(battles, first)
    elif settings.duplicates == "all":
        numbers = AnswerPairs.of(battles).numbers(ordered=True, prompt=False)
        battles = _keep(battles, np.bincount(numbers)[numbers] == 1)
    elif settings.duplicates == "aggregate":
        battles = aggregate_votes(battles)
    kept = len(battles)
    return battles, CleaningReport(
        rows, rows - present, present - different, different - kept, kept, settings.duplicates
    )


def _keep(battles: Battles, rows: Bools) -> Battles:
    return battles if rows.all() else Battles(battles.table.filter(pa.array(rows)), battles.report)


def aggregate_votes(battles: Battles) -> Battles:
    """Aggregate the votes on each pair (same prompt, same two answers, in either order) into one row.

    The joined row looks like the first of its rows; votes on the pair in the other order are swapped first. Its
    probabilities are the weighted shares of the votes (when all weights are 0, the votes count equally), its weight is
    their sum, and its winner is the class with the largest share, none where two classes share it. Sums are rounded
    once: swapping or reordering rows changes no bit of them. Rows that are alone with their pair and rows without a
    vote stay as they are.

    Returns:
        The rows that remain, in the order of the first vote on each pair.

    Example:
        >>> row = {"prompt": "Hi", "response_a": "x", "response_b": "y", "winner": "a"}
        >>> swapped = {"prompt": "Hi", "response_a": "y", "response_b": "x", "winner": "a"}
        >>> votes = aggregate_votes(Battles.from_rows([row, row, swapped, row]))
        >>> len(votes), votes[0].probabilities, votes[0].weight, votes[0].winner
        (1, (0.75, 0.25, 0.0), 4.0, 'a')
    """
    voted = np.flatnonzero(battles.labelled)
    if len(voted) < 2:
        return battles
    votes = battles if len(voted) == len(battles) else battles.take(voted)
    pairs = AnswerPairs.of(votes)
    group = pairs.numbers(ordered=False)
    counts = np.bincount(group)
    if counts.max() < 2:
        return battles
    targets = votes.targets()
    targets = np.where(pairs.reversed[:, None], swap_columns(targets), targets)  # (n, 3), in the order first shown
    weights = votes.weights()
    order = np.argsort(group, kind="stable")
    joined = np.flatnonzero(counts > 1)
    shares, totals = np.empty((len(joined), 3)), np.empty(len(joined))
    stops = np.cumsum(counts)
    for number, (start, stop) in enumerate(zip((stops - counts)[joined], stops[joined], strict=True)):
        rows = order[start:stop]
        totals[number] = math.fsum(weights[rows])
        counted = weights[rows] if totals[number] > 0 else np.ones(len(rows))
        # math.fsum rounds once, whatever the order of its numbers.
        mass = [math.fsum(column) for column in (targets[rows] * counted[:, None]).T.tolist()]
        shares[number] = np.array(mass) / (totals[number] if totals[number] > 0 else len(rows))
    first = np.unique(group, return_index=True)[1]
    table = _with_labels(battles.table, voted[first[joined]], shares, totals)
    keep = np.ones(len(battles), dtype=bool)
    keep[voted] = False
    keep[voted[first]] = True
    return Battles(table.filter(pa.array(keep)), battles.report)


def _with_labels(table: pa.Table, rows: Ints, shares: Probabilities, weights: NDArray[np.float64]) -> pa.Table:
    """Replace winner, probabilities and weight of some rows."""
    largest = shares == shares.max(axis=1, keepdims=True)
    names = np.array(CLASSES, dtype=object)[largest.argmax(axis=1)]
    names[largest.sum(axis=1) > 1] = None
    flat = pa.FixedSizeListArray.from_arrays(pa.array(shares.ravel()), type=SCHEMA.field("probabilities").type)
    fresh = {"winner": pa.array(names, pa.large_string()), "probabilities": flat, "weight": pa.array(weights)}
    # New values are appended to each column, and the rows take theirs from there.
    source = np.arange(table.num_rows)
    source[rows] = table.num_rows + np.arange(len(rows))
    for name, values in fresh.items():
        column = pa.chunked_array([*table.column(name).chunks, values]).take(pa.array(source))
        table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
    return table
