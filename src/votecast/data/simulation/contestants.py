"""Name the sixty models of the arena: how good each is, and its habits of style.

`simulate` draws two of them for every row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from votecast.data.simulation.dice import Dice, cumulative

_FAMILIES = ("aurora", "basalt", "cedar", "dune", "ember", "fjord", "grove", "harbor", "iris", "juniper")
_SIZES = ("1b", "3b", "7b", "13b", "34b", "70b")
_SIZE_SKILL = (-1.3, -0.8, -0.3, 0.2, 0.7, 1.2)


@dataclass(frozen=True)
class Contestant:
    """One model of the arena; habits are shares of its answers or turns."""

    name: str  # in the columns `model_a` and `model_b`
    skill: float  # how good its answers are, about standard normal over the arena
    verbosity: float  # mean of the log of its length relative to what is usual for the prompt
    lists: float  # answers with a list unasked
    headings: float
    bold: float  # sets words in bold
    chatty: float  # ends with a polite sentence, sometimes with an emoji
    refuses: float  # declines a turn
    loops: float  # falls into repeating itself
    foreign: float  # answers in another language than the question


def _contestant(family: str, size: int) -> Contestant:
    dice = Dice(f"model/{family}/{_SIZES[size]}")
    skill = _SIZE_SKILL[size] + 0.5 * dice.normal()
    return Contestant(
        name=f"{family}-{_SIZES[size]}",
        skill=skill,
        verbosity=0.3 * dice.normal() + 0.05 * skill,
        lists=0.15 + 0.35 * dice.uniform(),
        headings=0.05 + 0.3 * dice.uniform(),
        bold=0.1 + 0.4 * dice.uniform(),
        chatty=0.1 + 0.5 * dice.uniform(),
        refuses=0.02 + 0.12 * dice.uniform() ** 2,
        loops=0.16 / (1.0 + math.exp(1.5 * skill)),
        foreign=0.12 / (1.0 + math.exp(1.5 * skill)),
    )


MODELS: tuple[Contestant, ...] = tuple(_contestant(family, size) for family in _FAMILIES for size in range(len(_SIZES)))
"""All contestants, the same for every seed."""

_POPULARITY = cumulative([1.0 / (rank + 6.0) for rank in range(len(MODELS))])
_BY_POPULARITY = tuple(Dice("popularity").some(MODELS, len(MODELS)))


def draw_pair(dice: Dice) -> tuple[Contestant, Contestant]:
    """Draw two different models; well-known ones meet more often."""
    first = dice.index(_POPULARITY)
    second = first
    while second == first:
        second = dice.index(_POPULARITY)
    return _BY_POPULARITY[first], _BY_POPULARITY[second]
