"""Tie models: from how far a leads to the chances of win, loss and tie.

Links, calibrators and the leaderboard fit them (`votecast.calibration.tie_likelihood`); models learn Davidson's two
numbers. Every formula treats the lead `d` and `-d` alike, so that columns a and b swap to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

import numpy as np

from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

FARTHEST: Final = 60.0
"""Leads beyond this count as this much where probabilities are predicted: none of them is ever 0."""


class Terms(NamedTuple):
    """Log-likelihood of each row, its derivatives, and minus its second derivatives, each of shape (n,)."""

    value: Floats
    d: Floats  # by the lead
    t: Floats  # by the number for ties
    dd: Floats
    dt: Floats
    tt: Floats


class Rate(NamedTuple):
    """Chance of a win plus half that of a tie, and its derivatives, each of shape (n,)."""

    value: Floats
    by_d: Floats
    by_t: Floats


class TieModel(ABC):
    """A model of votes by a lead `d` and a number `t` for ties.

    The lead is in log odds, shape (n,); there is one `t` for all rows or one for each. The log-likelihood is concave in
    both and linear in the weight of the votes for a, for b and for a tie, shape (n, 3): a row of shares, a thousand
    votes on one pair, and votes corrected by predictions are all one.

    Attributes:
        tie: Public name of the number for ties; empty without one.
        bounds: Smallest and largest `t` of links from scores.
        no_ties: The limit of `t` at which no tie occurs.
    """

    tie: ClassVar[str]
    no_ties: ClassVar[float] = -np.inf
    bounds: ClassVar[tuple[float, float]]

    @abstractmethod
    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Return log-probabilities, shape (n, 3)."""

    @abstractmethod
    def terms(self, d: Floats, t: float | Floats, votes: Floats) -> Terms:
        """Return the log-likelihood of votes (n, 3), its gradient and its Hessian."""

    @abstractmethod
    def rate(self, d: Floats, t: float) -> Rate:
        """Return the chance of a win plus half that of a tie."""

    @abstractmethod
    def start(self, share: float) -> float:
        """Return the `t` that predicts this share of ties between equal sides."""

    def shown(self, t: float) -> float:
        """Return the public number for ties, which rises with `t`."""
        return float(np.exp(t))

    def hidden(self, shown: float) -> float:
        """Return `t`: the inverse of `shown`."""
        return float(np.log(shown))

    def probabilities(self, d: Floats, t: float | Floats) -> Probabilities:
        """Return probabilities of shape (n, 3), none of them 0.

        Example:
            >>> Davidson().probabilities(np.array([0.0]), 0.0).round(3)
            array([[0.333, 0.333, 0.333]])
        """
        p = np.exp(self.logs(np.clip(d, -FARTHEST, FARTHEST), t))
        return np.asarray(p / row_sum(p)[:, None])


class BradleyTerry(TieModel):
    """P(a) = s(d) with the logistic s, a tie being half a win for each (Bradley & Terry 1952, eq. 3)."""

    tie: ClassVar[str] = ""
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def logs(self, d: Floats, t: float | Floats) -> Floats:  # noqa: ARG002
        """Return log-probabilities, shape (n, 3); a tie has none."""
        return np.stack([-np.logaddexp(0.0, -d), -np.logaddexp(0.0, d), np.full_like(d, -np.inf)], axis=1)

    def terms(self, d: Floats, t: float | Floats, votes: Floats) -> Terms:  # noqa: ARG002
        """Return the log-likelihood of votes (n, 3), its gradient and its Hessian."""
        won, lost = votes[:, 0] + 0.5 * votes[:, 2], votes[:, 1] + 0.5 * votes[:, 2]
        p, q = _logistic(d), _logistic(-d)
        value = -(won * np.logaddexp(0.0, -d) + lost * np.logaddexp(0.0, d))
        none = np.zeros(len(d))
        return Terms(value, won * q - lost * p, none, (won + lost) * (p * q), none, none)

    def rate(self, d: Floats, t: float) -> Rate:  # noqa: ARG002
        """Return the chance of a win plus half that of a tie."""
        p = _logistic(d)
        return Rate(p, p * _logistic(-d), np.zeros_like(d))

    def start(self, share: float) -> float:  # noqa: ARG002
        """Return 0: there is no number for ties."""
        return 0.0


class Davidson(TieModel):
    """Odds exp(d / 2) : exp(-d / 2) : nu with nu = exp(t) (Davidson 1970, eq. 2.4)."""

    tie: ClassVar[str] = "nu"
    bounds: ClassVar[tuple[float, float]] = (-30.0, 30.0)

    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Return log-probabilities, shape (n, 3)."""
        half = 0.5 * d
        # the largest of the three exponents is subtracted before exp, which then cannot overflow
        top = np.maximum(np.abs(half), t)
        z = np.stack([half - top, -half - top, t - top], axis=1)
        return np.asarray(z - np.log(row_sum(np.exp(z)))[:, None])

    def terms(self, d: Floats, t: float | Floats, votes: Floats) -> Terms:
        """Return the log-likelihood of votes (n, 3), its gradient and its Hessian."""
        logs = self.logs(d, t)
        # log odds are linear in (d, t): the Hessian is the covariance of (1/2, -1/2, 0) and (0, 0, 1) under the model
        a, b, tie = np.exp(logs).T
        total, gap, decided = row_sum(votes), a - b, a + b
        by_d = 0.5 * ((votes[:, 0] - votes[:, 1]) - total * gap)
        dd = 0.25 * total * (decided - gap**2)
        by_t, dt, tt = votes[:, 2] - total * tie, -0.5 * total * gap * tie, total * tie * decided
        return Terms(row_sum(votes * logs), by_d, by_t, dd, dt, tt)

    def rate(self, d: Floats, t: float) -> Rate:
        """Return the chance of a win plus half that of a tie."""
        a, b, tie = np.exp(self.logs(d, t)).T
        gap = a - b
        return Rate(0.5 * (1 + gap), 0.25 * ((a + b) - gap**2), -0.5 * tie * gap)

    def start(self, share: float) -> float:
        """Return the `t` that predicts this share of ties between equal sides."""
        return float(np.log(2 * share / (1 - share)))


class RaoKupper(TieModel):
    """P(a) = s(d - t), P(b) = s(-d - t): a lead below log(theta) = t goes unnoticed (Rao & Kupper 1967, eq. 2.3).

    The chance of a tie, what lies between, is expm1(2t) P(a) P(b), a form in which nothing cancels.
    """

    tie: ClassVar[str] = "theta"
    bounds: ClassVar[tuple[float, float]] = (1e-9, 30.0)
    no_ties: ClassVar[float] = 0.0

    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Return log-probabilities, shape (n, 3)."""
        a, b = -np.logaddexp(0.0, t - d), -np.logaddexp(0.0, t + d)
        return np.stack([a, b, (a + b) + (2 * t + np.log(-np.expm1(-2 * t)))], axis=1)

    def terms(self, d: Floats, t: float | Floats, votes: Floats) -> Terms:
        """Return the log-likelihood of votes (n, 3), its gradient and its Hessian."""
        # log P(tie) = log P(a) + log P(b) + log expm1(2t): a vote for a tie counts on both sides
        a, b = _logistic(d - t), _logistic(-d - t)
        not_b, not_a, tie = votes[:, 0] + votes[:, 2], votes[:, 1] + votes[:, 2], votes[:, 2]
        spread, bend = 2 / -np.expm1(-2 * t), 1 / np.sinh(t) ** 2  # derivatives of log expm1(2t)
        value = -(not_b * np.logaddexp(0.0, t - d) + not_a * np.logaddexp(0.0, t + d))
        value = value + tie * (2 * t + np.log(-np.expm1(-2 * t)))
        by_a, by_b = not_b * (1 - a), not_a * (1 - b)
        bend_a, bend_b = by_a * a, by_b * b
        by_t = tie * spread - (by_a + by_b)
        return Terms(value, by_a - by_b, by_t, bend_a + bend_b, bend_b - bend_a, (bend_a + bend_b) + tie * bend)

    def rate(self, d: Floats, t: float) -> Rate:
        """Return the chance of a win plus half that of a tie."""
        a, b = _logistic(d - t), _logistic(-d - t)
        bend_a, bend_b = a * (1 - a), b * (1 - b)
        return Rate(0.5 * (1 + (a - b)), 0.5 * (bend_a + bend_b), 0.5 * (bend_b - bend_a))

    def start(self, share: float) -> float:
        """Return the `t` that predicts this share of ties between equal sides."""
        return float(2 * np.arctanh(share))


class OrderedLogit(RaoKupper):
    """Cumulative logits, cut at -t and t: Rao and Kupper's curve by another number (McCullagh 1980, sec. 2)."""

    tie: ClassVar[str] = "cut"

    def shown(self, t: float) -> float:
        """Return the cut point, above 0: the lead that a needs to win rather than tie."""
        return t

    def hidden(self, shown: float) -> float:
        """Return the inverse of `shown`."""
        return shown


def _logistic(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))


TIE_MODELS: Final[dict[str, TieModel]] = {
    "davidson": Davidson(),
    "rao_kupper": RaoKupper(),
    "ordered_logit": OrderedLogit(),
}
"""The models with a number for ties, by name."""


# Davidson's model with a closeness t of each row's own, as models learn it:
#
#     a : b : tie = exp(s / 2) : exp(-s / 2) : exp(t)
#
# These five functions work on probabilities where Davidson works on logarithms: judges that are stored were trained and
# predict by these very operations, and must stay equal to the last bit.


def davidson_probabilities(s: Floats, t: Floats) -> Probabilities:
    """Return probabilities of shape (n, 3) for strengths and closenesses of shape (n,).

    Example:
        >>> davidson_probabilities(np.array([0.0]), np.array([0.0])).round(3)
        array([[0.333, 0.333, 0.333]])
    """
    half = 0.5 * s
    top = np.maximum(np.abs(half), t)
    a, b, tie = np.exp(half - top), np.exp(-half - top), np.exp(t - top)
    total = (a + b) + tie
    return np.stack([a / total, b / total, tie / total], axis=1)


def davidson_loss(p: Probabilities, targets: Probabilities, weights: Floats) -> float:
    """Return the weighted mean log loss against soft labels."""
    logs = np.log(np.maximum(p, 1e-15))
    return float(-np.sum(weights * np.sum(targets * logs, axis=1)) / np.sum(weights))


def davidson_gradients(p: Probabilities, targets: Probabilities) -> tuple[Floats, Floats]:
    """Return the derivatives of each row's log loss by `s` and by `t`, each of shape (n,)."""
    gap = p - targets
    return 0.5 * (gap[:, 0] - gap[:, 1]), gap[:, 2]


def davidson_curvatures(p: Probabilities) -> tuple[Floats, Floats]:
    """Return the second derivatives of each row's log loss by `s` and by `t`, each of shape (n,)."""
    decided, lead = p[:, 0] + p[:, 1], p[:, 0] - p[:, 1]
    return 0.25 * (decided - lead**2), p[:, 2] * (1 - p[:, 2])


def prior_closeness(targets: Probabilities, weights: Floats) -> float:
    """Return the closeness that predicts the share of ties."""
    share = (float(np.sum(weights * targets[:, 2])) + 0.5) / (float(np.sum(weights)) + 1.5)
    return float(np.log(2 * share / (1 - share)))
