"""Vector scaling: the answers share one scale, the tie has its own scale and bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from votecast.calibration.base import Learning, learnt, log_probabilities, needs_ties, softmax
from votecast.metrics.checks import Checked
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

_BOUNDS: Final = [(0.0, 100.0), (0.0, 100.0), (-20.0, 20.0)]


class Vector(Learning):
    """A scale for each logit and a bias for each class (Guo et al. 2017, vector scaling), tied between a and b.

    Since a and b change places when the answers do, they share scale and bias; since a bias common to all classes
    changes nothing, theirs is 0. Left are three numbers: logits s·log(a), s·log(b), u·log(tie) + c, at the least log
    loss, which is convex in them. Scales are kept within 0 and 100, the bias within -20 and 20.

    Attributes:
        scale: Scale of a and b; None before `fit`.
        tie_scale: Scale of the tie.
        tie_bias: Bias of the tie: above 0 where ties were forecast too rarely.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2]]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]])
        >>> float(Vector().fit(rare, votes).transform(rare)[:, 2].mean().round(3))
        0.5
    """

    method: ClassVar[str] = "vector"
    parameters: ClassVar[int] = 3

    def __init__(self, scale: float | None = None, tie_scale: float = 1.0, tie_bias: float = 0.0) -> None:
        self.scale, self.tie_scale, self.tie_bias = scale, tie_scale, tie_bias

    def _learn(self, rows: Checked) -> None:
        t, p, w = rows
        needs_ties(self.method, rows)
        z, share = log_probabilities(p), w / w.sum()

        def loss(theta: Floats) -> tuple[float, Floats]:
            """Log loss and its gradient."""
            logits = _logits(z, *theta)
            top = logits.max(axis=1)
            mass = np.log(row_sum(np.exp(logits - top[:, None]))) + top
            off = share[:, None] * (softmax(logits) - t)
            sides = float((off[:, 0] * z[:, 0] + off[:, 1] * z[:, 1]).sum())
            return float(share @ (mass - row_sum(t * logits))), np.array([sides, off[:, 2] @ z[:, 2], off[:, 2].sum()])

        options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
        found = minimize(loss, [1.0, 1.0, 0.0], jac=True, method="L-BFGS-B", bounds=_BOUNDS, options=options)
        self.scale, self.tie_scale, self.tie_bias = (float(value) for value in found.x)

    def _apply(self, p: Probabilities) -> Probabilities:
        scale = learnt(self.scale, self.method)
        return softmax(_logits(log_probabilities(p), scale, self.tie_scale, self.tie_bias))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """The three numbers; no arrays."""
        numbers = {"scale": learnt(self.scale, self.method), "tie_scale": self.tie_scale, "tie_bias": self.tie_bias}
        return {"method": self.method} | numbers, {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Self:  # noqa: ARG003
        """The calibrator with these numbers.

        Raises:
            ValueError: If one of them is not finite.
        """
        numbers = [float(config[name]) for name in ("scale", "tie_scale", "tie_bias")]
        if not np.isfinite(numbers).all():
            raise ValueError(f"scale, tie_scale and tie_bias are {numbers}; allowed are finite numbers")
        return cls(*numbers)


def _logits(z: Floats, scale: float, tie_scale: float, tie_bias: float) -> Floats:
    return np.column_stack([scale * z[:, 0], scale * z[:, 1], tie_scale * z[:, 2] + tie_bias])
