"""Recover the qualities of a simulated response from its text."""

from __future__ import annotations

import re

from votecast.data.simulation.phrases import LANGUAGES, Phrases
from votecast.data.simulation.questions import Conversation, Turn
from votecast.data.simulation.votes import Traits

_CODE = re.compile(r"```.*?```", re.DOTALL)
_SUM = re.compile(r"^(\d+) \+ (\d+) = (\d+)$", re.MULTILINE)
_TABLE = re.compile(r"^\|.*$", re.MULTILINE)
_HEADING = re.compile(r"^## .*$", re.MULTILINE)
_ITEM = re.compile(r"^(?:-|\d+\.) ", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*]+\*\*:? ?")


def read_answer(conversation: Conversation, answer: list[str | None]) -> Traits:
    """Count in a response what the generator recorded while writing it."""
    traits = Traits(turns=len(answer), chars=sum(len(text) for text in answer if text))
    for turn, text in zip(conversation.turns, answer, strict=True):
        _read_turn(conversation.language, turn, text, traits)
    return traits


def _read_turn(language: Phrases, turn: Turn, text: str | None, traits: Traits) -> None:
    if text is None:
        traits.empty += 1
        return
    sentences = _sentences(text)
    traits.sentences += len(sentences)
    if any(sentence in language.refusals for sentence in sentences):
        traits.refused += 1
        return
    traits.foreign += _language_of(sentences) is not language
    listed = bool(_ITEM.search(text))
    traits.lists += listed
    traits.headings += bool(_HEADING.search(text))
    traits.bold += bool(_BOLD.search(text))
    shown = {"list": listed, "table": "|---|" in text, "code": "```" in text}
    traits.delivered += shown.get(turn.kind, False)
    traits.wrong_sums += sum(int(a) + int(b) != int(c) for a, b, c in _SUM.findall(text))
    for before, sentence in zip([None, *sentences], sentences, strict=False):
        repeated = sentence == before
        traits.repeated += repeated
        traits.on_topic += not repeated and sum(noun in sentence for noun in turn.nouns) >= 2


def _sentences(text: str) -> list[str]:
    for pattern in (_CODE, _SUM, _TABLE, _HEADING, _BOLD, _ITEM):
        text = pattern.sub("", text)
    for language in LANGUAGES:
        for closing in language.closings:
            text = re.sub(re.escape(closing) + r".*$", "", text)
    return [sentence for sentence in re.split(r"(?<=[.。])\s*", text.strip()) if sentence]


def _language_of(sentences: list[str]) -> Phrases:
    for language in LANGUAGES:
        if any(s in language.vague or s.startswith(language.openers) for s in sentences):
            return language
    raise AssertionError(f"no language has these sentences: {sentences}")
