"""Read conversations as turns: role and content messages, and transcripts with "Human:" and "Assistant:".

The formats of arenas and preference pairs call these, and so does the reader of candidates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from votecast.data.cells import CellError, json_kind, mend

SYSTEM_LEFT_OUT = "system message left out of the prompt"

_MESSAGE_KEY = re.compile(rb"""["'](role|from)["']\s*:""")

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
    "chatgpt": "assistant",
    "system": "system",
    "developer": "system",
}
_NAMES = (("role", "content"), ("from", "value"))
_EXCHANGE = {"input": "user", "output": "assistant"}
_SPEAKER = re.compile(r"(?:^\s*|\n\n)(Human|Assistant):(?: |(?=\n|$))")


def read_messages(value: object, repairs: set[str]) -> list[Message]:
    """Read a conversation of objects with role and content, or from and value; system messages are left out.

    Args:
        value: The list; a content is a text, null, or a list of typed parts whose texts are joined by an empty line.
        repairs: Receives the kinds of repair that were made.

    Raises:
        CellError: If it is anything else; the message names what is allowed.
    """
    if not isinstance(value, list):
        raise CellError(f"the conversation is {json_kind(value)}; allowed is a list of messages with role and content")
    messages: list[Message] = []
    for number, message in enumerate(value, start=1):
        if isinstance(message, dict) and set(message) == {"input", "output"}:  # one exchange
            messages += [(role, _content(message[key], number, repairs)) for key, role in _EXCHANGE.items()]
            continue
        names = next((names for names in _NAMES if isinstance(message, dict) and set(names) <= set(message)), None)
        if names is None:
            is_dict = isinstance(message, dict)
            what = f"an object with {', '.join(map(str, message)) or 'no keys'}" if is_dict else json_kind(message)
            raise CellError(f"message {number} is {what}; allowed are objects with role and content")
        speaker, text = (message[name] for name in names)
        role = _ROLES.get(str(speaker).lower())
        if role is None:
            raise CellError(f"message {number} has the role {speaker!r}; allowed are {', '.join(_ROLES)}")
        content = _content(text, number, repairs)
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
    head = bytes(cell[:4096])
    return head.lstrip()[:1] == b"[" and _MESSAGE_KEY.search(head) is not None


def looks_like_transcript(text: str) -> bool:
    """Return whether a text begins as a transcript does."""
    return re.match(r"\s*(Human|Assistant):", text) is not None


def join_talks(prompt: Sequence[Message], answer: Sequence[Message]) -> list[Message]:
    """Join a prompt with an answer that perhaps repeats it, whole, up to spaces, or its last turn alone.

    Raises:
        CellError: If the answer is a conversation whose user turns are others than the prompt.

    Example:
        >>> talk = [("user", "Hi"), ("assistant", "Hello!"), ("user", "Why?"), ("assistant", "Because.")]
        >>> join_talks([("user", " Why? ")], talk) == talk == join_talks(talk[:3], talk[3:])
        True
    """
    asked, repeated = _spoken(turns_of(prompt, "user")), _spoken(turns_of(answer, "user"))
    if not asked or not repeated:
        return [*prompt, *answer]
    if repeated[: len(asked)] == asked or repeated[-len(asked) :] == asked:
        return list(answer)
    if prompt[-1][0] == "assistant" and answer[0][0] == "user":
        return [*prompt, *answer]
    raise CellError("the prompt is not among the user's turns of the conversation; give one of the two")


def _spoken(turns: Sequence[str | None]) -> list[str]:
    return [" ".join((turn or "").split()) for turn in turns]


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
