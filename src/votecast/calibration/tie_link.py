"""The tie link: a forecast read as a lead and a readiness for ties, on the curves of Davidson or of Rao and Kupper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from votecast.calibration.base import Learning, learnt, log_probabilities, needs_ties, normalised
from votecast.calibration.link_curves import CURVES, FARTHEST
from votecast.metrics.checks import Checked
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

_NAMES: Final = ("scale", "tie_scale", "tie_bias")
_UNCHANGED: Final = (1.0, 1.0, 0.0)
_BAND: Final = "rao_kupper"
_BOUNDS: Final = {
    "davidson": [(0.0, 100.0), (-100.0, 100.0), (-30.0, 30.0)],
    _BAND: [(0.0, 100.0), (0.0, 100.0), (1e-9, 30.0)],
}
_OPTIONS: Final = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}


class TieLink(Learning):
    """From the lead of one answer and the tie of a forecast to votes, on the curves of `votecast.calibration.link`.

    Where a forecast lies on a curve, it has a lead d in log odds and a number t for ties; the calibrated forecast lies
    at scale * d and tie_scale * t + tie_bias. Davidson (1970): d is the log odds of a against b, t the log odds of a
    tie against the geometric mean of both. Rao and Kupper (1967): P(a) = s(d - t), P(b) = s(-d - t), t above 0. Both
    log losses are convex in the three numbers; the curve with the lower one is kept.

    Attributes:
        curve: davidson or rao_kupper.
        numbers: scale, tie_scale and tie_bias, shape (3,); None before `fit`.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 5]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 5)
        >>> float(TieLink().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "tie_link"
    parameters: ClassVar[int] = 3

    def __init__(self, curve: str = "davidson", numbers: Floats | None = None) -> None:
        self.curve, self.numbers = curve, numbers

    def _learn(self, rows: Checked) -> None:
        needs_ties(self.method, rows)
        found = {name: _fit(name, rows) for name in _BOUNDS}
        self.curve = min(found, key=lambda name: found[name][0])
        self.numbers = found[self.curve][1]

    def _apply(self, p: Probabilities) -> Probabilities:
        scale, tie_scale, bias = (float(number) for number in learnt(self.numbers, self.method))
        d, t = _READ[self.curve](p)
        lead, ties = np.clip(scale * d, -FARTHEST, FARTHEST), np.clip(tie_scale * t + bias, *_within(self.curve))
        return normalised(np.exp(CURVES[self.curve].logs(lead, ties)))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The curve and the three numbers; no arrays."""
        numbers = dict(zip(_NAMES, learnt(self.numbers, self.method).tolist(), strict=True))
        return {"method": self.method, "curve": self.curve} | numbers, {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator on this curve.

        Raises:
            ValueError: If there is no such curve, or a number is not finite.
        """
        numbers = np.array([float(config[name]) for name in _NAMES])
        if config["curve"] not in _BOUNDS or not np.isfinite(numbers).all():
            raise ValueError(f"curve {config['curve']!r} with {numbers.tolist()}; allowed are {', '.join(_BOUNDS)}")
        return cls(config["curve"], numbers)


def _on_davidson(p: Probabilities) -> tuple[Floats, Floats]:
    z = log_probabilities(p)
    return z[:, 0] - z[:, 1], z[:, 2] - 0.5 * (z[:, 0] + z[:, 1])


def _on_band(p: Probabilities) -> tuple[Floats, Floats]:
    z = log_probabilities(p)
    a = z[:, 0] - np.log(np.exp(z[:, 1]) + np.exp(z[:, 2]))
    b = z[:, 1] - np.log(np.exp(z[:, 0]) + np.exp(z[:, 2]))
    return 0.5 * (a - b), np.maximum(-0.5 * (a + b), 0.0)


_READ: Final = {"davidson": _on_davidson, _BAND: _on_band}
"""For each curve, the lead and the number for ties of forecasts that lie on it, each of shape (n,)."""


def _within(curve: str) -> tuple[float, float]:
    return (1e-9, FARTHEST) if curve == _BAND else (-FARTHEST, FARTHEST)


def _fit(name: str, rows: Checked) -> tuple[float, Floats]:
    """Log loss and the three numbers, shape (3,)."""
    curve, y = CURVES[name], rows.targets
    d, t = _READ[name](rows.probabilities)
    share = rows.weights / rows.weights.sum()

    def _loss(theta: Floats) -> tuple[float, Floats]:
        lead, ties = np.clip(theta[0] * d, -FARTHEST, FARTHEST), np.clip(theta[1] * t + theta[2], *_within(name))
        logs = curve.logs(lead, ties)
        by_d, by_t = (row_sum(y * part) for part in curve.slopes(logs, ties))
        by = np.array([share @ (by_d * d), share @ (by_t * t), share @ by_t])
        return -float(share @ row_sum(y * logs)), -by

    found = minimize(_loss, _UNCHANGED, jac=True, method="L-BFGS-B", bounds=_BOUNDS[name], options=_OPTIONS)
    return float(found.fun), np.asarray(found.x)
