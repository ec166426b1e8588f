"""Load the phrases of which the simulator composes prompts and answers, from `languages/*.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Phrases:
    """Templates of one language.

    Args:
        code: ISO 639-1 code.
        share: How often the language is asked in.
        density: How many characters a text has, relative to the same text in English.
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
    """

    code: str
    share: float
    density: float
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


def _read(name: str) -> Any:
    text = resources.files("votecast.data.simulation").joinpath("languages", f"{name}.yaml").read_text("utf-8")
    # The parser in C is faster, where PyYAML has it; both are safe.
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text).get_single_data()


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {key: _frozen(part) for key, part in value.items()} if isinstance(value, dict) else value


LANGUAGES: tuple[Phrases, ...] = tuple(
    Phrases(**{key: _frozen(value) for key, value in _read(code).items()})
    for code in ("en", "de", "fr", "es", "ru", "zh")
)
"""All languages; the first is the one most prompts are written in."""

CODE_BLOCKS: tuple[str, ...] = _frozen(_read("code"))
"""Fenced blocks of code, with {w} for a noun and {i}, {j} for numbers."""
