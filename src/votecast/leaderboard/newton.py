"""The largest likelihood by Newton's method: strengths, perhaps a number for ties, perhaps coefficients of style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from votecast.leaderboard.curves import Curve, Terms
from votecast.leaderboard.rows import Cells, by_models, laplacian
from votecast.types import Floats

STEPS: Final = 60
CLOSE: Final = 1e-5
"""A step shorter than this is the last: the error after it is its square."""

FARTHEST: Final = 30.0
"""Strengths farther from their mean, in log odds, are on their way to infinity."""


@dataclass(frozen=True)
class Shape:
    """Which parameter stands where: strengths first, then the number for ties, then style.

    Args:
        models: How many strengths.
        tie: Whether there is a number for ties.
        style: How many coefficients.
    """

    models: int
    tie: bool
    style: int

    @property
    def size(self) -> int:
        """How many parameters."""
        return self.models + self.tie + self.style

    def split(self, point: Floats) -> tuple[Floats, float, Floats]:
        """Strengths, the number for ties (0 without one), coefficients of style."""
        tie = float(point[self.models]) if self.tie else 0.0
        return point[: self.models], tie, point[self.models + self.tie :]


class Problem(NamedTuple):
    """A penalised likelihood.

    Args:
        curve: From leads to chances.
        shape: Of its parameters.
        cells: What it is summed over.
        penalty: Precision of the normal prior of each parameter, 0 for none, shape (size,).
    """

    curve: Curve
    shape: Shape
    cells: Cells
    penalty: Floats


def leads(shape: Shape, point: Floats, cells: Cells) -> Floats:
    """How far the first model of each cell is ahead, style included, shape (c,)."""
    strengths, _, style = shape.split(point)
    d: Floats = strengths[cells.first] - strengths[cells.second]
    return d + cells.style @ style if shape.style else d


def maximise(problem: Problem, start: Floats) -> Floats | None:
    """The parameters of the largest likelihood, strengths of mean 0.

    Args:
        problem: The likelihood.
        start: Parameters to start from.

    Returns:
        Parameters of shape (size,); None where there is no finite maximum.
    """
    here = _at(problem, start)
    for _ in range(STEPS):
        step = _step(problem, here)
        if step is None:
            return None
        size = float(np.abs(step).max())
        nearer = _nearer(problem, here, step)
        if nearer is None:  # nothing between here and there is better: this is the maximum, or there is none
            return here.point if size < np.sqrt(CLOSE) else None
        here = nearer
        if float(np.abs(here.point[: problem.shape.models]).max()) > FARTHEST:
            return None
        if size < CLOSE:
            return here.point
    return None


def gradient(problem: Problem, point: Floats, terms: Terms) -> Floats:
    """Derivatives of the penalised log-likelihood, shape (size,)."""
    shape, cells = problem.shape, problem.cells
    parts = [by_models(cells, terms.d)]
    parts += [np.array([terms.t.sum()])] if shape.tie else []
    parts += [terms.d @ cells.style] if shape.style else []
    return np.asarray(np.concatenate(parts) - problem.penalty * point)


def information(problem: Problem, terms: Terms) -> Floats:
    """Minus the second derivatives of the penalised log-likelihood, shape (size, size)."""
    shape, cells = problem.shape, problem.cells
    m, k = shape.models, shape.models + shape.tie
    out = np.zeros((shape.size, shape.size))
    out[:m, :m] = laplacian(cells, terms.dd)
    if shape.tie:
        out[:m, m] = out[m, :m] = by_models(cells, terms.dt)
        out[m, m] = terms.tt.sum()
    if shape.style:
        weighted = terms.dd[:, None] * cells.style
        out[k:, k:] = cells.style.T @ weighted
        out[:m, k:] = np.stack([by_models(cells, column) for column in weighted.T], axis=1)
        out[k:, :m] = out[:m, k:].T
        if shape.tie:
            out[m, k:] = out[k:, m] = terms.dt @ cells.style
    return np.asarray(out + np.diag(problem.penalty))


def terms_of(problem: Problem, point: Floats) -> Terms:
    """Log-likelihood of each cell with derivatives."""
    _, t, _ = problem.shape.split(point)
    return problem.curve.terms(leads(problem.shape, point, problem.cells), t, problem.cells.votes)


def held(shape: Shape, matrix: Floats) -> Floats:
    """The matrix with the mean of all strengths held, which no vote can tell; its inverse is that of centred strengths.

    Only for matrices that send equal strengths to nothing (or to a multiple of themselves, under a prior).
    """
    m = shape.models
    size = max(float(np.trace(matrix[:m, :m])) / m, 1e-300)
    out = matrix.copy()
    out[:m, :m] += size / m
    return out


class _Here(NamedTuple):
    """A point and what the likelihood is there."""

    point: Floats
    terms: Terms
    value: float


def _at(problem: Problem, point: Floats) -> _Here:
    terms = terms_of(problem, point)
    return _Here(point, terms, float(terms.value.sum()) - 0.5 * float(problem.penalty @ point**2))


def _step(problem: Problem, here: _Here) -> Floats | None:
    slope = gradient(problem, here.point, here.terms)
    bend = held(problem.shape, information(problem, here.terms))
    largest = float(np.abs(np.diag(bend)).max())
    for damping in (0.0, 1e-8, 1e-4, 1e-2, 1.0):  # above 0 only where the likelihood is not concave or hardly bends
        try:
            factor = cho_factor(bend + damping * largest * np.eye(len(bend)))
        except LinAlgError:
            continue
        step = np.asarray(cho_solve(factor, slope))
        if np.isfinite(step).all():
            step[: problem.shape.models] -= step[: problem.shape.models].mean()
            return step
    return None


def _nearer(problem: Problem, here: _Here, step: Floats) -> _Here | None:
    """The whole step if it helps, else half of it, and so on."""
    shape, size = problem.shape, 1.0
    slack = 1e-12 * max(1.0, abs(here.value))  # rounding
    for _ in range(40):
        point = here.point + size * step
        if not shape.tie or point[shape.models] > problem.curve.lowest:
            there = _at(problem, point)
            if np.isfinite(there.value) and there.value >= here.value - slack:
                return there
        size /= 2
    return None
