"""Test conversations as messages and as transcripts."""

from __future__ import annotations

from typing import Any

import pytest

from votecast.data.cells import LONE_SURROGATE, CellError
from votecast.data.messages import (
    SYSTEM_LEFT_OUT,
    first_turns,
    looks_like_transcript,
    read_messages,
    read_transcript,
    turns_of,
)

TALK = [("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]


def test_roles_and_contents_of_all_kinds() -> None:
    repairs: set[str] = set()
    talk = read_messages(
        [
            {"role": "system", "content": "Be kind."},
            {"role": "human", "content": "Hi"},
            {"role": "Assistant", "content": None},
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}, "three"]},
            {"role": "gpt", "content": "\ud83d", "name": "ignored"},
        ],
        repairs,
    )
    assert talk == [("user", "Hi"), ("assistant", None), ("user", "one\n\ntwo\n\nthree"), ("assistant", "\ufffd")]
    assert repairs == {SYSTEM_LEFT_OUT, LONE_SURROGATE}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "the conversation is a string"),
        ({"role": "user"}, "the conversation is an object"),
        (["text"], "message 1 is a string"),
        ([{}], "an object with no keys"),
        ([{"from": "human", "text": "x"}], "an object with from, text"),
        ([{"role": "tool", "content": "x"}], "role 'tool'; allowed are user"),
        ([{"role": None, "content": "x"}], "role None"),
        ([{"role": "user", "content": 7}], "content of message 1 is a number"),
        ([{"role": "user", "content": [{"type": "image", "url": "x"}]}], "part of type 'image'"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "part of type 'text'"),
        ([{"role": "user", "content": [7]}], "holds a number"),
    ],
)
def test_invalid_conversations_are_refused(value: Any, reason: str) -> None:
    with pytest.raises(CellError, match=reason):
        read_messages(value, set())


def test_transcripts_are_split_at_speakers_after_an_empty_line_only() -> None:
    text = "\n\nHuman: I said:\nHuman: no\n\n  indented \n\nAssistant: Yes.\n\nHuman: And?\n\nAssistant:"
    assert read_transcript(text) == [
        ("user", "I said:\nHuman: no\n\n  indented "),
        ("assistant", "Yes."),
        ("user", "And?"),
        ("assistant", ""),
    ]
    assert looks_like_transcript(text)
    assert not looks_like_transcript("A human: why?")


@pytest.mark.parametrize("text", ["", "Why?", "Well.\n\nHuman: Hi"])
def test_invalid_transcripts_are_refused(text: str) -> None:
    with pytest.raises(CellError, match="not a transcript"):
        read_transcript(text)


def test_turns_and_first_turns() -> None:
    assert turns_of(TALK, "user") == ["1", "3"]
    assert first_turns(TALK, 1) == TALK[:2]
    assert first_turns(TALK, 2) == first_turns(TALK, 9) == TALK
