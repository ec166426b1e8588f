"""Generate votes and predictions for tests of metrics."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from votecast.types import Probabilities


def predictions(rows: int, seed: int = 0, spread: float = 1.0) -> Probabilities:
    """Return random predictions, shape (rows, 3)."""
    z = np.exp(spread * np.random.default_rng(seed).normal(size=(rows, 3)))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def drawn(p: Probabilities, seed: int = 0) -> NDArray[np.int64]:
    """Draw a class for each row from its prediction."""
    u = np.random.default_rng(seed + 1).random((len(p), 1))
    return np.minimum((u > p.cumsum(axis=1)).sum(axis=1), 2)


def one_hot(labels: NDArray[np.int64]) -> Probabilities:
    """Return labels 0, 1, 2 as votes of shape (n, 3)."""
    return np.eye(3)[labels]


@st.composite
def files(draw: st.DrawFn, soft: bool = True) -> tuple[Probabilities, Probabilities, NDArray[np.float64]]:
    """Generate votes, predictions and weights of 1 to 30 rows."""
    rows = draw(st.integers(1, 30))
    kind = st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.0]) if draw(st.booleans()) else st.floats(0.001, 1)
    p = np.array([draw(st.tuples(kind, kind, kind).filter(lambda x: sum(x) > 0)) for _ in range(rows)])
    if soft and draw(st.booleans()):
        counts = st.tuples(*[st.integers(0, 3)] * 3).filter(lambda x: sum(x) > 0)
        t = np.array([draw(counts) for _ in range(rows)], dtype=np.float64)
    else:
        t = one_hot(np.array([draw(st.integers(0, 2)) for _ in range(rows)]))
    w = np.array([draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in range(rows)])
    return t / t.sum(axis=1, keepdims=True), p / p.sum(axis=1, keepdims=True), w
