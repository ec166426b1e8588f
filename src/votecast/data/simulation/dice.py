"""Draw at random, the same on every machine, version and batch size.

Everything that is simulated draws from here.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Dice:
    """Draws of one thing (a row, a prompt, an answer), decided by its key alone, for instance "0/row/17".

    Only `random.Random.random` seeded with text is used: Python promises that its sequence never changes, which NumPy
    does not promise for its distributions.
    """

    __slots__ = ("uniform",)

    def __init__(self, key: str) -> None:
        self.uniform = Random(key).random  # noqa: S311 - not for secrets

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.uniform() < probability

    def below(self, n: int) -> int:
        """Draw an integer from 0 to n - 1."""
        return int(self.uniform() * n)

    def pick(self, items: Sequence[Item]) -> Item:
        """Pick one of the items, all equally likely."""
        return items[int(self.uniform() * len(items))]

    def some(self, items: Sequence[Item], n: int) -> list[Item]:
        """Draw different items in random order, at most n of them."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(n, len(left)))]

    def index(self, cumulative: Sequence[float]) -> int:
        """Draw a position, given the cumulative weights of all positions."""
        return min(bisect(cumulative, self.uniform() * cumulative[-1]), len(cumulative) - 1)

    def normal(self) -> float:
        """Draw a standard normal number (Box and Muller, 1958)."""
        return math.sqrt(-2.0 * math.log(1.0 - self.uniform())) * math.cos(2.0 * math.pi * self.uniform())


def cumulative(weights: Sequence[float]) -> tuple[float, ...]:
    """Sum weights cumulatively, as `Dice.index` needs them."""
    return tuple(accumulate(weights))
