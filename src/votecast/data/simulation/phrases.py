"""Load the phrases of which the simulator composes prompts and answers, from `languages/*.yaml`.

`questions` and `responses` draw from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Phrases:
    """Templates of one language; {x}, {y}, {z} and %s stand for nouns, {n} and {m} for numbers."""

    code: str  # ISO 639-1
    share: float  # how often the language is asked in
    density: float  # how many characters a text has, relative to the same text in English
    stop: str  # ends a sentence, with the space that follows it
    requests: dict[str, tuple[str, ...]]  # questions by kind of prompt
    contexts: tuple[str, ...]  # what people write around a question: {name}, {place}, {n} and {x}
    openers: tuple[str, ...]  # how a sentence begins
    clauses: tuple[str, ...]  # what it states about two nouns
    tails: tuple[str, ...]  # how it ends, before the stop
    vague: tuple[str, ...]  # whole sentences without content
    refusals: tuple[str, ...]  # whole sentences that decline to answer
    closings: tuple[str, ...]  # polite last sentences
    headings: tuple[str, ...]  # titles of sections
    followups: tuple[str, ...]  # how people begin another turn
    names: tuple[str, ...]
    places: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]  # nouns by topic, plural where the language has one


def _read(name: str) -> Any:
    text = resources.files("votecast.data.simulation").joinpath("languages", f"{name}.yaml").read_text("utf-8")
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # both are safe, the one in C is faster
    return loader(text).get_single_data()


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
