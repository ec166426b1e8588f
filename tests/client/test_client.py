"""Test the client without a service: requests, retries and responses."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import votecast
from votecast import AsyncClient, Battle, Client, ConfigError, DataError, ServiceError

JUDGE = {"name": "baseline", "hash": "0" * 64}
URL = "http://127.0.0.1:8000"
SHARES = {"a": 0.5, "b": 0.3, "tie": 0.2}
BATTLE = {"prompt": "p", "response_a": "x", "response_b": "y"}
GAME = {"model_a": "x", "model_b": "y", "winner": "a"}
BUSY = httpx.Response(429, headers={"retry-after": "7"}, json={"error": {"type": "busy", "message": "come back"}})


def prediction(id: str = "") -> dict[str, Any]:
    return {"id": id, "probabilities": SHARES, "decision": "a", "judge": JUDGE, "cut": None}


def service(request: httpx.Request) -> httpx.Response:
    """Return a service with batches of four and predictions by prompt."""
    if request.url.path == "/v1/judges":
        return httpx.Response(200, json={"judges": [JUDGE | {"family": "baseline"}], "limits": {"battles": 4}})
    asked = json.loads(request.content)
    if request.url.path == "/v1/compare":
        return httpx.Response(200, json=prediction(asked["prompt"]))
    assert len(asked["battles"]) <= 4
    for place, battle in enumerate(asked["battles"]):
        if not battle["prompt"]:
            places = [{"path": f"battles.{place}.prompt", "message": "is empty"}]
            error = {"type": "unfit", "message": "a field cannot be used", "errors": places}
            return httpx.Response(422, json={"error": error})
    found = [prediction(str(battle["id"])) for battle in asked["battles"]]
    return httpx.Response(200, json={"judge": JUDGE, "predictions": found})


class Script:
    """A sequence of responses; the last one repeats and requests are kept."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.asked = list(answers), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the seconds the client would have waited."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    return waited


Run = Callable[..., Any]


@pytest.fixture(params=["waiting", "async"])
def call(request: pytest.FixtureRequest) -> Run:
    """Call a method of either client: `call(transport, "compare", ..., retries=2)`."""

    def waiting(handler: Callable[..., Any], verb: str, /, *args: Any, options: Any = None, **named: Any) -> Any:
        with Client(URL, transport=httpx.MockTransport(handler), **(options or {})) as client:
            return getattr(client, verb)(*args, **named)

    def concurrent(handler: Callable[..., Any], verb: str, /, *args: Any, options: Any = None, **named: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(URL, transport=httpx.MockTransport(handler), **(options or {})) as client:
                return await getattr(client, verb)(*args, **named)

        return asyncio.run(run())

    return waiting if request.param == "waiting" else concurrent


def test_a_prediction_has_the_shape_of_the_service(call: Run) -> None:
    found = call(service, "compare", "why?", "because", ["no"])
    assert found.probabilities["a"] == 0.5
    assert found.to_dict() == prediction("why?")


def test_reasons_and_both_orders_are_returned_on_request(call: Run) -> None:
    explained = prediction() | {"orders": dict.fromkeys(("given", "swapped"), SHARES), "reasons": None}
    script = Script(httpx.Response(200, json=explained))
    assert call(script, "compare", "p", "a", "b", explain=True, judge="j", order="given").to_dict() == explained
    sent = {"prompt": "p", "response_a": "a", "response_b": "b", "judge": "j", "order": "given", "explain": True}
    assert json.loads(script.asked[0].content) == sent


@pytest.mark.parametrize("rows", [0, 1, 4, 11])
def test_any_number_of_battles_keeps_its_order(call: Run, rows: int) -> None:
    battles = [{"prompt": f"{n}", "response_a": "x", "response_b": "y"} for n in range(rows)]
    assert [found.id for found in call(service, "compare_batch", iter(battles))] == [str(n) for n in range(rows)]


def test_a_battle_is_sent_without_its_vote(call: Run) -> None:
    script = Script(
        httpx.Response(200, json={"judges": []}),
        httpx.Response(200, json={"judge": JUDGE, "predictions": [prediction("1")]}),
    )
    battle = Battle(id="1", prompt="p", response_a="a", response_b="b", winner="a", model_a="m", model_b="n")
    call(script, "compare_batch", [battle])
    sent = {"id": "1", "prompt": ["p"], "response_a": ["a"], "response_b": ["b"]}
    assert json.loads(script.asked[1].content)["battles"] == [sent]


def test_a_battle_without_a_name_is_called_by_its_place_among_all(call: Run) -> None:
    sent: list[str] = []

    def named(request: httpx.Request) -> httpx.Response:
        sent.extend(battle["id"] for battle in json.loads(request.content or b"{}").get("battles", []))
        return service(request)

    battle = {"prompt": "p", "response_a": "x", "response_b": "y"}
    battles = [battle, battle | {"id": "mine"}, battle | {"id": ""}, Battle(**battle), battle, battle | {"id": 7}]
    call(named, "compare_batch", battles)
    assert sent == ["0", "mine", "2", "3", "4", 7]


def test_long_battles_go_in_requests_that_are_short_enough(call: Run) -> None:
    sizes = []

    def small(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/judges":
            return httpx.Response(200, json={"judges": [], "limits": {"battles": 4, "body_bytes": 2_000}})
        sizes.append(len(request.content))
        return service(request)

    battles = [{"prompt": f"{n}", "response_a": "é" * 300, "response_b": "y"} for n in range(8)]
    assert len(call(small, "compare_batch", battles)) == 8
    assert len(sizes) == 4 and max(sizes) <= 2_000


def test_a_fault_is_named_by_its_place_among_all_battles(call: Run) -> None:
    battles = [{"prompt": "p" * (n != 6), "response_a": "x", "response_b": "y"} for n in range(9)]
    with pytest.raises(ServiceError, match="422: a field cannot be used; battles.6.prompt: is empty") as caught:
        call(service, "compare_batch", battles)
    assert (caught.value.status, caught.value.path) == (422, "/v1/compare/batch")
    assert caught.value.errors == ({"path": "battles.6.prompt", "message": "is empty"},)


def test_an_error_in_the_message_is_shown_once(call: Run) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/judges" or b"bad" not in request.content:
            return service(request)
        message = "the body cannot be used: battles.1.prompt: is empty (and 1 more, see errors)"
        places = [{"path": f"battles.{place}.prompt", "message": "is empty"} for place in (1, 2)]
        return httpx.Response(422, json={"error": {"type": "unfit", "message": message, "errors": places}})

    battles = [{"prompt": "bad" if n > 3 else "p", "response_a": "x", "response_b": "y"} for n in range(8)]
    with pytest.raises(ServiceError) as caught:
        call(refuse, "compare_batch", battles)
    assert str(caught.value).endswith(
        "cannot be used: battles.5.prompt: is empty (and 1 more, see errors); battles.6.prompt: is empty"
    )


def test_models_are_ranked(call: Run) -> None:
    rows = [{"model": "x", "score": 1_020.0, "rank": 1}, {"model": "y", "score": 980.0, "rank": 2}]
    sent = {"models": rows, "method": "davidson", "games": 2, "notes": ["z left out"]}
    script = Script(httpx.Response(200, json=sent))
    games = [{"model_a": "x", "model_b": "y", "winner": "a"}, {"model_a": "x", "model_b": "y", "winner": "tie"}]
    found = call(script, "leaderboard", iter(games), method="davidson")
    assert json.loads(script.asked[0].content) == {"games": games, "method": "davidson"}
    assert found.to_dict() == sent


def test_lone_surrogates_reach_the_service(call: Run) -> None:
    script = Script(httpx.Response(200, json=prediction()))
    call(script, "compare", "p", "\ud800", "b")
    assert json.loads(script.asked[0].content)["response_a"] == "\ud800"


@pytest.mark.parametrize("bad", [float("nan"), {1, 2}, b"x"])
def test_invalid_json_is_refused_before_sending(call: Run, bad: Any) -> None:
    with pytest.raises(DataError, match="battle 1 cannot be sent as JSON"):
        call(service, "compare_batch", [{"prompt": "p"}, {"prompt": bad}])


def test_a_busy_service_is_retried_after_its_delay(call: Run, pauses: list[float]) -> None:
    script = Script(BUSY, BUSY, httpx.Response(200, json=prediction()))
    assert call(script, "compare", "p", "a", "b").decision == "a"
    assert pauses == [7.0, 7.0]


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_broken_connection_is_tried_again(call: Run, pauses: list[float], error: Any) -> None:
    script = Script(error("broken"), httpx.Response(200, json=prediction()))
    assert call(script, "compare", "p", "a", "b").decision == "a"
    assert pauses == [0.25]


def test_a_service_that_stays_busy_is_given_up(call: Run, pauses: list[float]) -> None:
    script = Script(BUSY)
    with pytest.raises(ServiceError, match="answered 429: come back") as caught:
        call(script, "compare", "p", "a", "b", options={"retries": 2})
    assert (caught.value.status, len(script.asked), pauses) == (429, 3, [7.0, 7.0])


@pytest.mark.parametrize("sent", ["1e9", "nan", "inf", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", ""])
def test_no_answer_makes_the_client_wait_for_long(call: Run, pauses: list[float], sent: str) -> None:
    script = Script(httpx.Response(503, headers={"retry-after": sent}))
    with pytest.raises(ServiceError, match="503"):
        call(script, "compare", "p", "a", "b")
    assert len(pauses) == 5 and all(0 < pause <= 30 for pause in pauses)


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(503), httpx.Response(504), httpx.Response(500, headers={"retry-after": "1"}), httpx.Response(401)],
)
def test_other_responses_are_not_retried(call: Run, pauses: list[float], answer: httpx.Response) -> None:
    script = Script(answer)
    with pytest.raises(ServiceError) as caught:
        call(script, "compare", "p", "a", "b")
    assert (caught.value.status, len(script.asked), pauses) == (answer.status_code, 1, [])


def test_a_timeout_is_not_tried_again(call: Run, pauses: list[float]) -> None:
    script = Script(httpx.ReadTimeout("timed out"))
    with pytest.raises(ServiceError, match="gave no answer .timed out.; check the address") as caught:
        call(script, "compare", "p", "a", "b")
    assert (caught.value.status, pauses) == (None, [])


@pytest.mark.parametrize(
    "content", [b"<html>", b"[]", b"{}", b"null", b"[" * 100_000, b'{"predictions": [1], "limits": 3}']
)
@pytest.mark.parametrize("method", ["compare", "compare_batch", "rerank", "judges"])
def test_an_answer_of_something_else_is_an_error(call: Run, content: bytes, method: str) -> None:
    words: dict[str, Any] = {"compare": ("p", "a", "b"), "compare_batch": ([{}],), "rerank": ("p", ["a", "b"])}
    with pytest.raises(ServiceError, match="answered with something that no votecast service"):
        call(lambda _: httpx.Response(200, content=content), method, *words.get(method, ()))


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"error": 3}', b'{"error": {"message": 1, "errors": [3]}}'])
def test_a_refusal_by_something_else_is_an_error_with_its_status(call: Run, content: bytes) -> None:
    with pytest.raises(ServiceError, match="answered 502") as caught:
        call(lambda _: httpx.Response(502, content=content), "judges")
    assert caught.value.status == 502


WRONG: list[tuple[str, tuple[Any, ...], Any]] = [
    ("compare", ("p", "a", "b"), prediction() | {"probabilities": {"a": 0.5, "b": 0.3}}),
    ("compare", ("p", "a", "b"), prediction() | {"probabilities": {"a": 0.9, "b": 0.9, "tie": 0.9}}),
    ("compare_batch", ([BATTLE, BATTLE],), [prediction("1"), prediction("0")]),
    ("compare_batch", ([BATTLE, BATTLE],), [prediction("0")]),
    ("rerank", ("p", ["a", "b"]), [{"index": 1, "score": 0.9}, {"index": 1, "score": 0.1}]),
    ("rerank", ("p", ["a", "b"]), [{"index": 0, "score": 0.9}]),
    ("rerank", ("p", ["a"]), [{"index": 5, "score": 0.9}]),
    ("leaderboard", ([GAME],), [{"model": "x"}, {"model": "someone"}]),
    ("leaderboard", ([GAME],), [{"model": "x"}, {"model": "x"}]),
]


@pytest.mark.parametrize(("method", "words", "sent"), WRONG)
def test_an_answer_to_something_else_is_an_error(call: Run, method: str, words: Any, sent: Any) -> None:
    answers: dict[str, Any] = {
        "compare": sent,
        "compare_batch": {"judge": JUDGE, "predictions": sent},
        "rerank": {"id": "", "ranking": sent, "judge": JUDGE},
        "leaderboard": {"models": sent, "method": "bradley_terry", "games": 1},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        is_listing = request.url.path == "/v1/judges"
        return httpx.Response(200, json={"judges": []} if is_listing else answers[method])

    with pytest.raises(ServiceError, match="answered with something that no votecast service"):
        call(answer, method, *words)


def test_no_answer_is_inflated_or_longer_than_any_can_be(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.Request] = []

    def bomb(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        packed = httpx.ByteStream(gzip.compress(bytes(10_000_000)))
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=packed)

    with pytest.raises(ServiceError, match="is encoded as 'gzip', which was not asked for"):
        call(bomb, "judges")
    assert asked[0].headers["accept-encoding"] == "identity"
    monkeypatch.setattr("votecast.client.calls._LONGEST_ANSWER", 1000)
    with pytest.raises(ServiceError, match="is longer than 1,000 bytes"):
        call(lambda _: httpx.Response(200, content=b" " * 1001), "judges")
    with pytest.raises(ServiceError) as caught:
        call(lambda _: httpx.Response(400, json={"error": {"message": "x" * 900}}), "judges")
    assert len(str(caught.value)) < 1000


def test_a_redirect_is_not_followed_with_the_key(call: Run) -> None:
    script = Script(httpx.Response(307, headers={"location": "http://elsewhere.example/"}))
    with pytest.raises(ServiceError, match="answered 307"):
        call(script, "judges", options={"key": "secret"})
    assert script.asked[0].headers["authorization"] == "Bearer secret"
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("answer", "ready"),
    [(httpx.Response(200), True), (httpx.Response(503), False), (httpx.ConnectError("refused"), False)],
)
def test_ready_answers_at_once(call: Run, pauses: list[float], answer: Any, ready: bool) -> None:
    assert call(Script(answer), "ready") is ready
    assert pauses == []


def test_ready_does_not_hide_a_wrong_key(call: Run) -> None:
    with pytest.raises(ServiceError, match="401"):
        call(Script(httpx.Response(401)), "ready")


def test_judges_and_rankings_are_returned(call: Run) -> None:
    (judge,) = call(service, "judges")
    assert (judge.name, judge.facts["family"]) == ("baseline", "baseline")
    ranked = {"id": "7", "ranking": [{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}], "judge": JUDGE}
    found = call(Script(httpx.Response(200, json=ranked)), "rerank", "p", ["a", "b"], id="7")
    assert (found.best, found.scores, found.to_dict()) == (1, [0.1, 0.9], ranked)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "", "http://h/?q=1"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_that_is_none_is_refused(kind: Any, url: str) -> None:
    with pytest.raises(ConfigError, match="not the address of a service"):
        kind(url)


def test_a_key_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="give key=") as error:
        Client("http://me:secret@localhost:8000")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("options", [{"key": ""}, {"key": "a\nb"}, {"key": "ü"}, {"retries": -1}, {"timeout": 0}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Client(URL, **options)


def test_without_httpx_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "httpx", None)
    with pytest.raises(votecast.MissingExtraError, match=r"pip install .*\[client\]'"):
        Client(URL)
