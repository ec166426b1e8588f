"""Test how the application handles requests."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.inside import BATTLE, SHARES, StillPool, ask, get, post

from votecast.serving import request_errors as errors
from votecast.serving.app import build_app
from votecast.serving.settings import ServiceSettings
from votecast.serving.telemetry import RequestLog

KEY = "0123456789abcdef"


def test_a_battle_reaches_the_judge_it_names_as_it_was_sent() -> None:
    body = BATTLE | {"id": 7, "language": "en", "source": "us", "judge": "second", "order": "given", "explain": True}
    answer = post(pool := StillPool(), "/v1/compare", body | {"winner": "a", "weight": 2})
    assert answer.status_code == 200
    assert answer.json()["id"] == "7"
    assert answer.json()["probabilities"] == SHARES
    turns = {name: (text,) for name, text in BATTLE.items()}
    assert pool.asked == [("second", [turns | {"id": "7", "language": "en", "source": "us"}], "given", True)]


def test_battles_without_names_are_called_by_their_places() -> None:
    answer = post(pool := StillPool(), "/v1/compare/batch", {"battles": [BATTLE, BATTLE | {"id": "x"}, BATTLE]})
    assert [each["id"] for each in answer.json()["predictions"]] == ["0", "x", "2"]
    assert answer.json()["judge"] == {"name": "first", "hash": "0a1b"}
    assert pool.asked[0][0] == "first"


def test_equal_candidates_share_a_place_and_one_alone_needs_no_judge() -> None:
    answer = post(pool := StillPool(), "/v1/rerank", {"prompt": "Why?", "candidates": ["x", "y", "x"]})
    scores = {each["index"]: each["score"] for each in answer.json()["ranking"]}
    assert scores[0] == scores[2] != scores[1]
    assert sum(scores.values()) == pytest.approx(1.5)
    assert len(pool.asked[0][1]) == 1
    alone = post(pool := StillPool(), "/v1/rerank", {"prompt": "Why?", "candidates": ["x"], "id": "me"})
    assert alone.json()["ranking"] == [{"index": 0, "score": 0.5}]
    assert (alone.json()["id"], pool.asked) == ("me", [])


def test_predictions_count_in_a_leaderboard_as_votes_do() -> None:
    games = [{"model_a": "old", "model_b": "new", "winner": "b"}] * 5
    games += [{"model_a": "new", "model_b": "old", "probabilities": {"a": 0.6667, "b": 0.1667, "tie": 0.1667}}]
    answer = post(StillPool(), "/v1/leaderboard", {"games": games, "method": "davidson"}).json()
    assert [each["model"] for each in answer["models"]] == ["new", "old"]
    assert (answer["method"], answer["games"]) == ("davidson", 6)
    assert answer["models"][0]["low"] < answer["models"][0]["score"] < answer["models"][0]["high"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "retry"),
    [
        (errors.QueueFullError(retry_after=3), 429, "busy", "3"),
        (errors.RequestTimeoutError(), 504, "timeout", None),
        (errors.WorkerLostError(), 503, "worker_lost", "1"),
        (errors.UnscoredError({1: "too long"}), 422, "unscored", None),
        (ZeroDivisionError("the user's secret"), 500, "internal", None),
    ],
)
def test_errors_of_judges(error: Exception, status: int, kind: str, retry: str | None) -> None:
    pool = StillPool()
    pool.error = error
    answer = post(pool, "/v1/compare/batch", {"battles": [BATTLE, BATTLE]})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert answer.headers.get("retry-after") == retry
    assert "secret" not in answer.text


@pytest.mark.parametrize(("state", "kind"), [("loading", "loading"), ("draining", "draining")])
@pytest.mark.parametrize("route", ["/ready", "/v1/judges", "/v1/compare"])
def test_unknown_judges_are_not_found(state: str, kind: str, route: str) -> None:
    pool = StillPool()
    pool.state = state
    answer = post(pool, route, BATTLE) if route == "/v1/compare" else get(pool, route)
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, kind)
    assert answer.headers["retry-after"] == "1"
    assert get(pool, "/health").status_code == 200


def test_a_service_whose_workers_are_all_being_replaced_is_not_ready() -> None:
    pool = StillPool()
    pool.workers_ready = 0
    assert get(pool, "/ready").status_code == 503


def test_as_many_as_allowed_are_inside_and_the_next_is_refused() -> None:
    pool = StillPool()

    async def talk(client: httpx.AsyncClient) -> list[int]:
        pool.hold = asyncio.Event()
        inside = [asyncio.ensure_future(client.post("/v1/compare", json=BATTLE)) for _ in range(2)]
        while len(pool.asked) < 2:
            await asyncio.sleep(0)
        refused = await client.post("/v1/compare", json=BATTLE)
        counts = (await client.get("/metrics")).text
        pool.hold.set()
        answered = await asyncio.gather(*inside)
        again = await client.post("/v1/compare", json=BATTLE)
        assert "votecast_requests_total" in counts
        return [each.status_code for each in (refused, *answered, again)]

    assert ask(pool, talk, in_flight=2) == [429, 200, 200, 200]


def test_a_request_without_an_answer_is_given_up_in_time() -> None:
    pool = StillPool()

    async def talk(client: httpx.AsyncClient) -> int:
        pool.hold = asyncio.Event()
        return (await client.post("/v1/compare", json=BATTLE)).status_code

    assert ask(pool, talk, timeout=0.05) == 504
    assert pool.cancelled == 1


def test_work_for_a_client_that_left_is_not_done() -> None:
    pool, log = StillPool(), io.StringIO()
    app = build_app(pool, ServiceSettings(), key=None, log=RequestLog(log))  # type: ignore[arg-type]
    sent: list[Any] = []

    async def run() -> None:
        pool.hold = asyncio.Event()
        parts = iter([{"type": "http.request", "body": json.dumps(BATTLE).encode(), "more_body": False}])

        async def receive() -> dict[str, Any]:
            while not pool.asked and (part := next(parts, None)) is None:
                await asyncio.sleep(0)
            return {"type": "http.disconnect"} if pool.asked else part

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/compare", "headers": headers, "query_string": b""}
        await app(scope, receive, send)

    asyncio.run(run())
    assert (sent, pool.cancelled) == ([], 1)
    assert json.loads(log.getvalue())["status"] == 499


def test_logs_and_error_responses_hold_no_text() -> None:
    pool, log = StillPool(), io.StringIO()
    pool.error = ValueError("could not use 'my secret'")
    app = build_app(pool, ServiceSettings(), key=None, log=RequestLog(log))  # type: ignore[arg-type]

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post("/v1/compare", json=BATTLE)

    answer = asyncio.run(run())
    assert answer.status_code == 500
    fault, line = map(json.loads, log.getvalue().splitlines())
    assert fault["error"] == "ValueError"
    assert any("inside.py" in place for place in fault["where"])
    assert (line["status"], line["rows"], line["judge"]) == (500, 1, "first")
    assert "secret" not in log.getvalue() + answer.text


def test_pages_are_cached() -> None:
    pool = StillPool()
    for path in ("/static/main.js", "/static/docs.css"):
        first = get(pool, path)
        assert first.status_code == 200
        again = get(pool, path, {"if-none-match": f'"other", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")


def test_the_page_of_the_routes_names_all_and_loads_nothing_from_elsewhere() -> None:
    page = get(StillPool(), "/docs").text
    described = get(StillPool(), "/openapi.json").json()
    assert all(path in page for path in described["paths"])
    assert "<script" not in page
    assert " style=" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_description_is_the_one_that_clients_know() -> None:
    """After an interface change update openapi.json and the changelog."""
    app = build_app(StillPool(), ServiceSettings(), key=KEY, judges=["first", "second"])  # type: ignore[arg-type]
    described = app.openapi()
    del described["info"]["version"]
    assert described == json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8"))


def test_the_description_holds_limits_and_authentication() -> None:
    guarded = get(StillPool(), "/openapi.json", {"authorization": f"Bearer {KEY}"}, key=KEY, battles=5).json()
    assert guarded["components"]["schemas"]["BatchRequest"]["properties"]["battles"]["maxItems"] == 5
    compare = guarded["paths"]["/v1/compare"]["post"]
    assert "401" in compare["responses"]
    assert "403" not in compare["responses"]
    assert compare["security"] == [{"bearer": []}, {"basic": []}]
    assert "security" not in guarded["paths"]["/health"]["get"]
    unguarded = get(StillPool(), "/openapi.json").json()
    assert "403" in unguarded["paths"]["/v1/compare"]["post"]["responses"]
    assert "securitySchemes" not in unguarded["components"]


def test_more_than_the_settings_allow() -> None:
    answer = post(StillPool(), "/v1/compare/batch", {"battles": [BATTLE] * 3}, battles=2)
    assert answer.status_code == 422
    assert answer.json()["error"]["errors"][0]["path"] == "battles"
    assert "at most 2" in answer.json()["error"]["message"]
    assert post(StillPool(), "/v1/compare", BATTLE | {"prompt": "x" * 2000}, body_bytes=1000).status_code == 413


@pytest.mark.parametrize(
    ("route", "body", "path"),
    [("/v1/compare", BATTLE, ""), ("/v1/rerank", {"prompt": "Why?", "candidates": ["x", "y"]}, "candidates")],
)
def test_unscorable_rows_are_named_by_their_place_in_the_body(route: str, body: Any, path: str) -> None:
    pool = StillPool()
    pool.error = errors.UnscoredError({0: "it is longer than the judge reads"})
    answer = post(pool, route, body)
    assert answer.status_code == 422
    assert answer.json()["error"]["errors"] == [{"path": path, "message": "it is longer than the judge reads"}]


@pytest.mark.parametrize(
    ("route", "body", "path"),
    [
        ("/v1/compare", BATTLE | {"prompt": [3] * 500}, "prompt.0"),
        ("/v1/rerank", {"prompt": "Why?", "candidates": [[3] * 500]}, "candidates.0.0"),
        ("/v1/compare", BATTLE | {f"f{n}": 1 for n in range(500)}, ""),
        ("/v1/compare/batch", {"battles": [BATTLE, BATTLE | {f"f{n}": 1 for n in range(500)}]}, "battles.1"),
        ("/v1/leaderboard", {"games": [{"model_a": "x", "model_b": 3}] * 500}, "games.0.model_b"),
    ],
)
def test_only_the_first_of_many_errors_is_reported(route: str, body: Any, path: str) -> None:
    answer = post(StillPool(), route, body)
    assert answer.status_code == 422
    assert [fault["path"] for fault in answer.json()["error"]["errors"]] == [path]


def test_candidate_lists_with_too_much_pair_text_are_refused() -> None:
    body = {"prompt": "x" * 1_500, "candidates": [f"answer {n}" for n in range(32)]}
    answer = post(pool := StillPool(), "/v1/rerank", body, body_bytes=4_000)
    assert answer.status_code == 422 and pool.asked == []
    assert answer.json()["error"]["errors"][0]["path"] == "candidates"
    assert post(StillPool(), "/v1/rerank", body).status_code == 200


def test_a_leaderboard_of_a_client_that_left_holds_up_no_other() -> None:
    games = {"games": [{"model_a": "old", "model_b": "new", "winner": "b"}] * 5}

    async def talk(client: httpx.AsyncClient) -> list[int]:
        left = [asyncio.ensure_future(client.post("/v1/leaderboard", json=games)) for _ in range(20)]
        await asyncio.sleep(0)
        for each in left[1:]:
            each.cancel()
        answered = [await client.post("/v1/leaderboard", json=games), await left[0]]
        return [each.status_code for each in answered]

    assert ask(StillPool(), talk) == [200, 200]


def test_a_long_body_is_checked_as_a_short_one() -> None:
    long = {"response_a": "x" * 400_000}
    assert post(StillPool(), "/v1/compare", BATTLE | long).status_code == 200
    answer = post(StillPool(), "/v1/compare", BATTLE | long | {"order": "sideways"})
    assert answer.json()["error"]["errors"][0]["path"] == "order"
