"""The fields that several bodies share: how a value is taken, what it must be like, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic_core import PydanticCustomError

from votecast.data.cells import json_kind, mend
from votecast.types import CLASSES

MOST_TURNS: Final = 1_000
"""Most turns of one conversation."""

UNFIT: Final = "unfit"
"""Type of the errors whose message is shown as it is."""

TURNS: Final = "allowed is a text, or a list of turns (texts, or null for a turn that was never written)"
SUM: Final = "allowed are the shares of a, b and tie, as an object or in this order, from 0 to 1, that sum to 1"

_TOLERANCE: Final = 1e-3

_TURN: Final = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_SEEN: Final = r"[^\s\x1c-\x1f\x85\ufeff]"  # white space as Python and as JavaScript know it
_VISIBLE: Final = {"type": "string", "pattern": _SEEN}
TEXT_OR_TURNS: Final[dict[str, Any]] = {
    "anyOf": [
        _VISIBLE,
        {"type": "array", "items": _TURN, "minItems": 1, "maxItems": MOST_TURNS, "contains": _VISIBLE},
    ]
}
ID: Final[dict[str, Any]] = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
_VISIBLE_IN: Final = re.compile(_SEEN)
_SHARE: Final = {"type": "number", "minimum": 0, "maximum": 1}
SHARES: Final[dict[str, Any]] = {
    "anyOf": [
        {
            "type": "object",
            "properties": dict.fromkeys(CLASSES, _SHARE),
            "required": list(CLASSES),
            "additionalProperties": False,
        },
        {"type": "array", "items": _SHARE, "minItems": len(CLASSES), "maxItems": len(CLASSES)},
        {"type": "null"},
    ]
}


def unfit(message: str, *, at: int | None = None) -> PydanticCustomError:
    """The error of a validator.

    Args:
        message: What was given, what is allowed, what to do.
        at: The place in the list that cannot be used.
    """
    return PydanticCustomError(UNFIT, "{message}", {"message": message, "at": at})


def as_id(value: Any) -> Any:
    """An id as text; what is none is left as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_answer(value: Any) -> str | list[str | None]:
    """A text, or a list of turns, at least one of them with a text.

    Example:
        >>> as_answer(["Hello", None])
        ['Hello', None]
    """
    if isinstance(value, str):
        check_text([value])
        return mend(value, set())
    if not isinstance(value, list):
        raise unfit(f"{json_kind(value)} is given; {TURNS}")
    for place, turn in enumerate(value):
        if not (turn is None or isinstance(turn, str)):
            raise unfit(f"{json_kind(turn)} is given; {TURNS}", at=place)
    check_text(value)
    return [turn and mend(turn, set()) for turn in value]


def as_shares(value: Any) -> Any:
    """Shares of a, b and tie in this order; None is left as it is.

    Example:
        >>> as_shares({"a": 0.5, "b": 0.25, "tie": 0.25})
        (0.5, 0.25, 0.25)
    """
    if value is None:
        return None
    if isinstance(value, list) and len(value) == len(CLASSES):
        value = dict(zip(CLASSES, value, strict=True))
    if not isinstance(value, dict) or set(value) != set(CLASSES):
        raise unfit(f"{json_kind(value)}{' with other keys' * isinstance(value, dict)} is given; {SUM}")
    shares = [value[name] for name in CLASSES]
    if not all(isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1 for share in shares):
        raise unfit(f"a share is no number from 0 to 1; {SUM}")
    total = sum(shares)
    if abs(total - 1) > _TOLERANCE:
        raise unfit(f"the shares sum to {total:.6g}; {SUM}")
    return tuple(share / total for share in shares)


def check_text(turns: Sequence[str | None]) -> None:
    """Refuse a conversation without a text, or with too many turns."""
    if not any(turn and _VISIBLE_IN.search(turn) for turn in turns):
        given = "there is no turn" if not turns else "there is nothing but white space"
        raise unfit(f"{given}; give at least one visible character")
    if len(turns) > MOST_TURNS:
        raise unfit(f"{len(turns):,} turns are given; at most {MOST_TURNS:,} are allowed")


def check_as_many(turns: int, prompt: int, *, at: int | None = None) -> None:
    """Refuse an answer with other turns than the prompt has."""
    if turns != prompt:
        raise unfit(
            f"{turns:,} turn{'s' * (turns != 1)} of an answer and {prompt:,} of the prompt are given; give an answer "
            "(or null) for each turn of the prompt",
            at=at,
        )
