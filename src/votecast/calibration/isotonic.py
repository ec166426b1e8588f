"""Isotonic regression: whatever rising curve the votes ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from votecast.calibration.base import Learning, learnt, normalised
from votecast.metrics.checks import Checked
from votecast.types import Floats, Probabilities

_ARRAYS = ("answer_x", "answer_y", "tie_x", "tie_y")


class Isotonic(Learning):
    """One against the rest, each by isotonic regression, then divided by the sum (Zadrozny & Elkan 2002, section 3).

    Answers a and b share one curve, fitted on both columns together; the tie has its own. Between the corners of a
    curve it is linear, beyond them flat. Where the votes say "never" or "always" the curve stops at 1 / (n + 3) from
    the end, n being the number of rows, so that no outcome is ever forecast at 0.

    Attributes:
        curves: Corners of the curve of the answers and of the tie: answer_x, answer_y, tie_x, tie_y; None before `fit`.

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

    def _learn(self, rows: Checked) -> None:
        t, p, w = rows
        end = 1 / (len(w) + 3)
        sides = np.concatenate([p[:, 0], p[:, 1]]), np.concatenate([t[:, 0], t[:, 1]]), np.concatenate([w, w])
        curves = (*_curve(*sides, end), *_curve(p[:, 2], t[:, 2], w, end))
        self.curves = dict(zip(_ARRAYS, curves, strict=True))

    def _apply(self, p: Probabilities) -> Probabilities:
        curves = learnt(self.curves, self.method)
        sides = [np.interp(p[:, k], curves["answer_x"], curves["answer_y"]) for k in (0, 1)]
        return normalised(np.column_stack([*sides, np.interp(p[:, 2], curves["tie_x"], curves["tie_y"])]))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The curves as arrays."""
        return {"method": self.method}, dict(learnt(self.curves, self.method))

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator with these curves.

        Raises:
            ValueError: If a curve is not one.
        """
        curves = {name: np.asarray(arrays[name], dtype=np.float64) for name in _ARRAYS}
        for x, y in (("answer_x", "answer_y"), ("tie_x", "tie_y")):
            _check_curve(curves[x], curves[y])
        return cls(curves)


def _curve(p: Floats, hit: Floats, weights: Floats, end: float) -> tuple[Floats, Floats]:
    """Corners of the rising curve nearest to the hits."""
    x, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights)
    mean = np.bincount(place, weights * hit) / mass
    y = np.clip(isotonic_regression(mean, weights=mass).x, end, 1 - end)
    corner = np.ones(len(x), dtype=bool)
    corner[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    return x[corner], y[corner]


def _check_curve(x: Floats, y: Floats) -> None:
    fine = x.ndim == 1 and x.shape == y.shape and len(x) > 0 and bool(np.isfinite(x).all() and np.isfinite(y).all())
    if not (fine and np.all(np.diff(x) > 0) and np.all(np.diff(y) >= 0) and y[0] > 0 and y[-1] < 1):
        raise ValueError("the corners of an isotonic curve must rise, in x strictly, with y between 0 and 1")
