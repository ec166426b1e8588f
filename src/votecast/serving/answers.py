"""From values to answers: bytes are made once, here."""

from __future__ import annotations

from typing import Any, Final

import pydantic_core
from starlette.responses import Response

from votecast.serving.errors import RequestError

JSON: Final = "application/json"
_CHALLENGES: Final = ('Bearer realm="votecast"', 'Basic realm="votecast", charset="UTF-8"')


def answer(values: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(pydantic_core.to_json(values), status, media_type=JSON)


def error_answer(error: RequestError, allow: str | None = None) -> Response:
    """The answer that tells an error.

    Args:
        error: What is wrong.
        allow: The methods that a route takes, where another was asked for.

    Example:
        >>> from votecast.serving.errors import QueueFullError
        >>> found = error_answer(QueueFullError(2.0))
        >>> found.status_code, found.headers["retry-after"]
        (429, '2')
    """
    faults = [{"path": fault.path, "message": fault.message} for fault in error.faults]
    told = answer({"error": {"type": error.type, "message": str(error), "errors": faults}}, error.status)
    if error.retry_after is not None:
        told.headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.closes:
        told.headers["connection"] = "close"
    if error.status == 401:
        for challenge in _CHALLENGES:
            told.headers.append("www-authenticate", challenge)
    if allow is not None:
        told.headers["allow"] = allow
    return told
