"""Two numbers to three probabilities: how strongly A is preferred, and how close the two are.

With a strength `s` and a closeness `t`, the votes have the odds

    a : b : tie  =  exp(s / 2) : exp(-s / 2) : exp(t)

(Davidson 1970, "On extending the Bradley-Terry model to accommodate ties", with a closeness of each pair's own).
Exchanging the answers changes the sign of `s` and nothing else, so that it exchanges columns a and b exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.types import Probabilities

Vector = NDArray[np.float64]


def link(s: Vector, t: Vector) -> Probabilities:
    """Probabilities of shape (n, 3) from strengths and closenesses of shape (n,).

    Example:
        >>> link(np.array([0.0]), np.array([0.0])).round(3)
        array([[0.333, 0.333, 0.333]])
    """
    half = 0.5 * s
    top = np.maximum(np.abs(half), t)
    a, b, tie = np.exp(half - top), np.exp(-half - top), np.exp(t - top)
    total = (a + b) + tie
    return np.stack([a / total, b / total, tie / total], axis=1)


def loss(p: Probabilities, targets: Probabilities, weights: Vector) -> float:
    """Weighted mean log loss against soft labels."""
    logs = np.log(np.maximum(p, 1e-15))
    return float(-np.sum(weights * np.sum(targets * logs, axis=1)) / np.sum(weights))


def gradients(p: Probabilities, targets: Probabilities) -> tuple[Vector, Vector]:
    """Derivatives of each row's log loss by `s` and by `t`, each of shape (n,)."""
    gap = p - targets
    return 0.5 * (gap[:, 0] - gap[:, 1]), gap[:, 2]


def curvatures(p: Probabilities) -> tuple[Vector, Vector]:
    """Second derivatives of each row's log loss by `s` and by `t`, each of shape (n,)."""
    decided, lead = p[:, 0] + p[:, 1], p[:, 0] - p[:, 1]
    return 0.25 * (decided - lead**2), p[:, 2] * (1 - p[:, 2])


def prior_closeness(targets: Probabilities, weights: Vector) -> float:
    """The closeness that forecasts the share of ties when nothing is known about the answers."""
    share = (float(np.sum(weights * targets[:, 2])) + 0.5) / (float(np.sum(weights)) + 1.5)
    return float(np.log(2 * share / (1 - share)))
