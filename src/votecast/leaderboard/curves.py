"""From how far one model is ahead of another to the chances of win, loss and tie: three curves and their derivatives.

Each takes the lead `d` of the first model in log odds, shape (n,), one number `t` for ties, and the weight of the votes
for the first, for the second and for a tie, shape (n, 3). The likelihood is linear in these weights, so that a row of
shares, a thousand votes on one pair, and votes corrected by predictions are all one.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple, Protocol

import numpy as np

from votecast.types import Floats


class Terms(NamedTuple):
    """Log-likelihood of each row, its derivatives, and minus its second derivatives, each of shape (n,).

    Args:
        value: Log-likelihood.
        d: Derivative by the lead.
        t: Derivative by the number for ties.
        dd: Minus the second derivative by the lead.
        dt: Minus the mixed second derivative.
        tt: Minus the second derivative by the number for ties.
    """

    value: Floats
    d: Floats
    t: Floats
    dd: Floats
    dt: Floats
    tt: Floats


class Rate(NamedTuple):
    """Chance of a win plus half that of a tie, and its derivatives by the lead and by the number for ties."""

    value: Floats
    by_d: Floats
    by_t: Floats


class Curve(Protocol):
    """A family of curves.

    Attributes:
        tie: What its number for ties is called where users see it (there it is exp(t)); empty without one.
        lowest: `t` stays above it.
    """

    tie: ClassVar[str]
    lowest: ClassVar[float]

    def terms(self, d: Floats, t: float, votes: Floats) -> Terms:
        """Log-likelihood of votes of shape (n, 3), with derivatives."""

    def rate(self, d: Floats, t: float) -> Rate:
        """Chance of a win plus half that of a tie."""

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal models."""


class BradleyTerry:
    """P(win) = s(d) with the logistic s, a tie being half a win for each (Bradley & Terry 1952, eq. 3)."""

    tie: ClassVar[str] = ""
    lowest: ClassVar[float] = -np.inf

    def terms(self, d: Floats, t: float, votes: Floats) -> Terms:  # noqa: ARG002
        """Log-likelihood of votes of shape (n, 3), with derivatives."""
        won, lost = votes[:, 0] + 0.5 * votes[:, 2], votes[:, 1] + 0.5 * votes[:, 2]
        p, q = _logistic(d), _logistic(-d)
        value = -(won * np.logaddexp(0.0, -d) + lost * np.logaddexp(0.0, d))
        none = np.zeros(len(d))
        return Terms(value, won * q - lost * p, none, (won + lost) * (p * q), none, none)

    def rate(self, d: Floats, t: float) -> Rate:  # noqa: ARG002
        """Chance of a win plus half that of a tie."""
        p = _logistic(d)
        return Rate(p, p * _logistic(-d), np.zeros_like(d))

    def start(self, share: float) -> float:  # noqa: ARG002
        """There is no number for ties."""
        return 0.0


class Davidson:
    """Odds exp(d / 2) : exp(-d / 2) : nu with nu = exp(t) (Davidson 1970, eq. 2.4): concave in d and t."""

    tie: ClassVar[str] = "nu"
    lowest: ClassVar[float] = -np.inf

    def terms(self, d: Floats, t: float, votes: Floats) -> Terms:
        """Log-likelihood of votes of shape (n, 3), with derivatives."""
        logs = _davidson_logs(d, t)
        a, b, tie = np.exp(logs).T
        total, gap, decided = (votes[:, 0] + votes[:, 1]) + votes[:, 2], a - b, a + b
        value = (votes[:, 0] * logs[:, 0] + votes[:, 1] * logs[:, 1]) + votes[:, 2] * logs[:, 2]
        by_d = 0.5 * ((votes[:, 0] - votes[:, 1]) - total * gap)
        dd = 0.25 * total * (decided - gap**2)
        return Terms(value, by_d, votes[:, 2] - total * tie, dd, -0.5 * total * gap * tie, total * tie * decided)

    def rate(self, d: Floats, t: float) -> Rate:
        """Chance of a win plus half that of a tie."""
        a, b, tie = np.exp(_davidson_logs(d, t)).T
        gap = a - b
        return Rate(0.5 * (1 + gap), 0.25 * ((a + b) - gap**2), -0.5 * tie * gap)

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal models."""
        return float(np.log(2 * share / (1 - share)))


class RaoKupper:
    """P(win) = s(d - t), P(loss) = s(-d - t) with theta = exp(t) (Rao & Kupper 1967, eq. 2.3): concave in d and t."""

    tie: ClassVar[str] = "theta"
    lowest: ClassVar[float] = 0.0

    def terms(self, d: Floats, t: float, votes: Floats) -> Terms:
        """Log-likelihood of votes of shape (n, 3); the chance of a tie is expm1(2t) P(win) P(loss)."""
        a, b = _logistic(d - t), _logistic(-d - t)
        not_b, not_a, tie = votes[:, 0] + votes[:, 2], votes[:, 1] + votes[:, 2], votes[:, 2]
        spread, bend = 2 / -np.expm1(-2 * t), 1 / np.sinh(t) ** 2
        value = -(not_b * np.logaddexp(0.0, t - d) + not_a * np.logaddexp(0.0, t + d))
        value = value + tie * (2 * t + np.log(-np.expm1(-2 * t)))
        by_a, by_b = not_b * (1 - a), not_a * (1 - b)
        bend_a, bend_b = by_a * a, by_b * b
        by_t = tie * spread - (by_a + by_b)
        return Terms(value, by_a - by_b, by_t, bend_a + bend_b, bend_b - bend_a, (bend_a + bend_b) + tie * bend)

    def rate(self, d: Floats, t: float) -> Rate:
        """Chance of a win plus half that of a tie."""
        a, b = _logistic(d - t), _logistic(-d - t)
        bend_a, bend_b = a * (1 - a), b * (1 - b)
        return Rate(0.5 * (1 + (a - b)), 0.5 * (bend_a + bend_b), 0.5 * (bend_b - bend_a))

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal models."""
        return float(2 * np.arctanh(share))


CURVES: Final[dict[str, Curve]] = {
    "bradley_terry": BradleyTerry(),
    "davidson": Davidson(),
    "rao_kupper": RaoKupper(),
}
"""The curves by the name of their fit."""


def _logistic(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1 + small))


def _davidson_logs(d: Floats, t: float) -> Floats:
    half = 0.5 * d
    top = np.maximum(np.abs(half), t)
    z = np.stack([half - top, -half - top, t - top], axis=-1)
    return np.asarray(z - np.log((np.exp(z[..., 0]) + np.exp(z[..., 1])) + np.exp(z[..., 2]))[..., None])
