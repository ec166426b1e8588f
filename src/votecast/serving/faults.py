"""What is wrong with the fields of a body, in words that do not repeat what the user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from votecast.data.cells import json_kind
from votecast.serving.errors import Fault
from votecast.serving.fields import SUM, TURNS, UNFIT

MOST: Final = 20
"""Faults that one answer names."""

ALLOWED: Final[Mapping[str, str]] = {
    "id": "allowed is a text or a whole number",
    "prompt": TURNS,
    "response_a": TURNS,
    "response_b": TURNS,
    "candidates": "allowed is a list of answers, each a text or a list of turns",
    "battles": "allowed is a list of battles, objects with prompt, response_a and response_b",
    "games": "allowed is a list of games, objects with model_a, model_b, and winner or probabilities",
    "winner": 'allowed are "a", "b" and "tie"',
    "probabilities": SUM,
    "model_a": "allowed is a name of 1 to 200 characters",
    "model_b": "allowed is a name of 1 to 200 characters",
    "weight": "allowed is a number from 0 up",
    "language": "allowed is a text, or null",
    "source": "allowed is a text, or null",
    "judge": "allowed is the name of a judge, as GET /v1/judges lists them",
    "order": 'allowed are "both" and "given"',
    "explain": "allowed are true and false",
    "method": "allowed are bradley_terry, davidson and rao_kupper",
}
"""What each field takes."""

_KEY: Final = 60


def faults_of(error: ValidationError, fields: tuple[Sequence[str], Sequence[str]]) -> list[Fault]:
    """The faults that pydantic has found, at most `MOST`.

    Args:
        error: What it raised.
        fields: Names of the fields of a body, and of the objects in its lists.
    """
    found: dict[str, Fault] = {}
    for fault in error.errors(include_url=False):
        place = [*fault["loc"], *_further(fault)]
        path = ".".join(map(_shown, place))
        found.setdefault(path, Fault(path, _message(fault, place, fields[len(place) > 1])))
        if len(found) == MOST:
            break
    return list(found.values())


def _further(fault: Mapping[str, Any]) -> list[int]:
    at = fault.get("ctx", {}).get("at") if fault["type"] == UNFIT else None
    return [] if at is None else [at]


def _message(fault: Mapping[str, Any], place: Sequence[int | str], known: Sequence[str]) -> str:
    if fault["type"] == UNFIT:
        return str(fault["msg"])
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(
            _plain(str(place[-1])[:_KEY]), by_plain := {_plain(name): name for name in known}, n=1
        )
        hint = f"did you mean {by_plain[near[0]]}? " if near else ""
        return f"there is no such field; {hint}allowed are {', '.join(known)}"
    name = next((part for part in reversed(place) if isinstance(part, str)), "")
    allowed = ALLOWED.get(name, "allowed is a JSON object")
    if fault["type"] == "missing":
        return f"the field is missing; {allowed}"
    given = fault["input"]
    if isinstance(given, list) and not given:
        return f"an empty list is given; {allowed}"
    return f"{json_kind(given)}{' that does not fit' * (fault['type'] in _RANGE)} is given; {allowed}"


def _plain(name: str) -> str:
    """A name without what different people write differently: responseA, response-a, response_a."""
    return "".join(filter(str.isalnum, name)).lower()


_RANGE: Final = frozenset(
    {"literal_error", "greater_than_equal", "finite_number", "string_too_short", "string_too_long"}
)


def _shown(part: int | str) -> str:
    """A part of a path; the names of unknown fields are the user's own."""
    text = str(part)
    return (text if len(text) <= _KEY else text[:_KEY] + "…").encode("utf-8", "replace").decode()
