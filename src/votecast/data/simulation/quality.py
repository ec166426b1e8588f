"""How good an answer is: a sum over what a reader can see in its text."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Traits:
    """What is counted in one answer, over all its turns.

    Args:
        chars: Characters.
        sentences: Sentences, list items included.
        on_topic: Sentences about the nouns of the question.
        repeated: Sentences that only repeat the one before.
        turns: Turns.
        refused: Turns that decline to answer.
        foreign: Turns in another language than the question.
        empty: Turns never written.
        delivered: Turns with the list, the table or the code that was asked for.
        lists: Turns that hold a list.
        headings: Turns that hold headings.
        bold: Turns that hold words in bold.
        wrong_sums: Sums with a wrong result.
    """

    chars: int = 0
    sentences: int = 0
    on_topic: int = 0
    repeated: int = 0
    turns: int = 0
    refused: int = 0
    foreign: int = 0
    empty: int = 0
    delivered: int = 0
    lists: int = 0
    headings: int = 0
    bold: int = 0
    wrong_sums: int = 0


ON_TOPIC = 2.6
REPEATED = -1.4
REFUSED = -0.8
FOREIGN = -0.8
EMPTY = -2.0
DELIVERED = 0.7
LISTS = 0.4
HEADINGS = 0.3
BOLD = 0.3
WRONG_SUM = -0.35
LENGTH = 0.15
SHORTEST, LONGEST = 100, 4000


def quality(traits: Traits) -> float:
    """Worth of an answer on the log scale of the vote model.

    Shares count, not numbers: of sentences on the topic of the question and of sentences repeated; of turns refused,
    in a foreign language, never written, with the list, table or code that was asked for, and with structure. Wrong
    sums count up to two. Length helps a little, from 100 to 4 000 characters.

    Args:
        traits: What was counted in the answer.

    Example:
        >>> good = Traits(chars=900, sentences=10, on_topic=9, turns=1)
        >>> quality(good) > quality(Traits(chars=90, sentences=1, turns=1, refused=1))
        True
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
