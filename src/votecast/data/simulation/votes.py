"""How people vote: the quality of an answer from its traits, Davidson's model, and who votes.

`simulate` draws votes by it, and `Truth` holds the exact probabilities it gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.data.simulation.dice import Dice, cumulative
from votecast.types import CLASSES, Probabilities

ON_TOPIC, REPEATED = 2.6, -1.4  # worth of a share of sentences
REFUSED, FOREIGN, EMPTY, DELIVERED = -0.8, -0.8, -2.0, 0.7  # worth of a share of turns
LISTS, HEADINGS, BOLD = 0.4, 0.3, 0.3
WRONG_SUM, LENGTH = -0.35, 0.15
SHORTEST, LONGEST = 100, 4000

TIES = 1.25
"""Davidson's nu: how ready people are to call a tie."""

GUESSES = 0.06
"""Share of votes cast without looking: each outcome equally likely."""

LEANS = ((-0.3, 0.25), (0.0, 0.5), (0.3, 0.25))
"""Pull towards response A, and its share among votes. Symmetric, so that the order carries no information."""

MOODS = ((-0.8, 1 / 6), (0.0, 2 / 3), (0.8, 1 / 6))
"""What one rater sees in an answer that others do not, and its share: three-point Gauss-Hermite noise."""

_NOISE = tuple((lean + mood, p * q) for lean, p in LEANS for mood, q in MOODS)
_CUMULATIVE = cumulative([share for _, share in _NOISE])


@dataclass(slots=True)
class Traits:
    """Counts of one answer, over all its turns."""

    chars: int = 0
    sentences: int = 0  # list items included
    on_topic: int = 0  # sentences about the nouns of the question
    repeated: int = 0  # sentences that only repeat the one before
    turns: int = 0
    refused: int = 0  # turns that decline to answer
    foreign: int = 0  # turns in another language than the question
    empty: int = 0  # turns never written
    delivered: int = 0  # turns with the list, the table or the code that was asked for
    lists: int = 0  # turns that hold a list
    headings: int = 0
    bold: int = 0
    wrong_sums: int = 0


def quality(traits: Traits) -> float:
    """Compute the worth of an answer on the log scale of the vote model.

    Shares of sentences and turns count, not numbers; wrong sums count up to two, and length helps a little.
    """
    sentences, turns = max(traits.sentences, 1), max(traits.turns, 1)
    by_turn = (
        REFUSED * traits.refused
        + FOREIGN * traits.foreign
        + EMPTY * traits.empty
        + DELIVERED * traits.delivered
        + LISTS * traits.lists
        + HEADINGS * traits.headings
        + BOLD * traits.bold
    ) / turns
    by_sentence = (ON_TOPIC * traits.on_topic + REPEATED * traits.repeated) / sentences
    length = LENGTH * math.log(min(max(traits.chars, SHORTEST), LONGEST) / SHORTEST)
    return by_turn + by_sentence + WRONG_SUM * min(traits.wrong_sums, 2) + length


def davidson(difference: ArrayLike, ties: float = TIES) -> Probabilities:
    """Compute the probabilities of a vote from how much better response A is.

    Davidson (1970), "On extending the Bradley-Terry model to accommodate ties in paired comparison experiments",
    JASA 65: with worths w_a and w_b, the outcomes a, b and tie are as w_a : w_b : nu sqrt(w_a w_b).

    Args:
        difference: log w_a - log w_b, shape (n,).
        ties: nu, at least 0.

    Example:
        >>> davidson([0.0]).round(3)
        array([[0.308, 0.308, 0.385]])
    """
    half = np.asarray(difference, dtype=np.float64) / 2.0
    # Divided by sqrt(w_a w_b), the worths are exp(d / 2) and exp(-d / 2), and the tie is nu.
    scores = np.stack([half, -half, np.full_like(half, np.log(ties))], axis=-1)  # (n, 3)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=-1, keepdims=True))


def vote_probabilities(quality_a: ArrayLike, quality_b: ArrayLike) -> Probabilities:
    """Compute the exact chance of each vote given the qualities of both responses, shape (n, 3).

    The average of Davidson's model over every lean towards a place and every mood of a rater, and the guesses. Both
    noises are symmetric: swapping the responses swaps the columns a and b.
    """
    difference = np.asarray(quality_a, dtype=np.float64) - np.asarray(quality_b, dtype=np.float64)
    total: NDArray[np.float64] = np.zeros((*difference.shape, 3))
    for shift, share in _NOISE:
        total += share * davidson(difference + shift)
    mixed = GUESSES / 3.0 + (1.0 - GUESSES) * total
    return np.asarray(mixed / mixed.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Rater:
    """A person who casts a vote."""

    guesses: bool  # casts the vote without looking
    shift: float  # is added to the difference in quality
    draw: float  # the uniform number that decides the vote

    @classmethod
    def drawn(cls, dice: Dice) -> Rater:
        """Draw the rater of one row."""
        return cls(dice.chance(GUESSES), _NOISE[dice.index(_CUMULATIVE)][0], dice.uniform())


def cast_votes(difference: ArrayLike, raters: list[Rater]) -> list[str]:
    """Cast the votes of these raters on these differences in quality, both of length n."""
    shifted = np.asarray(difference, dtype=np.float64) + np.array([rater.shift for rater in raters])
    chances = davidson(shifted)
    chances[[rater.guesses for rater in raters]] = 1.0 / 3.0
    draws = np.array([rater.draw for rater in raters])
    position = (draws[:, None] >= np.cumsum(chances, axis=1)[:, :2]).sum(axis=1)
    return [CLASSES[i] for i in position]
