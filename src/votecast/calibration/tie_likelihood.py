"""Fit tie models: penalised likelihoods of votes, maximised by one damped Newton method.

Called by links from scores, the tie-link calibrator, the leaderboard and the audit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from votecast.calibration.tie_models import Terms, TieModel
from votecast.types import Floats

STEPS: Final = 60
CLOSE: Final = 1e-5
"""A Newton step shorter than this is the last: the error after it is its square."""


class Likelihood(ABC):
    """A penalised log-likelihood of votes, concave in its k parameters.

    Args:
        model: From leads to chances.
        votes: Weight of the votes for a, for b and for a tie, shape (n, 3).
        penalty: Precision of the normal prior of each parameter around 0, 0 for none, shape (k,).
        lower: Smallest value of each parameter, shape (k,).
        upper: Largest value, shape (k,).
    """

    def __init__(self, model: TieModel, votes: Floats, penalty: Floats, lower: Floats, upper: Floats) -> None:
        self.model, self.votes, self.penalty = model, votes, penalty
        self.lower, self.upper = lower, upper

    @abstractmethod
    def predictors(self, point: Floats) -> tuple[Floats, float | Floats]:
        """Return the lead of each row and the number for ties, one or one a row, shape (n,)."""

    @abstractmethod
    def gradient(self, point: Floats, terms: Terms) -> Floats:
        """Return the derivatives of the penalised log-likelihood, shape (k,)."""

    @abstractmethod
    def information(self, terms: Terms) -> Floats:
        """Return minus the second derivatives of the penalised log-likelihood, shape (k, k)."""

    def newton_matrix(self, terms: Terms) -> Floats:
        """Return the matrix of Newton's step: the information by default."""
        return self.information(terms)

    def terms(self, point: Floats) -> Terms:
        """Return the log-likelihood of each row, with derivatives."""
        return self.model.terms(*self.predictors(point), self.votes)

    def value(self, point: Floats, terms: Terms) -> float:
        """Return the penalised log-likelihood."""
        return float(terms.value.sum()) - 0.5 * float(self.penalty @ point**2)

    def step(self, point: Floats, terms: Terms) -> Floats | None:
        """Return Newton's step within the bounds; None where there is none."""
        slope, bend = self.gradient(point, terms), self.newton_matrix(terms)
        # projected Newton (Bertsekas 1982): parameters at a bound that the gradient pushes out stay there
        free = ~(((point <= self.lower) & (slope < 0)) | ((point >= self.upper) & (slope > 0)))
        step: Floats = np.zeros(len(point))
        if not free.all():
            slope, bend = slope[free], bend[np.ix_(free, free)]
        largest = float(np.abs(np.diag(bend)).max(initial=0.0))
        for damping in (0.0, 1e-8, 1e-4, 1e-2, 1.0):  # above 0 only where rounding hides that the likelihood is concave
            try:
                factor = cho_factor(bend + damping * largest * np.eye(len(bend)) if damping else bend)
            except LinAlgError:
                continue
            step[free] = cho_solve(factor, slope)
            if np.isfinite(step).all():
                return step
        return None

    def is_diverged(self, point: Floats) -> bool:  # noqa: ARG002
        """Return whether a parameter is on its way to infinity; never by default."""
        return False


def maximise(likelihood: Likelihood, start: Floats, *, steps: int = STEPS) -> Floats | None:
    """Maximise a likelihood by at most `steps` Newton steps from `start`, halved until they help.

    Returns:
        Parameters of shape (k,); None where there is no finite maximum.
    """
    point, terms = start, likelihood.terms(start)
    value = likelihood.value(point, terms)
    for _ in range(steps):
        step = likelihood.step(point, terms)
        if step is None:
            return None
        size = float(np.abs(step).max())
        slack = 1e-12 * max(1.0, abs(value))  # rounding
        for halving in range(40):
            ahead: Floats = np.clip(point + step / 2**halving, likelihood.lower, likelihood.upper)
            with np.errstate(all="ignore"):  # at a bound the likelihood may be 0
                terms_ahead = likelihood.terms(ahead)
                value_ahead = likelihood.value(ahead, terms_ahead)
            if np.isfinite(value_ahead) and value_ahead >= value - slack:
                break
        else:  # nothing on the way is better: this is the maximum, or there is none
            return point if size < np.sqrt(CLOSE) else None
        point, terms, value = ahead, terms_ahead, value_ahead
        if likelihood.is_diverged(point):
            return None
        if size < CLOSE:
            return point
    return None


class LinearLikelihood(Likelihood):
    """A likelihood whose leads and numbers for ties are linear in the parameters.

    Row by row, d = lead @ point + offset[0] and t = ties @ point + offset[1].
    Bounds are infinite where None.

    Args:
        model: From leads to chances.
        lead: Terms of the lead, shape (n, k).
        ties: Terms of the number for ties, shape (n, k).
        votes: Weight of the votes for a, for b and for a tie, shape (n, 3).
        penalty: Precision of the normal prior of each parameter around 0, shape (k,).
        lower: Smallest value of each parameter, shape (k,).
        upper: Largest value, shape (k,).
        offset: Leads and numbers for ties at parameters 0, each of shape (n,) or one for all.
    """

    def __init__(
        self,
        model: TieModel,
        lead: Floats,
        ties: Floats,
        votes: Floats,
        penalty: Floats,
        lower: Floats | None = None,
        upper: Floats | None = None,
        offset: tuple[float | Floats, float | Floats] = (0.0, 0.0),
    ) -> None:
        endless = np.full(len(penalty), np.inf)
        super().__init__(
            model, votes, penalty, -endless if lower is None else lower, endless if upper is None else upper
        )
        self.lead, self.ties, self.offset = lead, ties, offset

    def predictors(self, point: Floats) -> tuple[Floats, float | Floats]:
        """Return the lead and the number for ties of each row, each of shape (n,)."""
        return self.lead @ point + self.offset[0], self.ties @ point + self.offset[1]

    def scores(self, terms: Terms) -> Floats:
        """Return the derivatives of each row's log-likelihood, shape (n, k)."""
        return np.asarray(terms.d[:, None] * self.lead + terms.t[:, None] * self.ties)

    def gradient(self, point: Floats, terms: Terms) -> Floats:
        """Return the derivatives of the penalised log-likelihood, shape (k,)."""
        return np.asarray(self.lead.T @ terms.d + self.ties.T @ terms.t - self.penalty * point)

    def information(self, terms: Terms) -> Floats:
        """Return minus the second derivatives of the penalised log-likelihood, shape (k, k)."""
        mixed = self.lead.T @ (terms.dt[:, None] * self.ties)
        out = self.lead.T @ (terms.dd[:, None] * self.lead) + self.ties.T @ (terms.tt[:, None] * self.ties)
        return np.asarray(out + mixed + mixed.T + np.diag(self.penalty))

    def fisher(self, point: Floats, weights: Floats) -> Floats:
        """Return the information of the votes that the model expects, and of the priors, shape (k, k)."""
        d, t = self.predictors(point)
        return self.information(self.model.terms(d, t, weights[:, None] * np.exp(self.model.logs(d, t))))
