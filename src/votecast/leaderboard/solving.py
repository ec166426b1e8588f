"""From cells to parameters: the fallbacks of ties and of strengths that votes do not bound stand here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from votecast.errors import DataError
from votecast.leaderboard.connectivity import levels, names_of, outsiders, tells_ties
from votecast.leaderboard.curves import CURVES, Curve
from votecast.leaderboard.games import Ints
from votecast.leaderboard.newton import Problem, Shape, maximise
from votecast.leaderboard.rows import Cells
from votecast.types import Floats

PRIOR: Final = 2.5
"""Standard deviation, in log odds, of the normal prior of strengths that votes alone cannot hold."""


class Solution(NamedTuple):
    """Fitted parameters and how they came about.

    Args:
        problem: The likelihood they make largest.
        point: The parameters.
        level: Groups of models within which all lost or drew, shape (models,).
        prior: Whether the prior of strengths was needed.
    """

    problem: Problem
    point: Floats
    level: Ints
    prior: bool


def solve(method: str, cells: Cells, style_ridge: float = 0.0, start: Floats | None = None) -> Solution:
    """Fit a curve.

    Without ties the number for ties is left out: the fit is then Bradley and Terry's. Where no finite strengths fit
    best, all of them get a normal prior.

    Args:
        method: A name in `CURVES`.
        cells: Votes of models that hang together.
        style_ridge: Penalty of style, for each vote half of this times the squares of its coefficients.
        start: Parameters to start from, if their shape fits.

    Raises:
        DataError: If even with the prior there is no finite fit.
    """
    curve = _curve(method, cells)
    shape = Shape(cells.models, bool(curve.tie), cells.style.shape[1])
    level = levels(cells)
    total = float(cells.votes.sum())
    plain = np.zeros(shape.size)
    plain[shape.size - shape.style :] = style_ridge * total
    share = float(np.clip(cells.votes[:, 2].sum() / total, 1e-3, 1 - 1e-3))
    first = _start(curve, shape, share) if start is None or len(start) != shape.size else start
    if not level.any() and (not shape.tie or tells_ties(cells)):
        problem = Problem(curve, shape, cells, plain)
        point = maximise(problem, first)
        if point is not None:
            return Solution(problem, point, level, prior=False)
    penalty = plain.copy()
    penalty[: shape.models] = 1 / PRIOR**2
    problem = Problem(curve, shape, cells, penalty)
    point = maximise(problem, _start(curve, shape, share))
    if point is None:
        raise DataError(
            f"the {method} fit finds no finite parameters on {total:,.0f} votes between {shape.models} models; give "
            "more votes, or take style out or give it a ridge (style_ridge above 0)"
        )
    return Solution(problem, point, level, prior=True)


def notes_of(method: str, found: Solution, names: Sequence[str]) -> tuple[str, ...]:
    """The fallbacks that were taken, for people."""
    notes = []
    if CURVES[method].tie and not found.problem.shape.tie:
        notes.append(f"no vote is a tie: the {method} fit is then that of bradley_terry")
    if found.prior:
        away = [names[each] for each in outsiders(found.level)]
        if away:
            who, they = names_of(away), "it" if len(away) == 1 else "each of them"
            why = (
                f"the votes do not bound the strengths of {who}: against the largest group of models that beat each "
                f"other, {they} never lost, or never won, not even through third models"
            )
        else:
            why = "the votes hold no finite strengths"
        notes.append(f"{why}: all strengths have a normal prior with standard deviation {PRIOR} (log odds)")
    return tuple(notes)


def _curve(method: str, cells: Cells) -> Curve:
    curve = CURVES[method]
    return curve if curve.tie and float(cells.votes[:, 2].sum()) > 0 else CURVES["bradley_terry"]


def _start(curve: Curve, shape: Shape, share: float) -> Floats:
    point = np.zeros(shape.size)
    if shape.tie:
        point[shape.models] = curve.start(share)
    return point
