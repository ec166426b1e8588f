"""What one language needs to ask and to answer: templates and topics from which texts are put together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phrases:
    """Templates of one language.

    Args:
        code: ISO 639-1 code.
        stop: What ends a sentence, with the space that follows it.
        requests: Questions by kind of prompt ("explain", "list", "code", "table", "sum"), with {x}, {y}, {z} for nouns
            and {n}, {m} for numbers.
        contexts: What people say around a question: {name}, {place}, {n} and {x}.
        openers: How a sentence begins.
        clauses: What it says about two nouns, each a `%s`.
        tails: How it ends, before the stop.
        vague: Whole sentences that say nothing.
        refusals: Whole sentences that decline to answer.
        closings: Polite last sentences.
        headings: Titles of sections.
        followups: What people say when they come back for another turn, before the next question.
        names: People.
        places: Cities.
        topics: Nouns by topic, plural where the language has one.
        density: How many characters a text has, relative to the same text in English.
    """

    code: str
    stop: str
    requests: dict[str, tuple[str, ...]]
    contexts: tuple[str, ...]
    openers: tuple[str, ...]
    clauses: tuple[str, ...]
    tails: tuple[str, ...]
    vague: tuple[str, ...]
    refusals: tuple[str, ...]
    closings: tuple[str, ...]
    headings: tuple[str, ...]
    followups: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]
    density: float = 1.0


def lines(text: str) -> tuple[str, ...]:
    """The lines of a block of text without empty ones; a bar marks an end that is a space.

    Example:
        >>> lines('''
        ... First, |
        ... Then |
        ... ''')
        ('First, ', 'Then ')
    """
    return tuple(line.removesuffix("|") for line in text.strip("\n").split("\n") if line)


def topics(text: str) -> tuple[tuple[str, ...], ...]:
    r"""One topic a line, its nouns separated by commas.

    Example:
        >>> topics("rocks, craters\nsongs, choirs")
        (('rocks', 'craters'), ('songs', 'choirs'))
    """
    return tuple(tuple(noun.strip() for noun in line.split(",")) for line in lines(text))


def words(text: str) -> tuple[str, ...]:
    """The words of a text.

    Example:
        >>> words("York Leeds")
        ('York', 'Leeds')
    """
    return tuple(text.split())
