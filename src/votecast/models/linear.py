"""A linear model over sparse hashed terms and standardized features; antisymmetric in strength."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
from votecast.models.array_files import read_arrays
from votecast.types import Floats, Ints, Probabilities

_BOUND = 3.0  # deviations: training rows end about there, and a straight line would go on


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
    gap: Floats
    level: Floats

    @classmethod
    def of(cls, features: PairFeatures) -> Self:
        """Arrange the features of battles."""
        terms = features.terms
        apart = csr_matrix((np.abs(terms.data), terms.indices, terms.indptr), shape=terms.shape)
        gap = features.a.astype(np.float64) - features.b
        mean = 0.5 * (features.a.astype(np.float64) + features.b)
        return cls(terms, apart, gap, np.concatenate([np.abs(gap), mean, features.shared], axis=1))

    def take(self, rows: Ints) -> Design:
        """Return the battles at these positions."""
        return Design(self.terms[rows], self.apart[rows], self.gap[rows], self.level[rows])

    def standardize(self, gap_scale: Floats, level_scale: Floats, centre: Floats) -> tuple[Floats, Floats]:
        """Return `gap` and `level` centred, scaled and clipped."""
        gap, level = self.gap * gap_scale, (self.level - centre) * level_scale
        return np.clip(gap, -_BOUND, _BOUND), np.clip(level, -_BOUND, _BOUND)


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
        problem = LinearLoss(design, targets, weights, settings)
        with threadpool_limits(1):  # the sums of BLAS depend on the number of threads
            found = minimize(problem, problem.start, jac=True, method="L-BFGS-B", options={"maxiter": settings.steps})
        terms, apart, gap, level, base = np.split(found.x, problem.cuts)
        kept = np.zeros((2, COLUMNS), dtype=np.float32)
        # rounded now to the half precision of the file, so that a judge predicts alike before and after saving
        kept[:, problem.known] = (np.stack([terms, apart]) * problem.rarity).astype(np.float16)
        scales = problem.gap_scale, problem.level_scale, problem.centre
        return cls(kept[0], kept[1], gap, level, *scales, problem.base + float(base[0]))

    @classmethod
    def read(cls, path: Path, gaps: int, levels: int) -> Self:
        """Read weights from a file of safetensors, for so many columns of `gap` and of `level`.

        Raises:
            ValueError: If an array is missing, or has another shape or precision, or a value that is not finite.
        """
        terms, gap, level = ((size,) for size in (COLUMNS, gaps, levels))
        shapes = {"terms": terms, "apart": terms, "gap": gap, "level": level, "gap_scale": gap, "level_scale": level}
        found: dict[str, Any] = read_arrays(path, shapes | {"centre": level, "base": (1,)}, halves=("terms", "apart"))
        found |= {name: found[name].astype(np.float32) for name in ("terms", "apart")}
        return cls(**found | {"base": float(found["base"][0])})

    def strength(self, design: Design) -> tuple[Floats, Floats]:
        """Return strength and closeness (without its constant) of each battle, each of shape (n,)."""
        gap, level = design.standardize(self.gap_scale, self.level_scale, self.centre)
        # np.sum adds each row in the same order whatever the other rows; a product of BLAS does not
        s = design.terms @ self.terms.astype(np.float64) + np.sum(gap * self.gap, axis=1)
        t = design.apart @ self.apart.astype(np.float64) + np.sum(level * self.level, axis=1)
        return s, t

    def contributions(self, design: Design) -> tuple[Floats, Floats]:
        """Return what every column adds to strength and closeness; summed over columns, they give `strength`.

        Returns:
            Two arrays of shape (n, 1 + columns of `level`): first all hashed terms together, then gaps (in the
            closeness without their sign), means and shared features.
        """
        gap, level = design.standardize(self.gap_scale, self.level_scale, self.centre)
        gap, level = gap * self.gap, level * self.level
        rest = np.zeros((len(gap), level.shape[1] - gap.shape[1]))
        terms, apart = design.terms @ self.terms.astype(np.float64), design.apart @ self.apart.astype(np.float64)
        return np.concatenate([terms[:, None], gap, rest], axis=1), np.concatenate([apart[:, None], level], axis=1)


class LinearLoss:
    """The penalized loss and its gradient, in coordinates in which every column has a comparable scale.

    Args:
        design: The battles.
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        settings: The penalties.
    """

    def __init__(self, design: Design, targets: Probabilities, weights: Floats, settings: LinearSettings) -> None:
        self.targets, self.weights, self.total = targets, weights / weights.mean(), float(len(targets))
        self.base = prior_closeness(targets, weights)
        seen = np.bincount(design.terms.indices, minlength=COLUMNS)
        self.known = np.flatnonzero(seen > 1)  # a term seen once can only be memorized
        self.terms, self.apart = design.terms[:, self.known], design.apart[:, self.known]
        n = len(targets)
        self.rarity = (np.log((1 + n) / (1 + seen[self.known])) + 1) / np.log(2 + n)
        self.centre = design.level.mean(axis=0)
        deviations = np.sqrt(np.mean(design.gap**2, axis=0)), design.level.std(axis=0)
        # a column without deviation says nothing and gets the scale 0
        self.gap_scale, self.level_scale = (
            np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9) for deviation in deviations
        )
        self.gap, self.level = design.standardize(self.gap_scale, self.level_scale, self.centre)
        sizes = [self.known.size, self.known.size, self.gap.shape[1], self.level.shape[1], 1]
        self.cuts, self.start = np.cumsum(sizes)[:-1], np.zeros(sum(sizes))
        self.penalty = np.repeat([settings.term_penalty] * 2 + [settings.feature_penalty] * 2 + [0.0], sizes)

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Return loss and gradient at a point: weights of terms, terms without sign, gaps, levels; the constant."""
        terms, apart, gap, level, base = np.split(point, self.cuts)
        s = self.terms @ (terms * self.rarity) + self.gap @ gap
        t = self.apart @ (apart * self.rarity) + self.level @ level + (base + self.base)
        p = davidson_probabilities(s, t)
        ds, dt = (part * self.weights for part in davidson_gradients(p, self.targets))
        # chain rule through s = X (w r): the gradient in w is r X' ds
        by_term = [(self.terms.T @ ds) * self.rarity, (self.apart.T @ dt) * self.rarity]
        slope = np.concatenate([*by_term, ds @ self.gap, dt @ self.level, [dt.sum()]])
        # mean loss times its total weight: the more rows, the weaker the penalty
        value = davidson_loss(p, self.targets, self.weights) * self.total + 0.5 * float(np.sum(self.penalty * point**2))
        return value / self.total, (slope + self.penalty * point) / self.total
