"""Simulate an arena and judges with one known fault each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.types import Probabilities

Tilting = Callable[[Battles, Probabilities], Probabilities]


def arena(rows: int, seed: int = 0) -> tuple[Battles, Probabilities]:
    """Return battles with votes, and true probabilities."""
    battles, truth = next(simulate(rows=rows, seed=seed, batch=rows))
    return battles, truth.probabilities


def tilted(p: Probabilities, lead: NDArray[np.float64]) -> Probabilities:
    """Raise the log odds of a against b by `lead`."""
    z = np.log(p) + lead[:, None] * [0.5, -0.5, 0.0]
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


def sharpened(p: Probabilities, power: NDArray[np.float64]) -> Probabilities:
    """Raise probabilities to a power; above 1 is overconfident."""
    z = p ** power[:, None]
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def revoted(battles: Battles, votes: Probabilities) -> Battles:
    """Return the same battles with other votes."""
    names = np.array(["a", "b", "tie"])[votes.argmax(axis=1)]
    place = battles.table.column_names.index("winner")
    field = battles.table.schema.field("winner")
    return Battles(battles.table.set_column(place, field, pa.array(names, pa.large_string())))


def drawn(p: Probabilities, seed: int) -> Probabilities:
    """Draw one vote for each row from its probabilities."""
    u = np.random.default_rng(seed).random((len(p), 1))
    return np.asarray(np.eye(3)[np.minimum((u > p.cumsum(axis=1)).sum(axis=1), 2)])


class Oracle:
    """A judge that returns the true probabilities, optionally tilted.

    Args:
        battles: Known battles.
        p: Their true probabilities.
        tilt: Changes the truth, given the battles in the shown order.
    """

    name = "knowing"
    hash = "0" * 64

    def __init__(self, battles: Battles, p: Probabilities, tilt: Tilting | None = None) -> None:
        self.known = {
            name: (first, row) for name, first, row in zip(battles.ids, battles.text("response_a"), p, strict=True)
        }
        self.tilt = tilt
        self.asked = 0

    def predict_proba(self, battles: Any) -> Probabilities:
        """Return the tilted truth in the shown order."""
        self.asked += 1
        rows = []
        for name, first in zip(battles.ids, battles.text("response_a"), strict=True):
            known, p = self.known[name]
            rows.append(p if known == first else p[[1, 0, 2]])
        found = np.array(rows)
        return found if self.tilt is None else self.tilt(battles, found)
