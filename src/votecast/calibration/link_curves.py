"""The curves from two numbers to three probabilities: how far one answer is ahead, and how readily ties are called.

Each curve takes the lead `d` of answer a in log odds, shape (n,), and one number `t` for ties, or one for each row.
Exchanging the answers changes the sign of `d` and nothing else, and every formula here treats `d` and `-d` alike, so
that columns a and b change places to the last bit.
"""

from __future__ import annotations

from typing import ClassVar, Final, Protocol

import numpy as np

from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

FARTHEST: Final = 60.0
"""Leads beyond this count as this much: a forecast of the other answer stays above 0."""


class Curve(Protocol):
    """A family of curves.

    Attributes:
        tie: What its number for ties is called where users see it.
        bounds: Least and largest `t`.
    """

    tie: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]

    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Log-probabilities, shape (n, 3)."""

    def slopes(self, logs: Floats, t: float | Floats) -> tuple[Floats, Floats]:
        """Derivatives of the log-probabilities by `d` and by `t`, each of shape (n, 3)."""

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal answers."""

    def shown(self, t: float) -> float:
        """`t` as users see it; rising in `t`."""

    def hidden(self, shown: float) -> float:
        """The inverse of `shown`."""


class Davidson:
    """Odds exp(d / 2) : exp(-d / 2) : nu with nu = exp(t) (Davidson 1970, eq. 2.4): concave in d and t."""

    tie: ClassVar[str] = "nu"
    bounds: ClassVar[tuple[float, float]] = (-30.0, 30.0)

    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Log-probabilities, shape (n, 3)."""
        half = 0.5 * d
        top = np.maximum(np.abs(half), t)
        z = np.stack([half - top, -half - top, t - top], axis=1)
        return np.asarray(z - np.log(row_sum(np.exp(z)))[:, None])

    def slopes(self, logs: Floats, t: float | Floats) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Derivatives of the log-probabilities by `d` and by `t`, each of shape (n, 3)."""
        p = np.exp(logs)
        by_d = np.array([0.5, -0.5, 0.0]) - 0.5 * (p[:, :1] - p[:, 1:2])
        by_t = np.array([0.0, 0.0, 1.0]) - p[:, 2:]
        return by_d, by_t

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal answers."""
        return float(np.log(2 * share / (1 - share)))

    def shown(self, t: float) -> float:
        """nu: how much a tie weighs where an answer that is level with the other weighs 1."""
        return float(np.exp(t))

    def hidden(self, shown: float) -> float:
        """The inverse of `shown`."""
        return float(np.log(shown))


class _Band:
    """P(a) = s(d - t), P(b) = s(-d - t) with the logistic s; a tie is what lies between: concave in d and t > 0."""

    bounds: ClassVar[tuple[float, float]] = (1e-9, 30.0)

    def logs(self, d: Floats, t: float | Floats) -> Floats:
        """Log-probabilities, shape (n, 3); the tie is expm1(2t) P(a) P(b), which cancels nothing."""
        a, b = -np.logaddexp(0.0, t - d), -np.logaddexp(0.0, t + d)
        return np.stack([a, b, (a + b) + (2 * t + np.log(-np.expm1(-2 * t)))], axis=1)

    def slopes(self, logs: Floats, t: float | Floats) -> tuple[Floats, Floats]:
        """Derivatives of the log-probabilities by `d` and by `t`, each of shape (n, 3)."""
        p = np.exp(logs)
        below_a, below_b = 1 - p[:, 0], 1 - p[:, 1]
        by_d = np.stack([below_a, -below_b, p[:, 1] - p[:, 0]], axis=1)
        by_t = np.stack([-below_a, -below_b, 2 / -np.expm1(-2 * t) - (below_a + below_b)], axis=1)
        return by_d, by_t

    def start(self, share: float) -> float:
        """The `t` that calls this share of ties between equal answers."""
        return float(2 * np.arctanh(share))


class RaoKupper(_Band):
    """A difference below log(theta) = t goes unnoticed (Rao & Kupper 1967, eq. 2.3)."""

    tie: ClassVar[str] = "theta"

    def shown(self, t: float) -> float:
        """theta, at least 1: how many times as strong an answer must be before it is noticed."""
        return float(np.exp(t))

    def hidden(self, shown: float) -> float:
        """The inverse of `shown`."""
        return float(np.log(shown))


class OrderedLogit(_Band):
    """Cumulative logits with cut points -t and t (McCullagh 1980, section 2; equal by symmetry)."""

    tie: ClassVar[str] = "cut"

    def shown(self, t: float) -> float:
        """The cut point, above 0: the lead that is needed before a wins rather than draws."""
        return t

    def hidden(self, shown: float) -> float:
        """The inverse of `shown`."""
        return shown


CURVES: Final[dict[str, Curve]] = {"davidson": Davidson(), "rao_kupper": RaoKupper(), "ordered_logit": OrderedLogit()}
"""The curves that can be fitted, by name."""


def on_curve(curve: Curve, d: Floats, t: float) -> Probabilities:
    """Probabilities of shape (n, 3) for leads of shape (n,), none of them 0.

    Example:
        >>> on_curve(Davidson(), np.array([0.0]), 0.0).round(3)
        array([[0.333, 0.333, 0.333]])
    """
    p = np.exp(curve.logs(np.clip(d, -FARTHEST, FARTHEST), t))
    return np.asarray(p / row_sum(p)[:, None])


BAND: Final = 0.08
_TIE: Final = (0.00005, 0.00005, 0.9999)
_TAKEN: Final = 0.0001
_LEAST: Final = 1e-15


def fixed_rule(gap: Floats) -> Probabilities:
    """The rule of a reward model that was never shown a vote, for comparison; shape (n, 3).

    A gap below 0.08 is a tie, (0.00005, 0.00005, 0.9999); beyond it the softmax of both rewards, each minus 0.0001,
    with 0.0002 for a tie. Beyond a gap of 9.2 the rule as published gives the loser less than nothing; here it is
    clipped at 1e-15, as log loss is counted at the contest, and the row is divided by its sum.

    Example:
        >>> fixed_rule(np.array([0.0, 2.0])).round(5)
        array([[5.000e-05, 5.000e-05, 9.999e-01],
               [8.807e-01, 1.191e-01, 2.000e-04]])
    """
    bounded = np.clip(gap, -700.0, 700.0)
    sides = [np.maximum(1 / (1 + np.exp(-side)) - _TAKEN, _LEAST) for side in (bounded, -bounded)]
    p = np.stack([*sides, np.full(len(gap), 2 * _TAKEN)], axis=1)
    p[np.abs(gap) < BAND] = _TIE
    return np.asarray(p / row_sum(p)[:, None])
