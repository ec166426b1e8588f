"""Test invalid values in every field: a located 4xx, never 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.serving.asking import BATTLE, GAMES, GOOD, refused

NO_TURNS: list[Any] = [None, 3, 2.5, True, {}, {"text": "x"}, [], "", " \n\t", [""], [None], [" ", None], [3], [["x"]]]
NO_TEXT: list[Any] = [3, 2.5, True, [], ["x"], {}]
NO_ID: list[Any] = [2.5, True, [], {}]
NO_NAME: list[Any] = [*NO_TEXT, "nobody", "", "../baseline", "x" * 5000]
NO_SHARES: list[Any] = [
    1,
    "x",
    [],
    [1, 0],
    [1, 1, 1],
    {"a": 1},
    {"a": 2, "b": -1, "tie": 0},
    {"a": 1, "b": 1, "tie": 1},
]
ODD: list[Any] = [None, 3, -1, True, "x", [], {}]

OF_BATTLES: dict[str, list[Any]] = {
    **dict.fromkeys(("prompt", "response_a", "response_b"), NO_TURNS),
    **dict.fromkeys(("language", "source", "model_a", "model_b"), NO_TEXT),
    "id": NO_ID,
    "winner": ["c", "A wins", 1, True, [], {}],
    "weight": ["1", -1, True, [], None],
    "probabilities": NO_SHARES,
}
OPTIONS: dict[str, list[Any]] = {
    "judge": NO_NAME,
    "order": [None, "", "BOTH", "sideways", 1, True, [], {}],
    "explain": [None, "yes", "true", 1, 0, [], {}],
}
INVALID: dict[str, dict[str, list[Any]]] = {
    "/v1/compare": OF_BATTLES | OPTIONS,
    "/v1/compare/batch": OPTIONS | {"battles": [*ODD, [None], [3], ["x"], [[]], [{}]]},
    "/v1/rerank": {
        "prompt": NO_TURNS,
        "candidates": [*ODD, [None], [3], [{}], [""], [[]], ["x", " "], ["x", [None]]],
        "id": NO_ID,
        "judge": NO_NAME,
    },
    "/v1/leaderboard": {"games": [*ODD, [None], ["x"], [[]], [{}]], "method": ["", "elo?", 3, True, [], {}]},
}
"""Invalid values of each field, by route."""

OF_GAMES: dict[str, list[Any]] = {
    "model_a": [*NO_TEXT, None, ""],
    "model_b": [*NO_TEXT, None, ""],
    "winner": ["c", 1, True, [], {}],
    "probabilities": NO_SHARES,
}

pytestmark = pytest.mark.usefixtures("workers_unchanged")


def bodies(route: str) -> Iterator[tuple[str, Any]]:
    """Return bodies with one invalid field, and the field's path."""
    for field, values in INVALID[route].items():
        yield from ((field, GOOD[route] | {field: value}) for value in values)
    if route == "/v1/compare/batch":
        for field, values in OF_BATTLES.items():
            yield from ((f"battles.1.{field}", {"battles": [BATTLE, BATTLE | {field: value}]}) for value in values)
    if route == "/v1/leaderboard":
        for field, values in OF_GAMES.items():
            game = {"model_a": "ant", "model_b": "bee"} | ({} if field == "probabilities" else {"winner": "a"})
            yield from (("games.4", {"games": [*GAMES, game | {field: value}]}) for value in values)
        yield "games.4", {"games": [*GAMES, {"model_a": "ant", "model_b": "bee"}]}
        yield "games.4", {"games": [*GAMES, {"model_a": "ant", "model_b": "ant", "winner": "a"}]}
    for field in GOOD[route]:
        yield field, {name: value for name, value in GOOD[route].items() if name != field}
    for name in ("respnse_a", "", "__proto__", "\x00", "ü"):
        yield name, GOOD[route] | {name: "x"}


@pytest.mark.parametrize("route", GOOD)
def test_invalid_fields_are_named(http: httpx.Client, route: str) -> None:
    for path, body in bodies(route):
        error = refused(http.post(route, json=body), 422)
        assert any(fault["path"].startswith(path) for fault in error["errors"]), (path, error)


@pytest.mark.parametrize("route", GOOD)
def test_bodies_that_are_empty_or_not_objects(http: httpx.Client, route: str) -> None:
    for body in (None, 3, True, "x", [], [BATTLE], {}):
        refused(http.post(route, content=json.dumps(body), headers={"content-type": "application/json"}), 422)
    refused(http.post(route, json=GOOD[route] | {"x" * 3000: "x"}), 422)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, "did you mean response_a?") for name in ("respnse_a", "responseA", "response-a", "Response_A")),
        ("vote", "allowed are id, prompt, response_a, response_b, winner, probabilities"),
    ],
)
def test_an_unknown_field_is_answered_with_the_known_ones(http: httpx.Client, name: str, words: str) -> None:
    assert words in refused(http.post("/v1/compare", json=BATTLE | {name: "x"}), 422, name)["message"]
    answer = http.post("/v1/compare/batch", json={"battles": [BATTLE, BATTLE | {name: "x"}]})
    assert words in json.dumps(refused(answer, 422, f"battles.1.{name}"))


def test_games_of_models_that_never_met(http: httpx.Client) -> None:
    apart = [GAMES[0], {"model_a": "cow", "model_b": "dog", "winner": "a"}]
    message = refused(http.post("/v1/leaderboard", json={"games": apart}), 422, "games")["message"]
    assert "1 row of votes between two models counts in the largest group of models that met; 1 more between" in message
    board = http.post("/v1/leaderboard", json={"games": [*GAMES, apart[1]]}).json()
    assert {row["model"] for row in board["models"]} == {"ant", "bee", "cat"}
    words = "cow, dog left out, and 1 of 5 rows of votes with them: never compared"
    assert any(words in note for note in board["notes"])


@pytest.mark.parametrize(
    ("prompt", "a", "b", "numbers"),
    [
        (["p", "q"], ["x", "y"], ["x"], "21"),
        (["p", "q"], ["x"], ["x", "y"], "21"),
        ("p", ["x", "y"], ["x", "y"], "12"),
        (["p", "q", "r"], ["x"], ["x"], "31"),
    ],
)
def test_unequal_turns_are_named_with_both_numbers(
    http: httpx.Client, prompt: Any, a: Any, b: Any, numbers: str
) -> None:
    battle = {"prompt": prompt, "response_a": a, "response_b": b}
    error = refused(http.post("/v1/compare", json=battle), 422)
    message = " ".join(place["message"] for place in error["errors"])
    assert all(number in message for number in numbers), message
    refused(http.post("/v1/compare/batch", json={"battles": [BATTLE, battle]}), 422)


def test_more_than_the_limits(http: httpx.Client) -> None:
    for route, field, most in (("/v1/compare/batch", "battles", 32), ("/v1/rerank", "candidates", 32)):
        good = GOOD[route][field][0]
        assert http.post(route, json=GOOD[route] | {field: [good] * most}).status_code == 200
        error = refused(http.post(route, json=GOOD[route] | {field: [good] * (most + 1)}), 422, field)
        assert "33" in str(error) and "32" in str(error)
    refused(http.post("/v1/leaderboard", json={"games": GAMES[:1] * 10_001}), 422, "games")


def test_many_errors_give_a_short_response(http: httpx.Client) -> None:
    answer = http.post("/v1/compare/batch", json={"battles": [{"prompt": 1, "response_a": 2, "response_b": 3}] * 30})
    refused(answer, 422)
    assert len(answer.content) < 20_000
