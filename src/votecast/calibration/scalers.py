"""Scalers with up to three numbers, and isotonic regression: none, temperature, vector, tie link, isotonic.

Each class fits and transforms; `votecast.calibration.base.make_calibrator` finds it by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from scipy.optimize import brentq, isotonic_regression, minimize

from votecast.calibration.base import (
    Arrays,
    Calibrator,
    NumberScaler,
    State,
    log_probabilities,
    softmax,
)
from votecast.calibration.tie_likelihood import LinearLikelihood, maximise
from votecast.calibration.tie_models import FARTHEST, TIE_MODELS
from votecast.metrics.checks import Checked
from votecast.metrics.scores import log_losses, row_sum
from votecast.types import Floats, Probabilities


class Identity(Calibrator):
    """Leave probabilities as they are.

    Example:
        >>> Identity().transform([[0.5, 0.3, 0.2]])
        array([[0.5, 0.3, 0.2]])
    """

    method: ClassVar[str] = "none"
    parameters: ClassVar[int] = 0

    def _fit(self, *_: object) -> None:
        """Learn nothing, from any rows."""

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        return p.copy()

    def state(self) -> State:
        """Return nothing but the name."""
        return {"method": self.method}, {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        """Return the calibrator that changes nothing."""
        return cls()


class Temperature(NumberScaler):
    """Divide the logits by one temperature, which keeps the order of the classes (Guo et al. 2017, eq. 9).

    It is above 1 where predictions were overconfident, below 1 where they were underconfident. The log loss is convex
    in its inverse, and least where the derivative vanishes; the temperature is kept within 1/100 and 100, which
    predictions that know nothing, or everything, would leave.

    Example:
        >>> votes = np.eye(3)[[0, 0, 1, 2]]
        >>> bold = np.tile([0.98, 0.01, 0.01], (4, 1))
        >>> Temperature().fit(bold, votes).transform(bold[:1]).round(3)
        array([[0.5 , 0.25, 0.25]])
    """

    method: ClassVar[str] = "temperature"
    parameters: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("temperature",)
    above: ClassVar[float] = 0.0
    hottest: ClassVar[float] = 100.0

    def _fit(self, rows: Checked, *_: object) -> None:
        t, p, w = rows
        z = log_probabilities(p)  # (n, 3)
        voted = row_sum(t * z)

        def slope(inverse: float) -> float:
            """Return the derivative of the log loss by the inverse temperature."""
            return float(w @ (row_sum(softmax(inverse * z) * z) - voted))

        # the slope rises with the inverse temperature: a root lies inside unless both ends have one sign
        if slope(1 / self.hottest) >= 0:
            inverse = 1 / self.hottest
        elif slope(self.hottest) <= 0:
            inverse = self.hottest
        else:
            inverse = brentq(slope, 1 / self.hottest, self.hottest, xtol=1e-12)
        self.numbers = np.array([1 / inverse])

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        return softmax(log_probabilities(p) / float(self._known(self.numbers)[0]))


class Vector(NumberScaler):
    """A scale for each logit and a bias for each class, tied between a and b (Guo et al. 2017, vector scaling).

    Since a and b swap when the responses do, they share scale and bias; since a bias common to all classes changes
    nothing, theirs is 0. Left are three numbers: logits scale·log(a), scale·log(b), tie_scale·log(tie) + tie_bias, at
    the least log loss, which is convex in them. Scales are kept within 0 and 100, the bias within -20 and 20.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2]]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]])
        >>> float(Vector().fit(rare, votes).transform(rare)[:, 2].mean().round(3))
        0.5
    """

    method: ClassVar[str] = "vector"
    parameters: ClassVar[int] = 3
    names: ClassVar[tuple[str, ...]] = ("scale", "tie_scale", "tie_bias")

    def _fit(self, rows: Checked, *_: object) -> None:
        t, p, w = rows
        self._require_ties(rows)
        z, share = log_probabilities(p), w / w.sum()  # (n, 3), (n,)

        def loss(theta: Floats) -> tuple[float, Floats]:
            """Return the log loss and its gradient."""
            logits = self._logits(z, *theta)
            top = logits.max(axis=1)
            mass = np.log(row_sum(np.exp(logits - top[:, None]))) + top
            off = share[:, None] * (softmax(logits) - t)
            sides = float((off[:, 0] * z[:, 0] + off[:, 1] * z[:, 1]).sum())
            return float(share @ (mass - row_sum(t * logits))), np.array([sides, off[:, 2] @ z[:, 2], off[:, 2].sum()])

        bounds = [(0.0, 100.0), (0.0, 100.0), (-20.0, 20.0)]
        options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
        found = minimize(loss, [1.0, 1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        self.numbers = np.asarray(found.x, dtype=np.float64)

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        scale, tie_scale, tie_bias = (float(number) for number in self._known(self.numbers))
        return softmax(self._logits(log_probabilities(p), scale, tie_scale, tie_bias))

    @staticmethod
    def _logits(z: Floats, scale: float, tie_scale: float, tie_bias: float) -> Floats:
        return np.column_stack([scale * z[:, 0], scale * z[:, 1], tie_scale * z[:, 2] + tie_bias])


class TieLink(NumberScaler):
    """Move the lead and the tie of a prediction on a tie model.

    Where a prediction lies on a curve, it has a lead d in log odds and a number t for ties; the calibrated prediction
    lies at scale * d and tie_scale * t + tie_bias. On Davidson's curve (1970) d is the log odds of a against b, t the
    log odds of a tie against the geometric mean of both; on Rao and Kupper's (1967) P(a) = s(d - t), P(b) = s(-d - t).
    Both log losses are convex in the three numbers; the curve with the lower one is kept.

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
    names: ClassVar[tuple[str, ...]] = ("scale", "tie_scale", "tie_bias")
    unchanged: ClassVar[Floats] = np.array([1.0, 1.0, 0.0])
    bounds: ClassVar[dict[str, tuple[Floats, Floats]]] = {
        "davidson": (np.array([0.0, -100.0, -30.0]), np.array([100.0, 100.0, 30.0])),
        "rao_kupper": (np.array([0.0, 0.0, 1e-9]), np.array([100.0, 100.0, 30.0])),
    }
    """Smallest and largest numbers of each curve."""

    def __init__(self, curve: str = "davidson", numbers: Floats | None = None) -> None:
        super().__init__(*([] if numbers is None else numbers))
        self.curve = curve

    def _fit(self, rows: Checked, *_: object) -> None:
        self._require_ties(rows)
        least = np.inf
        for curve, (lower, upper) in self.bounds.items():
            d, t = self._read(curve, rows.probabilities)
            none = np.zeros_like(d)
            likelihood = LinearLikelihood(
                TIE_MODELS[curve],
                np.column_stack([d, none, none]),
                np.column_stack([none, t, np.ones_like(d)]),
                rows.weights[:, None] * rows.targets,
                # a prior around no change that moves nothing votes can tell, for numbers that they leave open
                penalty=np.full(3, 1e-9),
                lower=lower - self.unchanged,
                upper=upper - self.unchanged,
                offset=(d, t),
            )
            start = np.clip(np.zeros(3), likelihood.lower, likelihood.upper)
            found = maximise(likelihood, start, steps=200)
            numbers = self.unchanged + (start if found is None else found)
            loss = float(rows.weights @ log_losses(rows.targets, self._move(curve, numbers, rows.probabilities)))
            if loss < least:
                self.curve, self.numbers, least = curve, numbers, loss

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        return self._move(self.curve, self._known(self.numbers), p)

    def _move(self, curve: str, numbers: Floats, p: Probabilities) -> Probabilities:
        scale, tie_scale, bias = (float(number) for number in numbers)
        d, t = self._read(curve, p)
        lowest = 1e-9 if curve == "rao_kupper" else -FARTHEST
        return TIE_MODELS[curve].probabilities(scale * d, np.clip(tie_scale * t + bias, lowest, FARTHEST))

    @staticmethod
    def _read(curve: str, p: Probabilities) -> tuple[Floats, Floats]:
        """Return the lead and the number for ties of predictions that lie on a curve, each of shape (n,)."""
        z = log_probabilities(p)
        if curve == "davidson":
            return z[:, 0] - z[:, 1], z[:, 2] - 0.5 * (z[:, 0] + z[:, 1])
        a = z[:, 0] - np.log(np.exp(z[:, 1]) + np.exp(z[:, 2]))
        b = z[:, 1] - np.log(np.exp(z[:, 0]) + np.exp(z[:, 2]))
        return 0.5 * (a - b), np.maximum(-0.5 * (a + b), 0.0)

    def state(self) -> State:
        """Return the curve and the three numbers; no arrays."""
        return {"method": self.method, "curve": self.curve} | super().state()[0], {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        """Return the calibrator on this curve; ValueError if it is unknown, or a number is not finite."""
        numbers = np.array([float(config[name]) for name in cls.names])
        if config["curve"] not in cls.bounds or not np.isfinite(numbers).all():
            raise ValueError(f"curve {config['curve']!r} with {numbers.tolist()}; allowed are {', '.join(cls.bounds)}")
        return cls(config["curve"], numbers)


_CURVES: Final = ("answer_x", "answer_y", "tie_x", "tie_y")


class Isotonic(Calibrator):
    """One class against the rest, each by isotonic regression, then divided by the sum (Zadrozny & Elkan 2002, sec. 3).

    Responses a and b share one curve, fitted on both columns together; the tie has its own. Between the corners of a
    curve it is linear, beyond them flat. Where the votes say "never" or "always" the curve stops at 1 / (n + 3) from
    the end, n being the number of rows, so that no outcome is ever predicted at 0.

    Attributes:
        curves: Corners of the curve of the responses and of the tie: answer_x, answer_y, tie_x, tie_y; None before
            `fit`.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 0]]
        >>> p = np.array([[0.9, 0.0, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.7, 0.1]])
        >>> Isotonic().fit(p, votes).transform(p)[0].round(3)
        array([0.75 , 0.125, 0.125])
    """

    method: ClassVar[str] = "isotonic"
    parameters: ClassVar[int] = 4

    def __init__(self, curves: dict[str, Floats] | None = None) -> None:
        self.curves = curves

    def _fit(self, rows: Checked, *_: object) -> None:
        t, p, w = rows
        # a and b as one column of 2n rows, so that both get the same curve
        end = 1 / (len(w) + 3)
        sides = np.concatenate([p[:, 0], p[:, 1]]), np.concatenate([t[:, 0], t[:, 1]]), np.concatenate([w, w])
        curves = (*_rising_curve(*sides, end), *_rising_curve(p[:, 2], t[:, 2], w, end))
        self.curves = dict(zip(_CURVES, curves, strict=True))

    def _transform(self, p: Probabilities, *_: object) -> Probabilities:
        curves = self._known(self.curves)
        sides = [np.interp(p[:, k], curves["answer_x"], curves["answer_y"]) for k in (0, 1)]
        x = np.column_stack([*sides, np.interp(p[:, 2], curves["tie_x"], curves["tie_y"])])
        return np.asarray(x / row_sum(x)[:, None])

    def state(self) -> State:
        """Return the curves as arrays."""
        return {"method": self.method}, dict(self._known(self.curves))

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:  # noqa: ARG003
        """Return the calibrator with these curves; ValueError if a curve does not rise."""
        curves = {name: np.asarray(arrays[name], dtype=np.float64) for name in _CURVES}
        for x, y in ((curves["answer_x"], curves["answer_y"]), (curves["tie_x"], curves["tie_y"])):
            fine = x.ndim == 1 and x.shape == y.shape and len(x) > 0 and np.isfinite([x, y]).all()
            if not (fine and np.all(np.diff(x) > 0) and np.all(np.diff(y) >= 0) and y[0] > 0 and y[-1] < 1):
                raise ValueError("the corners of an isotonic curve must rise, in x strictly, with y between 0 and 1")
        return cls(curves)


def _rising_curve(p: Floats, hit: Floats, weights: Floats, end: float) -> tuple[Floats, Floats]:
    """Return the corners of the rising curve nearest to the hits."""
    x, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights)
    mean = np.bincount(place, weights * hit) / mass
    y = np.clip(isotonic_regression(mean, weights=mass).x, end, 1 - end)
    # points inside a flat stretch are no corners, and np.interp draws the line without them
    corner = np.ones(len(x), dtype=bool)
    corner[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return x[corner], y[corner]
