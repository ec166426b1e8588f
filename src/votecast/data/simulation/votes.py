"""How people vote on two qualities: Davidson's model, blurred by where an answer stands and by who votes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.data.simulation.dice import Dice, cumulative
from votecast.types import Probabilities, Winner

TIES = 1.25
"""Davidson's nu: how ready people are to call a tie."""

GUESSES = 0.06
"""Share of votes cast without looking: each outcome equally likely."""

LEANS = ((-0.3, 0.25), (0.0, 0.5), (0.3, 0.25))
"""Pull towards the first answer shown, and its share among votes. Symmetric, so that order tells nothing."""

MOODS = ((-0.8, 1 / 6), (0.0, 2 / 3), (0.8, 1 / 6))
"""What one rater sees in an answer that others do not, and its share: three-point Gauss-Hermite noise."""

_OUTCOMES: tuple[Winner, ...] = ("a", "b", "tie")
_NOISE = tuple((lean + mood, p * q) for lean, p in LEANS for mood, q in MOODS)
_CUMULATIVE = cumulative([share for _, share in _NOISE])


def davidson(difference: ArrayLike, ties: float = TIES) -> Probabilities:
    """Probabilities of a vote, given how much better the first answer is.

    Davidson (1970), "On extending the Bradley-Terry model to accommodate ties in paired comparison experiments",
    JASA 65: with worths w_a and w_b, the outcomes a, b and tie are as w_a : w_b : nu sqrt(w_a w_b).

    Args:
        difference: log w_a - log w_b, shape (n,).
        ties: nu, at least 0.

    Returns:
        Probabilities of shape (n, 3).

    Example:
        >>> davidson([0.0]).round(3)
        array([[0.308, 0.308, 0.385]])
    """
    half = np.asarray(difference, dtype=np.float64) / 2.0
    scores = np.stack([half, -half, np.full_like(half, np.log(ties))], axis=-1)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(scores / scores.sum(axis=-1, keepdims=True))


def vote_probabilities(quality_a: ArrayLike, quality_b: ArrayLike) -> Probabilities:
    """The exact chance of each vote, given the two texts and nothing about who votes.

    The average of Davidson's model over every lean towards a place and every mood of a rater, and the guesses. Both
    noises are symmetric: exchanging the answers exchanges the columns a and b, and a judge that cannot see the order
    loses nothing.

    Args:
        quality_a: Quality of the first answers, shape (n,).
        quality_b: Quality of the second answers, shape (n,).

    Returns:
        Probabilities of shape (n, 3).
    """
    difference = np.asarray(quality_a, dtype=np.float64) - np.asarray(quality_b, dtype=np.float64)
    total: NDArray[np.float64] = np.zeros((*difference.shape, 3))
    for shift, share in _NOISE:
        total += share * davidson(difference + shift)
    mixed = GUESSES / 3.0 + (1.0 - GUESSES) * total
    return np.asarray(mixed / mixed.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class Rater:
    """Who casts a vote.

    Args:
        guesses: Whether the vote is cast without looking.
        shift: What is added to the difference in quality.
        draw: The uniform number that decides the vote.
    """

    guesses: bool
    shift: float
    draw: float


def draw_rater(dice: Dice) -> Rater:
    """The rater of one row."""
    return Rater(dice.chance(GUESSES), _NOISE[dice.index(_CUMULATIVE)][0], dice.uniform())


def cast_votes(difference: ArrayLike, raters: list[Rater]) -> list[Winner]:
    """The votes of these raters on these differences in quality, both of length n."""
    shifted = np.asarray(difference, dtype=np.float64) + np.array([rater.shift for rater in raters])
    chances = davidson(shifted)
    chances[[rater.guesses for rater in raters]] = 1.0 / 3.0
    draws = np.array([rater.draw for rater in raters])
    position = (draws[:, None] >= np.cumsum(chances, axis=1)[:, :2]).sum(axis=1)
    return [_OUTCOMES[i] for i in position]
