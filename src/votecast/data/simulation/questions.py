"""Draw what is asked: conversations of one to ten turns, some of them asked again and again.

`simulate` calls `draw_conversation` for every row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from votecast.data.simulation.dice import Dice, cumulative
from votecast.data.simulation.phrases import LANGUAGES, Phrases

KINDS = ("explain", "list", "code", "table", "sum")
POPULAR = 300
"""How many prompts are asked again and again."""

# Shares, in the order of the things drawn; they follow the public arena releases roughly.
_KIND = cumulative((0.55, 0.15, 0.12, 0.06, 0.12))
_TURNS = cumulative((0.82, 0.075, 0.035, 0.02, 0.013, 0.009, 0.008, 0.007, 0.006, 0.007))
_LANGUAGE = cumulative([language.share for language in LANGUAGES])
_RANKS = cumulative([1.0 / (rank + 3.0) for rank in range(POPULAR)])
_REPEATED = 0.12
_ALTERED = 0.35
_NULL = 0.02


@dataclass(frozen=True)
class Turn:
    """One question."""

    text: str | None  # None where the turn was never written
    kind: str  # one of `KINDS`
    nouns: tuple[str, ...]  # what it is about; empty where there is no text
    numbers: tuple[int, int]  # of a sum


@dataclass(frozen=True)
class Conversation:
    """The one to ten questions of one battle."""

    key: str  # decides the draws of its answers
    language: Phrases
    topic: int  # position among the topics of the language
    turns: tuple[Turn, ...]
    size: float  # how much there is to answer: a standard normal number
    popular: bool  # whether the prompt is asked again and again


def draw_conversation(seed: int, row: int, dice: Dice) -> Conversation:
    """Draw the questions of one row: usually new, sometimes a popular prompt, as it is or slightly altered."""
    if not dice.chance(_REPEATED):
        return _conversation(f"{seed}/row/{row}", dice, popular=False)
    rank = dice.index(_RANKS)
    conversation = popular_conversation(seed, rank)
    if not dice.chance(_ALTERED):
        return conversation
    turn = conversation.turns[0]
    return replace(conversation, turns=(replace(turn, text=_altered(turn.text or "", dice)),))


def popular_conversation(seed: int, rank: int) -> Conversation:
    """Draw the popular prompt of this rank, from 0 to `POPULAR` - 1."""
    key = f"{seed}/popular/{rank}"
    return _conversation(key, Dice(key), popular=True)


def _conversation(key: str, dice: Dice, *, popular: bool) -> Conversation:
    language = LANGUAGES[dice.index(_LANGUAGE)]
    topic = dice.below(len(language.topics))
    count = 1 if popular else 1 + dice.index(_TURNS)
    turns = tuple(_turn(language, topic, number, dice, may_be_null=count > 1) for number in range(count))
    return Conversation(key, language, topic, turns, dice.normal(), popular)


def _turn(language: Phrases, topic: int, number: int, dice: Dice, *, may_be_null: bool) -> Turn:
    kind = KINDS[dice.index(_KIND)]
    nouns = dice.some(language.topics[topic], 4)
    n, m = 3 + dice.below(90), 3 + dice.below(90)
    if may_be_null and dice.chance(_NULL):
        return Turn(None, "explain", (), (n, m))
    count = 3 + dice.below(8) if kind == "list" else n
    x, y, z, other = nouns
    sentences = [dice.pick(language.requests[kind]).format(x=x, y=y, z=z, n=count, m=m)]
    extra = 0
    while dice.chance(0.45):
        extra += 1
    for context in dice.some(language.contexts, (0 if number else 2) + extra):
        name, place, amount = dice.pick(language.names), dice.pick(language.places), 2 + dice.below(300)
        sentences.append(context.format(name=name, place=place, n=amount, x=other))
    start = dice.pick(language.followups) if number and dice.chance(0.5) else ""
    text = start + language.stop[1:].join(sentences)
    return Turn(text, kind, tuple(noun for noun in nouns if noun in text), (n, m))


def _altered(text: str, dice: Dice) -> str:
    """Make a near-duplicate: the same prompt as another person would type it."""
    ways = (text.lower(), text.rstrip("?!.") + " ??", text.replace(" ", "  ") + "\n", "Hi! " + text, text + " 🙏")
    return dice.pick(ways)
