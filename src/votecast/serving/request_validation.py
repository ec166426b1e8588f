"""Parse bodies into checked requests, or errors that name the invalid places without the user's text.

`app` parses the body of every POST with `parse_body`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError

from votecast.data.cells import json_kind
from votecast.serving.request_errors import InvalidRequestError, RequestError
from votecast.serving.schemas import CUSTOM, BatchRequest, BattleRequest, GameRequest, LeaderboardRequest

B = TypeVar("B", bound=BaseModel)

_MOST_FAULTS: Final = 20  # that one response names
# to report each of very many unknown fields would take seconds
_MOST_FIELDS: Final = 100
_LONGEST_NAME: Final = 60
_TOO_DEEP: Final = "recursion limit"
_ITEMS: Final[dict[type[BaseModel], type[BaseModel]]] = {BatchRequest: BattleRequest, LeaderboardRequest: GameRequest}


def parse_body(kind: type[B], body: bytes, most: Mapping[str, int]) -> B:
    """Parse and check a body whose lists hold at most so many items.

    Raises:
        RequestError: With status 400 if it is not JSON, 422 if a field is invalid.

    Example:
        >>> body = b'{"battles": [{"prompt": "Why?", "response_a": ["So."], "response_b": "Because."}]}'
        >>> parse_body(BatchRequest, body, {"battles": 32}).battles[0].response_b
        ('Because.',)
    """
    values = parse_json(body)
    if isinstance(values, dict):
        _check_counts(values, most)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise InvalidRequestError(_faults(error, kind)) from None


def parse_json(body: bytes) -> object:
    """Parse JSON; raise status 400 if it is none."""
    # of duplicate keys the last counts; lone surrogates are left to the fields
    try:
        try:
            return pydantic_core.from_json(body, allow_inf_nan=False)
        except ValueError as error:
            # a lone surrogate, which the json module accepts
            if "hex escape" not in str(error):
                raise
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        reason = _TOO_DEEP
    except ValueError as error:
        reason = str(error)
    raise RequestError(_why_not_json(body, reason), status=400, type="bad_body")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _why_not_json(body: bytes, reason: str) -> str:
    if not body.strip():
        return "the body is empty; send a JSON object"
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8 (byte {error.start}); send JSON in UTF-8"
    if _TOO_DEEP in reason:
        return "the body is nested too deeply; send a JSON object of texts and lists"
    if "number out of range" in reason or "integer string conversion" in reason:
        return "the body holds a number that is too long; send shorter numbers"
    return f"the body is not JSON: {reason.partition(':')[0]}; send a JSON object, without NaN or Infinity"


def _check_counts(values: dict[str, object], most: Mapping[str, int]) -> None:
    """Refuse lists and objects that are too long to check their items."""
    objects: dict[str, object] = {"": values}
    for name, limit in most.items():
        given = values.get(name)
        if not isinstance(given, list):
            continue
        if len(given) > limit:
            message = f"{len(given):,} {name} are given; at most {limit:,} are allowed: send several requests"
            raise InvalidRequestError({name: message})
        objects |= {f"{name}.{place}": each for place, each in enumerate(given)}
    for path, value in objects.items():
        if isinstance(value, dict) and len(value) > _MOST_FIELDS:
            message = f"{len(value):,} fields are given; GET /docs lists the allowed ones"
            raise InvalidRequestError({path: message})


def _faults(error: ValidationError, kind: type[BaseModel]) -> dict[str, str]:
    """Return what pydantic has found, one message for each place."""
    found: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        at = fault.get("ctx", {}).get("at") if fault["type"] == CUSTOM else None
        place = [*fault["loc"], *([] if at is None else [at])]
        known = _ITEMS.get(kind, kind) if len(place) > 1 else kind
        found.setdefault(".".join(map(_shorten, place)), _message(dict(fault), list(known.model_fields)))
        if len(found) == _MOST_FAULTS:
            break
    return found


def _message(fault: Mapping[str, Any], known: Sequence[str]) -> str:
    if fault["type"] == CUSTOM:
        return str(fault["msg"])
    if fault["type"] == "extra_forbidden":
        by_plain = {_plain(name): name for name in known}
        near = difflib.get_close_matches(_plain(str(fault["loc"][-1])[:_LONGEST_NAME]), by_plain, n=1)
        hint = f"did you mean {by_plain[near[0]]}? " if near else ""
        return f"there is no such field; {hint}allowed are {', '.join(known)}"
    if fault["type"] == "missing":
        return "the field is missing; GET /docs lists what it takes"
    return f"{json_kind(fault['input'])} is given; {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _plain(name: str) -> str:
    """Drop the case and signs of a name: responseA, response-a and response_a are one."""
    return "".join(filter(str.isalnum, name)).lower()


def _shorten(part: int | str) -> str:
    """Shorten a part of a path, since unknown fields may have long names."""
    text = str(part)
    return (text if len(text) <= _LONGEST_NAME else text[:_LONGEST_NAME] + "…").encode("utf-8", "replace").decode()
