"""All of the client but the sending: what is asked, when it is asked again, and what becomes of the answer.

A call is a generator of steps. Whoever drives it sends back what came of each step; a step is something to send or
seconds to wait, so that the same call can be driven with and without `await`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from votecast.client.answers import Forecast, Leaderboard, Reranked, ServedJudge
from votecast.config.extras import need
from votecast.errors import ConfigError, DataError, ServiceError
from votecast.types import Battle

T = TypeVar("T")

Text = str | Sequence[str | None]
"""A text, or the turns of a conversation."""

_SENT = {"id", "prompt", "response_a", "response_b", "language", "source"}
_FEW = {"battles": 32, "body_bytes": 2_000_000}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
_TOO_BUSY = {429, 503}


@dataclass(frozen=True)
class Send:
    """A request to send; what comes of it is a response, or the `httpx.TransportError` that came instead."""

    method: str
    path: str
    body: bytes | None = None


@dataclass(frozen=True)
class Wait:
    """Seconds to wait; nothing comes of it."""

    seconds: float


Steps = Generator[Send | Wait, Any, T]


class Calls:
    """What both clients share.

    Args:
        url: Address of the service.
        key: Its API key.
        timeout: Seconds to wait for an answer.
        retries: How many times a request is sent again.
        transport: An httpx transport to send through.
    """

    def __init__(self, url: str, key: str | None, timeout: float, retries: int, transport: Any) -> None:
        self.httpx = need("httpx")
        self.url, self.retries = _checked_url(url), retries
        if retries < 0 or not timeout > 0:
            raise ConfigError(f"retries is {retries} and timeout {timeout}; allowed are 0 or more, and seconds above 0")
        self.options = {"headers": _headers(key), "timeout": timeout, "transport": transport}
        self._limits: dict[str, int] | None = None

    def compare(self, battle: Mapping[str, Any], asked: Mapping[str, Any]) -> Steps[Forecast]:
        """Ask for one forecast."""
        answer = yield from self._ask("POST", "/v1/compare", as_json({**battle, **asked}, "the battle"))
        return self._read(Forecast.of, answer, "/v1/compare")

    def compare_batch(self, battles: Iterable[Any], asked: Mapping[str, Any]) -> Steps[list[Forecast]]:
        """Ask for any number of forecasts, as many at once as the service takes."""
        path, found = "/v1/compare/batch", list[Forecast]()
        texts = [as_json(_named(battle, place), f"battle {place}") for place, battle in enumerate(battles)]
        rest = as_json(asked, "the request")
        limits = (yield from self._ask_limits()) if texts else _FEW
        for first, part in in_requests(texts, limits["battles"], limits["body_bytes"] - len(rest) - 20):
            further = b"" if rest == b"{}" else b"," + rest[1:-1]
            answer = yield from self._ask(
                "POST", path, b'{"battles":[' + b",".join(part) + b"]" + further + b"}", first
            )
            found += self._read(lambda answer: [Forecast.of(row) for row in answer["forecasts"]], answer, path)
        if len(found) != len(texts):
            raise self._strange(path)
        return found

    def rerank(self, asked: Mapping[str, Any]) -> Steps[Reranked]:
        """Ask for the order of candidates."""
        answer = yield from self._ask("POST", "/v1/rerank", as_json(asked, "the request"))
        return self._read(Reranked.of, answer, "/v1/rerank")

    def leaderboard(self, asked: Mapping[str, Any]) -> Steps[Leaderboard]:
        """Ask for the ranking of models."""
        answer = yield from self._ask("POST", "/v1/leaderboard", as_json(asked, "the request"))
        return self._read(Leaderboard.of, answer, "/v1/leaderboard")

    def judges(self) -> Steps[list[ServedJudge]]:
        """Ask which judges there are."""
        answer = yield from self._ask("GET", "/v1/judges")
        return self._read(lambda found: [ServedJudge.of(row) for row in found["judges"]], answer, "/v1/judges")

    def ready(self) -> Steps[bool]:
        """Ask whether the judges are loaded; a service that cannot be reached is not ready."""
        found = yield Send("GET", "/ready")
        if isinstance(found, self.httpx.TransportError) or found.status_code == 503:
            return False
        if found.status_code != 200:
            raise self._refused(found, "/ready")
        return True

    def _ask_limits(self) -> Steps[dict[str, int]]:
        if self._limits is None:
            answer = yield from self._ask("GET", "/v1/judges")
            self._limits = _FEW | self._read(lambda found: dict(found.get("limits") or {}), answer, "/v1/judges")
        return self._limits

    def _ask(self, method: str, path: str, body: bytes | None = None, first: int = 0) -> Steps[Any]:
        """Send a request, again where that is safe: nothing a service is asked changes anything there."""
        for tried in range(self.retries + 1):
            found = yield Send(method, path, body)
            pause = self._pause(found, tried)
            if pause is None or tried == self.retries:
                break
            yield Wait(pause)
        if isinstance(found, self.httpx.TransportError):
            raise ServiceError(_unreached(self.url + path, found), path=path) from found
        if found.status_code != 200:
            raise self._refused(found, path, first)
        try:
            return found.json()
        except (ValueError, RecursionError):
            raise self._strange(path) from None

    def _pause(self, found: Any, tried: int) -> float | None:
        """Seconds until another try; None where another try would be of no use or unsafe."""
        pause = min(_FIRST_PAUSE * 2.0**tried, _LONGEST_PAUSE)
        if isinstance(found, self.httpx.TransportError):
            return pause if isinstance(found, self.httpx.NetworkError | self.httpx.RemoteProtocolError) else None
        said: str | None = found.headers.get("retry-after")
        if found.status_code not in _TOO_BUSY or said is None:
            return None
        return min(max(pause, _seconds(said)), _LONGEST_PAUSE)

    def _read(self, read: Callable[[Any], T], answer: Any, path: str) -> T:
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._strange(path) from None

    def _strange(self, path: str) -> ServiceError:
        return ServiceError(
            f"{self.url}{path} answered with something that no votecast service of this version says; check the "
            "address, and what stands between",
            status=200,
            path=path,
        )

    def _refused(self, found: Any, path: str, first: int = 0) -> ServiceError:
        try:
            error = found.json()["error"]
            message, errors = str(error["message"]), [dict(place) for place in error.get("errors") or []]
        except (ValueError, TypeError, KeyError, RecursionError):
            message, errors = found.reason_phrase or "no reason given", []
        for place in errors:
            here = str(place.get("path", ""))
            place["path"] = _place_in_all(here, first)
            message = message.replace(f"{here}: ", f"{place['path']}: ") if place["path"] != here else message
        places = [f"{place['path']}: {place.get('message')}".removeprefix(": ") for place in errors[:3]]
        shown = "".join(f"; {place}" for place in places if place not in message)
        text = f"{self.url}{path} answered {found.status_code}: {message}{shown}"
        return ServiceError(text, status=found.status_code, path=path, errors=errors)


def as_json(value: Any, what: str) -> bytes:
    """A value as the bytes of JSON.

    Raises:
        DataError: If it cannot be written as JSON.

    Example:
        >>> as_json({"prompt": "Wie heißt du?"}, "the battle").decode()
        '{"prompt":"Wie heißt du?"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            return text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can only write with a backslash
            return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{what} cannot be sent as JSON: {error}; give texts, numbers and lists of them") from error


def in_requests(texts: Sequence[bytes], most: int, longest: int) -> Iterator[tuple[int, list[bytes]]]:
    """Split texts, in their order, into parts of at most so many texts and bytes; one that is too long stands alone.

    Args:
        texts: The texts.
        most: Most texts of a part.
        longest: Most bytes of a part, with a comma after each text.

    Yields:
        Place of the first text of each part, and the part.

    Example:
        >>> list(in_requests([b"aa", b"bb", b"cccccc", b"d"], 2, 6))
        [(0, [b'aa', b'bb']), (2, [b'cccccc']), (3, [b'd'])]
    """
    part, size = list[bytes](), 0
    for place, text in enumerate(texts):
        if part and (len(part) == most or size + len(text) + 1 > longest):
            yield place - len(part), part
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield len(texts) - len(part), part


def settings(**given: Any) -> dict[str, Any]:
    """What is not left to the service.

    Example:
        >>> settings(judge=None, order="both")
        {'order': 'both'}
    """
    return {name: value for name, value in given.items() if value is not None}


def _named(battle: Any, place: int) -> Any:
    """A battle as it is sent; one without a name is called by its place among all, not by that in its request."""
    if isinstance(battle, Battle):
        battle = battle.model_dump(mode="json", include=_SENT, exclude_none=True)
    elif not isinstance(battle, Mapping):
        return battle
    return {**battle, "id": str(place)} if battle.get("id") in (None, "") else dict(battle)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"{url!r} is no address of a service; give one such as http://127.0.0.1:8000")
    if "@" in parts.netloc:
        raise ConfigError("the address holds a key or a name before its @, and errors show the address; give key=")
    return url.rstrip("/")


def _headers(key: str | None) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept": "application/json"}
    if key is None:
        return headers
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError("the key holds characters that no header may hold, or none at all; give the key as it is")
    return headers | {"authorization": f"Bearer {key}"}


def _seconds(said: str) -> float:
    try:
        seconds = float(said)
    except ValueError:  # a date
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _unreached(url: str, error: Exception) -> str:
    what = str(error) or type(error).__name__
    return f"{url} gave no answer ({what}); check the address, and that the service runs there"


def _place_in_all(path: str, first: int) -> str:
    """The path of a fault within all battles, not only those of one request."""
    head, _, rest = path.partition(".")
    number, dot, field = rest.partition(".")
    return f"battles.{int(number) + first}{dot}{field}" if head == "battles" and number.isdecimal() else path
