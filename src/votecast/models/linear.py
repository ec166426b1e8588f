"""A linear model over sparse hashed terms and standardized features; swapping the answers changes signs alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from votecast.calibration.tie_models import davidson_gradients, davidson_loss, davidson_probabilities, prior_closeness
from votecast.config import Settings
from votecast.features import COLUMNS, PairFeatures
from votecast.types import Floats, Probabilities

_BOUND = 3.0


class LinearSettings(Settings):
    """Settings of the linear model.

    Args:
        term_penalty: Ridge penalty on the weights of hashed terms.
        feature_penalty: Ridge penalty on the weights of standardised features.
        steps: Most steps of L-BFGS.
    """

    term_penalty: float = Field(30.0, gt=0)
    feature_penalty: float = Field(200.0, gt=0)
    steps: int = Field(40, ge=1, le=10_000)


@dataclass(frozen=True)
class Design:
    """Features of battles as the linear model reads them.

    Args:
        terms: Weighted hashed terms of a minus those of b.
        apart: The same without sign: how much the answers differ, term by term.
        gap: Features of a minus features of b, shape (n, d).
        level: Features that stay when the answers are swapped, shape (n, e).
    """

    terms: csr_matrix
    apart: csr_matrix
    gap: NDArray[np.float64]
    level: NDArray[np.float64]

    @classmethod
    def of(cls, features: PairFeatures) -> Self:
        """Arrange the features of battles."""
        terms = features.terms
        apart = csr_matrix((np.abs(terms.data), terms.indices, terms.indptr), shape=terms.shape)
        gap = features.a.astype(np.float64) - features.b
        mean = 0.5 * (features.a.astype(np.float64) + features.b)
        return cls(terms, apart, gap, np.concatenate([np.abs(gap), mean, features.shared], axis=1))

    def take(self, rows: NDArray[np.int64]) -> Design:
        """The battles at these positions."""
        return Design(self.terms[rows], self.apart[rows], self.gap[rows], self.level[rows])


@dataclass(frozen=True)
class LinearWeights:
    """Weights of the linear model.

    Args:
        terms: Weight of each hashed term in the strength, float32 of shape (COLUMNS,).
        apart: Weight of each hashed term in the closeness, float32 of shape (COLUMNS,).
        gap: Weight of each standardised feature in the strength, shape (d,).
        level: Weight of each standardised feature in the closeness, shape (e,).
        gap_scale: What the features of the strength are multiplied by first, shape (d,).
        level_scale: What the features of the closeness are multiplied by first, shape (e,).
        centre: What is subtracted from the features of the closeness before that, shape (e,).
        base: The constant part of the closeness.
    """

    terms: NDArray[np.float32]
    apart: NDArray[np.float32]
    gap: Floats
    level: Floats
    gap_scale: Floats
    level_scale: Floats
    centre: Floats
    base: float

    @classmethod
    def fit(cls, design: Design, targets: Probabilities, weights: Floats, settings: LinearSettings) -> Self:
        """Minimize the penalized log loss with L-BFGS.

        Args:
            design: The battles.
            targets: Soft labels, shape (n, 3).
            weights: Shape (n,).
            settings: Penalties and steps.
        """
        problem = _Problem(design, targets, weights, settings)
        with threadpool_limits(1):
            found = minimize(problem, problem.start, jac=True, method="L-BFGS-B", options={"maxiter": settings.steps})
        return cls(*problem.weights_of(found.x))

    def strength(self, design: Design) -> tuple[Floats, Floats]:
        """Return strength and closeness (without its constant) of each battle, each of shape (n,)."""
        gap = _bounded(design.gap * self.gap_scale)
        level = _bounded((design.level - self.centre) * self.level_scale)
        s = design.terms @ self.terms.astype(np.float64) + _row_sums(gap, self.gap)
        t = design.apart @ self.apart.astype(np.float64) + _row_sums(level, self.level)
        return s, t

    def contributions(self, design: Design) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what every column adds to strength and closeness; summed over columns, they give `strength`.

        Returns:
            Two arrays of shape (n, 1 + columns of `level`): first all hashed terms together, then gaps (in the
            closeness without their sign), means and shared features.
        """
        gap = _bounded(design.gap * self.gap_scale) * self.gap
        level = _bounded((design.level - self.centre) * self.level_scale) * self.level
        rest = np.zeros((len(gap), level.shape[1] - gap.shape[1]))
        terms, apart = design.terms @ self.terms.astype(np.float64), design.apart @ self.apart.astype(np.float64)
        return np.concatenate([terms[:, None], gap, rest], axis=1), np.concatenate([apart[:, None], level], axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything learnt, as arrays."""
        return {name: np.atleast_1d(np.asarray(getattr(self, name))) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Read what `arrays` gave."""
        values: dict[str, Any] = {name: arrays[name] for name in cls.__dataclass_fields__}
        return cls(**(values | {"base": float(arrays["base"][0])}))


def _bounded(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Clip standardized features, where training rows end and a straight line would go on."""
    return np.clip(matrix, -_BOUND, _BOUND)


def _row_sums(matrix: NDArray[np.float64], weights: Floats) -> Floats:
    """Matrix times vector, each row summed in the same order whatever the other rows (a BLAS product is not)."""
    return np.asarray(np.sum(matrix * weights, axis=1))


class _Problem:
    """The penalised loss and its gradient, in coordinates in which every column has a comparable scale."""

    def __init__(self, design: Design, targets: Probabilities, weights: Floats, settings: LinearSettings) -> None:
        self.targets, self.weights = targets, weights / weights.mean()
        self.base = prior_closeness(targets, weights)
        n = len(targets)
        seen = np.bincount(design.terms.indices, minlength=COLUMNS)
        self.known = np.flatnonzero(seen > 1)
        self.terms, self.apart = design.terms[:, self.known], design.apart[:, self.known]
        self.rarity = (np.log((1 + n) / (1 + seen[self.known])) + 1) / np.log(2 + n)
        self.gap_scale = _inverse(np.sqrt(np.mean(design.gap**2, axis=0)))
        self.centre = design.level.mean(axis=0)
        self.level_scale = _inverse(design.level.std(axis=0))
        self.gap = _bounded(design.gap * self.gap_scale)
        self.level = _bounded((design.level - self.centre) * self.level_scale)
        sizes = [self.known.size, self.known.size, self.gap.shape[1], self.level.shape[1], 1]
        self.cuts = np.cumsum(sizes)[:-1]
        self.start = np.zeros(sum(sizes))
        penalties = [settings.term_penalty] * 2 + [settings.feature_penalty] * 2 + [0.0]
        self.penalty = np.repeat(penalties, sizes)
        self.total = float(n)

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        terms, apart, gap, level, base = np.split(point, self.cuts)
        s = self.terms @ (terms * self.rarity) + self.gap @ gap
        t = self.apart @ (apart * self.rarity) + self.level @ level + (base + self.base)
        p = davidson_probabilities(s, t)
        ds, dt = (part * self.weights for part in davidson_gradients(p, self.targets))
        by_term = [(self.terms.T @ ds) * self.rarity, (self.apart.T @ dt) * self.rarity]
        slope = np.concatenate([*by_term, ds @ self.gap, dt @ self.level, [dt.sum()]])
        value = davidson_loss(p, self.targets, self.weights) * self.total + 0.5 * float(np.sum(self.penalty * point**2))
        return value / self.total, (slope + self.penalty * point) / self.total

    def weights_of(self, point: Floats) -> tuple[Any, ...]:
        """Weights for features as they come, from a point in scaled coordinates."""
        terms, apart, gap, level, base = np.split(point, self.cuts)
        return (
            self._spread(terms),
            self._spread(apart),
            gap,
            level,
            self.gap_scale,
            self.level_scale,
            self.centre,
            self.base + float(base[0]),
        )

    def _spread(self, weights: Floats) -> NDArray[np.float32]:
        """Weights of all columns, rounded to the half precision in which they are kept."""
        out = np.zeros(COLUMNS, dtype=np.float32)
        out[self.known] = (weights * self.rarity).astype(np.float16)
        return out


def _inverse(scale: Floats) -> Floats:
    return np.where(scale > 1e-9, 1 / np.maximum(scale, 1e-9), 0.0)
