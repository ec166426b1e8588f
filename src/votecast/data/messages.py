"""Read conversations as turns: role and content messages, and transcripts with "Human:" and "Assistant:".

The formats of arenas and preference pairs call these, and so does the reader of candidates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from votecast.data.cells import CellError, json_kind, mend

SYSTEM_LEFT_OUT = "system message left out of the prompt"

Message = tuple[str, str | None]
"""A role, "user" or "assistant", and a text."""

_ROLES = {
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
}
_SPEAKER = re.compile(r"(?:^\s*|\n\n)(Human|Assistant):(?: |(?=\n|$))")


def read_messages(value: object, repairs: set[str]) -> list[Message]:
    """Read a conversation given as a list of objects with role and content; system messages are left out.

    Args:
        value: The list; a content is a text, null, or a list of typed parts whose texts are joined by an empty line.
        repairs: Receives the kinds of repair that were made.

    Raises:
        CellError: If it is anything else; the message names what is allowed.
    """
    if not isinstance(value, list):
        raise CellError(f"the conversation is {json_kind(value)}; allowed is a list of messages with role and content")
    messages = []
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not {"role", "content"} <= set(message):
            is_dict = isinstance(message, dict)
            what = f"an object with {', '.join(map(str, message)) or 'no keys'}" if is_dict else json_kind(message)
            raise CellError(f"message {number} is {what}; allowed are objects with role and content")
        role = _ROLES.get(str(message["role"]).lower())
        if role is None:
            raise CellError(f"message {number} has the role {message['role']!r}; allowed are {', '.join(_ROLES)}")
        content = _content(message["content"], number, repairs)
        if role == "system":
            repairs.add(SYSTEM_LEFT_OUT)
        else:
            messages.append((role, content))
    return messages


def read_transcript(text: str) -> list[Message]:
    """Split a text in which "Human:" and "Assistant:" begin turns; raise `CellError` if it begins with neither."""
    pieces = _SPEAKER.split(text)
    if len(pieces) < 3 or pieces[0].strip():
        raise CellError(
            'the text is not a transcript; allowed are turns that begin with "Human:" or "Assistant:" after an empty '
            "line"
        )
    return [(_ROLES[speaker.lower()], turn) for speaker, turn in zip(pieces[1::2], pieces[2::2], strict=True)]


def looks_like_messages(cell: memoryview | bytes) -> bool:
    """Return whether a text begins as a JSON list of messages does."""
    return bytes(cell[:256]).lstrip()[:1] == b"[" and b'"role"' in bytes(cell[:4096])


def looks_like_transcript(text: str) -> bool:
    """Return whether a text begins as a transcript does."""
    return re.match(r"\s*(Human|Assistant):", text) is not None


def turns_of(messages: Sequence[Message], role: str) -> list[str | None]:
    """Return the texts of one role."""
    return [text for speaker, text in messages if speaker == role]


def first_turns(messages: Sequence[Message], count: int) -> list[Message]:
    """Return a conversation up to the end of its first `count` exchanges."""
    asked = 0
    for position, (role, _) in enumerate(messages):
        asked += role == "user"
        if asked > count:
            return list(messages[:position])
    return list(messages)


def _content(content: object, number: int, repairs: set[str]) -> str | None:
    if content is None:
        return None
    if isinstance(content, str):
        return mend(content, repairs)
    if not isinstance(content, list):
        raise CellError(
            f"the content of message {number} is {json_kind(content)}; allowed is text or a list of typed parts"
        )
    texts = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            what = f"a part of type {part.get('type')!r}" if isinstance(part, dict) else json_kind(part)
            raise CellError(
                f"the content of message {number} holds {what}; allowed are parts of type 'text' with their text"
            )
    return mend("\n\n".join(texts), repairs)
