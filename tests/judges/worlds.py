"""Simulate true probabilities, votes and judges of unequal quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class World:
    """Predictions (m, n, 3), votes (n, 3), weights and groups (n,)."""

    predictions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    groups: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.predictions, self.targets, self.weights, self.groups


def world(n: int = 600, *, noise: tuple[float, ...] = (0.4, 0.7, 1.0), seed: int = 0, soft: bool = False) -> World:
    """Simulate judges that see noisy log odds and shrink them."""
    rng = np.random.default_rng(seed)
    s, t = rng.normal(0, 1.2, n), rng.normal(-0.5, 0.5, n)

    def probabilities(s: np.ndarray, t: np.ndarray) -> np.ndarray:
        p = np.exp(np.stack([s / 2, -s / 2, t], axis=1))
        return p / p.sum(axis=1, keepdims=True)

    true = probabilities(s, t)
    votes = np.stack([rng.multinomial(3 if soft else 1, row) for row in true]) / (3 if soft else 1)
    judges = [
        probabilities((s + rng.normal(0, 1.2 * x, n)) / (1 + x * x), (t + rng.normal(0, 0.5 * x, n))) for x in noise
    ]
    return World(np.stack(judges), votes, rng.uniform(0.5, 2, n), np.arange(n) // 2)
