"""From the bytes of a body to JSON values, whatever the bytes are."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import pydantic_core

from votecast.serving.errors import BadBodyError

_DEEP = "recursion limit"
_SURROGATE = "hex escape"


def read_json(body: bytes) -> Any:
    r"""Read a body as JSON; of keys that come twice the last counts, and lone surrogates are left to the fields.

    Args:
        body: The body.

    Raises:
        BadBodyError: If it is empty, not UTF-8, not JSON, nested too deeply, or holds NaN or a number too long to read.

    Example:
        >>> read_json(b'{"prompt": "\\ud800"}')
        {'prompt': '\ud800'}
    """
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        if _SURROGATE not in str(error):
            raise _refused(body, str(error)) from None
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError:
        raise _refused(body, _DEEP) from None
    except ValueError as error:
        raise _refused(body, str(error)) from None


def _refused(body: bytes, why: str) -> BadBodyError:
    if not body.strip():
        return BadBodyError("the body is empty; send a JSON object")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return BadBodyError(f"the body is not UTF-8 (byte {error.start}); send JSON in UTF-8")
    if _DEEP in why:
        return BadBodyError("the body is nested too deeply; send a JSON object of texts and lists")
    if "number out of range" in why or "integer string conversion" in why:
        return BadBodyError("the body holds a number too long to read; send shorter numbers")
    return BadBodyError(f"the body is not JSON: {why.partition(':')[0]}; send a JSON object, without NaN or Infinity")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
