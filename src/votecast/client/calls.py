"""The calls of both clients, without the sending: bodies, retries, and the parsing of responses.

A call is a generator of steps: a `Send`, or seconds to wait. `Client` and `AsyncClient` drive the same generators.
"""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from votecast.client.service_responses import (
    BatchResponse,
    Judges,
    Limits,
    Prediction,
    Reranked,
    Response,
    ServedLeaderboard,
)
from votecast.config.extras import need
from votecast.errors import ConfigError, DataError, ServiceError
from votecast.types import Battle

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
R = TypeVar("R", bound=Response)

Text = str | Sequence[str | None]
"""A text, or the turns of a conversation."""

_SENT = {"id", "prompt", "response_a", "response_b", "language", "source"}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds
_BUSY = {429, 503}
_LONGEST_ANSWER = 1 << 26  # bytes
_LONGEST_MESSAGE = 2_000  # characters of an error of the service that are shown


@dataclass(frozen=True)
class Send:
    """A request to send; the reply is a response or an `httpx.TransportError`."""

    method: str
    url: str
    body: bytes | None = None


Steps = Generator[Send | float, Any, T]
"""Steps of a call: requests to send, and seconds to wait."""


class BaseClient:
    """What both clients share; see `Client` for the arguments."""

    def __init__(
        self, url: str, key: str | None = None, *, timeout: float = 60.0, retries: int = 5, transport: object = None
    ) -> None:
        self._httpx = need("httpx")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(f"{url!r} is not the address of a service; give one such as http://127.0.0.1:8000")
        # error messages show the address
        if "@" in parts.netloc:
            raise ConfigError("the address holds a name or key before its @, which is not allowed; give key=")
        if retries < 0 or not timeout > 0:
            raise ConfigError(f"retries is {retries} and timeout {timeout}; allowed are 0 or more, and seconds above 0")
        # the service compresses nothing: what is inflated on arrival could fill the memory
        headers = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity"}
        if key is not None:
            if not key or not key.isascii() or not key.isprintable():
                raise ConfigError("the key is empty or holds characters that a header may not hold; give the key as is")
            headers["authorization"] = f"Bearer {key}"
        self._url, self._retries = url.rstrip("/"), retries
        self._options: dict[str, Any] = {"headers": headers, "timeout": timeout, "transport": transport}
        self._limits: Limits | None = None

    def _compare_batch(self, battles: Iterable[object], **options: object) -> Steps[list[Prediction]]:
        """Predict battles, in requests within the limits of the service."""
        path, found = "/v1/compare/batch", list[Prediction]()
        texts = [as_json(_battle(battle, row), f"battle {row}") for row, battle in enumerate(battles)]
        rest = as_json({name: value for name, value in options.items() if value is not None}, "the request")
        if texts and self._limits is None:
            self._limits = (yield from self._send(Judges, "/v1/judges")).limits
        # 20: more than the brackets and the name of the list need
        limits = self._limits or Limits()
        further = b"" if rest == b"{}" else b"," + rest[1:-1]
        for first, part in in_requests(texts, limits.battles, limits.body_bytes - len(rest) - 20):
            body = b'{"battles":[' + b",".join(part) + b"]" + further + b"}"
            answer = yield from self._send(BatchResponse, path, body, first)
            if [each.id for each in answer.predictions] != list(map(_id_of, part)):
                raise self._unexpected(path)
            found += answer.predictions
        return found

    def _rerank(self, candidates: Sequence[Text], **body: object) -> Steps[Reranked]:
        """Rank candidates; each must come back once."""
        path = "/v1/rerank"
        found = yield from self._post(Reranked, path, candidates=list(candidates), **body)
        if sorted(row.get("index", -1) for row in found.ranking) != list(range(len(candidates))):
            raise self._unexpected(path)
        return found

    def _leaderboard(self, games: Sequence[Mapping[str, object]], **body: object) -> Steps[ServedLeaderboard]:
        """Rank models; only those of the games may come back."""
        path = "/v1/leaderboard"
        found = yield from self._post(ServedLeaderboard, path, games=games, **body)
        named = {game.get(side) for game in games for side in ("model_a", "model_b")}
        ranked = [model.get("model") for model in found.models]
        if found.games != len(games) or len(set(ranked)) != len(ranked) or not named.issuperset(ranked):
            raise self._unexpected(path)
        return found

    def _take(self, response: httpx.Response, received: int) -> None:
        """Check the headers of a response, and how many bytes of its body have come.

        Raises:
            ServiceError: If it is compressed, which was not asked for, or too long.
        """
        path = response.request.url.path
        if (coding := response.headers.get("content-encoding", "identity").lower()) != "identity":
            raise ServiceError(
                f"{self._url}: the answer to {path} is encoded as {coding[:40]!r}, which was not asked for; check the "
                "address, and what stands between",
                status=response.status_code,
                path=path,
            )
        if received > _LONGEST_ANSWER:
            raise ServiceError(
                f"{self._url}: the answer to {path} is longer than {_LONGEST_ANSWER:,} bytes, more than any votecast "
                "service sends; check the address",
                status=response.status_code,
                path=path,
            )

    def _whole(self, response: httpx.Response, body: bytes) -> httpx.Response:
        """Return a response that was streamed as one with its body."""
        found: httpx.Response = self._httpx.Response(
            response.status_code, headers=response.headers, content=body, request=response.request
        )
        return found

    def _check_ready(self) -> Steps[bool]:
        """Check whether the judges are loaded, without retries."""
        found = yield Send("GET", f"{self._url}/ready")
        if isinstance(found, Exception) or found.status_code == 503:
            return False
        if found.status_code != 200:
            raise self._refused(found, "/ready")
        return True

    def _post(self, kind: type[R], path: str, **body: object) -> Steps[R]:
        """Send a request without the options that are None."""
        given = {name: value for name, value in body.items() if value is not None}
        return self._send(kind, path, as_json(given, "the request"))

    def _send(self, kind: type[R], path: str, body: bytes | None = None, first: int = 0) -> Steps[R]:
        """Send a request and parse the response."""
        # retries are safe, since no request changes anything
        for tried in range(self._retries + 1):
            found: httpx.Response | httpx.TransportError = yield Send(
                "GET" if body is None else "POST", self._url + path, body
            )
            pause = self._pause(found, tried)
            if pause is None or tried == self._retries:
                break
            yield pause
        if isinstance(found, Exception):
            reason = str(found) or type(found).__name__
            message = f"{self._url}{path} gave no answer ({reason}); check the address, and that the service runs there"
            raise ServiceError(message, path=path) from found
        if found.status_code != 200:
            raise self._refused(found, path, first)
        try:
            return kind.model_validate_json(found.content)
        except ValueError:
            raise self._unexpected(path) from None

    def _pause(self, found: httpx.Response | httpx.TransportError, tried: int) -> float | None:
        """Return the seconds until a retry; None if a retry would be useless."""
        pause = min(_FIRST_PAUSE * 2.0**tried, _LONGEST_PAUSE)
        if isinstance(found, Exception):
            return pause if isinstance(found, self._httpx.NetworkError | self._httpx.RemoteProtocolError) else None
        retry_after = found.headers.get("retry-after")
        if found.status_code not in _BUSY or retry_after is None:
            return None
        try:
            seconds = float(retry_after)
        except ValueError:  # a date
            seconds = 0.0
        return min(max(pause, seconds if math.isfinite(seconds) else 0.0), _LONGEST_PAUSE)

    def _unexpected(self, path: str) -> ServiceError:
        return ServiceError(
            f"{self._url}{path} answered with something that no votecast service of this version sends; check the "
            "address, and what stands between",
            status=200,
            path=path,
        )

    def _refused(self, found: httpx.Response, path: str, first: int = 0) -> ServiceError:
        """Turn an error response into an error."""
        # its paths count battles over all requests; `first` is the first battle of this one
        try:
            error = found.json()["error"]
            message, errors = str(error["message"]), [dict(place) for place in error.get("errors") or []]
        except (ValueError, TypeError, KeyError, RecursionError):
            message, errors = found.reason_phrase or "no reason given", []
        message = message[:_LONGEST_MESSAGE]
        for place in errors:
            here = str(place.get("path", ""))
            name, number, *field = here.split(".", 2) if "." in here else (here, "")
            if name == "battles" and number.isdecimal():
                place["path"] = ".".join([name, str(int(number) + first), *field])
                message = message.replace(f"{here}: ", f"{place['path']}: ")
        places = [f"{place.get('path')}: {place.get('message')}".removeprefix(": ") for place in errors[:3]]
        shown = "".join(f"; {place}" for place in places if place not in message)
        text = f"{self._url}{path} answered {found.status_code}: {message}{shown}"
        return ServiceError(text, status=found.status_code, path=path, errors=errors)


def as_json(value: object, what: str) -> bytes:
    """Encode a value as JSON.

    Raises:
        DataError: If it cannot be written as JSON.

    Example:
        >>> as_json({"prompt": "Wie heißt du?"}, "the battle").decode()
        '{"prompt":"Wie heißt du?"}'
    """
    try:
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can only write with a backslash
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{what} cannot be sent as JSON: {error}; give texts, numbers and lists of them") from error


def in_requests(texts: Sequence[bytes], most: int, longest: int) -> Iterator[tuple[int, list[bytes]]]:
    """Split texts, in order, into requests within the limits.

    Args:
        texts: The texts; one that is longer than a request stands alone.
        most: Most texts of a request.
        longest: Most bytes of a request, with a comma after each text.

    Yields:
        Position of the first text of each request, and its texts.

    Example:
        >>> list(in_requests([b"aa", b"bb", b"cccccc", b"d"], 2, 6))
        [(0, [b'aa', b'bb']), (2, [b'cccccc']), (3, [b'd'])]
    """
    part, size = list[bytes](), 0
    for row, text in enumerate(texts):
        if part and (len(part) == most or size + len(text) + 1 > longest):
            yield row - len(part), part
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield len(texts) - len(part), part


def _id_of(text: bytes) -> str | None:
    """Return the id of a battle that was sent, as the service returns it."""
    battle = json.loads(text)
    found = str(battle["id"]) if isinstance(battle, dict) else None
    return found and found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _battle(battle: object, row: int) -> object:
    """Return a battle as it is sent; its id defaults to its row."""
    if isinstance(battle, Battle):
        battle = battle.model_dump(mode="json", include=_SENT, exclude_none=True)
    elif not isinstance(battle, Mapping):
        return battle
    return {**battle, "id": str(row)} if battle.get("id") in (None, "") else dict(battle)
