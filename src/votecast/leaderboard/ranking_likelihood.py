"""The likelihood of a ranking: strengths, perhaps a number for ties, perhaps coefficients of style, and its maximum.

Called by the fit of a ranking and by every drawn file of its bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from votecast.calibration.tie_likelihood import Likelihood, maximise
from votecast.calibration.tie_models import BradleyTerry, Davidson, RaoKupper, Terms, TieModel
from votecast.errors import DataError
from votecast.leaderboard.connectivity import bounds_ties, join_names, loss_groups
from votecast.leaderboard.game_rows import Cells
from votecast.types import Floats, Ints

RANKING_MODELS: Final[dict[str, TieModel]] = {
    "bradley_terry": BradleyTerry(),
    "davidson": Davidson(),
    "rao_kupper": RaoKupper(),
}
"""The fits by maximum likelihood, by name."""

FARTHEST: Final = 30.0
"""Strengths farther from their mean, in log odds, are on their way to infinity."""

PRIOR: Final = 2.5
"""Standard deviation, in log odds, of the normal prior of strengths that votes alone cannot bound."""


class RankingLikelihood(Likelihood):
    """The penalised likelihood of votes; parameters are strengths, then the number for ties, then style."""

    def __init__(self, model: TieModel, cells: Cells) -> None:
        # how many strengths, numbers for ties (none or one), coefficients of style, and parameters in all
        self.cells, self.models, self.tie, self.style = cells, cells.models, bool(model.tie), cells.style.shape[1]
        self.size = self.models + self.tie + self.style
        lower = np.full(self.size, -np.inf)
        if self.tie:
            lower[self.models] = model.no_ties
        super().__init__(model, cells.votes, np.zeros(self.size), lower, np.full(self.size, np.inf))

    def split(self, point: Floats) -> tuple[Floats, float, Floats]:
        """Return strengths, the number for ties (0 without one) and coefficients of style."""
        tie = float(point[self.models]) if self.tie else 0.0
        return point[: self.models], tie, point[self.models + self.tie :]

    def predictors(self, point: Floats) -> tuple[Floats, float | Floats]:
        """Return the lead of each cell, shape (c,), and the number for ties."""
        strengths, t, style = self.split(point)
        d: Floats = strengths[self.cells.first] - strengths[self.cells.second]
        return (d + self.cells.style @ style if self.style else d), t

    def gradient(self, point: Floats, terms: Terms) -> Floats:
        """Return the derivatives of the penalised log-likelihood, shape (size,)."""
        parts = [self.cells.sum_by_models(terms.d)]
        parts += [np.array([terms.t.sum()])] if self.tie else []
        parts += [terms.d @ self.cells.style] if self.style else []
        return np.asarray(np.concatenate(parts) - self.penalty * point)

    def information(self, terms: Terms) -> Floats:
        """Return minus the second derivatives, shape (size, size)."""
        # blocks of strengths (m), the number for ties (1) and style; votes fix only differences of strengths
        cells, m, k = self.cells, self.models, self.models + self.tie
        out = np.zeros((self.size, self.size))
        out[:m, :m] = cells.laplacian(terms.dd)
        if self.tie:
            out[:m, m] = out[m, :m] = cells.sum_by_models(terms.dt)
            out[m, m] = terms.tt.sum()
        if self.style:
            weighted = terms.dd[:, None] * cells.style
            out[k:, k:] = cells.style.T @ weighted
            out[:m, k:] = np.stack([cells.sum_by_models(column) for column in weighted.T], axis=1)
            out[k:, :m] = out[:m, k:].T
            if self.tie:
                out[m, k:] = out[k:, m] = terms.dt @ cells.style
        return np.asarray(out + np.diag(self.penalty))

    def newton_matrix(self, terms: Terms) -> Floats:
        """Return the information with the mean of all strengths held, which votes do not determine."""
        # its inverse is that of centred strengths, for the information sends equal strengths to 0 (or, under a prior,
        # to a multiple of themselves)
        out, m = self.information(terms), self.models
        out[:m, :m] += max(float(np.trace(out[:m, :m])) / m, 1e-300) / m
        return out

    def step(self, point: Floats, terms: Terms) -> Floats | None:
        """Return Newton's step with strengths of mean 0; None where there is none."""
        step = super().step(point, terms)
        if step is not None:
            step[: self.models] -= step[: self.models].mean()
        return step

    def is_diverged(self, point: Floats) -> bool:
        """Return whether a strength is on its way to infinity."""
        return float(np.abs(point[: self.models]).max()) > FARTHEST

    def bread(self, point: Floats) -> Floats:
        """Return the inverse information, strengths centred, shape (size, size)."""
        out, m = np.linalg.inv(self.newton_matrix(self.terms(point))), self.models
        out[:m] -= out[:m].mean(axis=0)
        out[:, :m] -= out[:, :m].mean(axis=1, keepdims=True)
        return np.asarray(out)


class Solution(NamedTuple):
    """Parameters that maximise a likelihood, and whether they needed a prior."""

    likelihood: RankingLikelihood
    point: Floats
    # groups of models within which all lost or drew, (models,)
    level: Ints
    prior: bool

    def notes(self, method: str, names: Sequence[str]) -> list[str]:
        """Describe the fallbacks that were used."""
        notes = []
        if RANKING_MODELS[method].tie and not self.likelihood.tie:
            notes.append(f"no vote is a tie: the {method} fit is then that of bradley_terry")
        if self.prior:
            largest = np.argmax(np.bincount(self.level))
            away = [names[each] for each in np.flatnonzero(self.level != largest).tolist()]
            why = "the votes determine no finite strengths"
            if away:
                they = "it" if len(away) == 1 else "each of them"
                why = (
                    f"the votes do not bound the strengths of {join_names(away)}: against the largest group of models "
                    f"that beat each other, {they} never lost, or never won, not even through third models"
                )
            notes.append(f"{why}: all strengths have a normal prior with standard deviation {PRIOR} (log odds)")
        return notes


def solve(method: str, cells: Cells, style_ridge: float = 0.0, start: Floats | None = None) -> Solution:
    """Fit strengths from a start, if its shape fits, with a normal prior where votes determine no finite ones.

    Raises:
        DataError: If even with the prior there is no finite fit.
    """
    model, total = RANKING_MODELS[method], float(cells.votes.sum())
    # without ties the number for ties has no finite value: the fit is then Bradley and Terry's
    if not (model.tie and float(cells.votes[:, 2].sum()) > 0):
        model = RANKING_MODELS["bradley_terry"]
    likelihood = RankingLikelihood(model, cells)
    # for each vote half of the ridge times the squares of the coefficients of style
    likelihood.penalty[likelihood.size - likelihood.style :] = style_ridge * total
    first = np.zeros(likelihood.size)
    if likelihood.tie:
        # the share of ties, were all models equal: close enough for Newton's first step
        first[likelihood.models] = model.start(float(np.clip(cells.votes[:, 2].sum() / total, 1e-3, 1 - 1e-3)))
    # strengths are finite only if every model lost somewhere, at least through others (Ford 1957)
    level = loss_groups(cells)
    if not level.any() and (not likelihood.tie or bounds_ties(cells)):
        point = maximise(likelihood, first if start is None or len(start) != likelihood.size else start)
        if point is not None:
            return Solution(likelihood, point, level, prior=False)
    likelihood.penalty[: likelihood.models] = 1 / PRIOR**2
    point = maximise(likelihood, first)
    if point is None:
        raise DataError(
            f"the {method} fit finds no finite parameters on {total:,.0f} votes between {likelihood.models} models; "
            "give more votes, leave style out, or give it a ridge (style_ridge above 0)"
        )
    return Solution(likelihood, point, level, prior=True)
