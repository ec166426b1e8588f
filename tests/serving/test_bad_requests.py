"""Every field of every route with values that cannot be used: a refusal that names the place, and never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.serving.asking import BATTLE, GAMES, GOOD, RERANK, refused

NO_TURNS: list[Any] = [None, 3, 2.5, True, {}, {"text": "x"}, [], "", " \n\t", [""], [None], [" ", None], [3], [["x"]]]
NO_TEXT: list[Any] = [3, 2.5, True, [], ["x"], {}]
NO_NAME: list[Any] = [*NO_TEXT, "nobody", "", "../baseline", "x" * 5000]
NO_SHARES: list[Any] = [1, "x", [], [1, 0], {"a": 1}, {"a": 2, "b": -1, "tie": 0}, {"a": 1, "b": 1, "tie": 1}]
ODD: list[Any] = [None, 3, -1, True, "x", [], {}]

pytestmark = pytest.mark.usefixtures("unharmed")


def cases(*fields: str, values: list[Any]) -> list[Any]:
    return [pytest.param(field, value, id=f"{field}-{json.dumps(value)[:24]}") for field in fields for value in values]


TURNS = cases("prompt", "response_a", "response_b", values=NO_TURNS)
NAMES = [
    *cases("id", values=[2.5, True, [], {}]),
    *cases("language", "source", "model_a", "model_b", values=NO_TEXT),
    *cases("winner", values=["c", "A", "", 1, True, [], {}]),
    *cases("weight", values=["1", -1, True, [], None]),
    *cases("probabilities", values=[*NO_SHARES, [1, 1, 1]]),
]
ASKED = [
    *cases("judge", values=NO_NAME),
    *cases("order", values=[None, "", "BOTH", "sideways", 1, True, [], {}]),
    *cases("explain", values=[None, "yes", "true", 1, 0, [], {}]),
]


@pytest.mark.parametrize(("field", "value"), [*TURNS, *NAMES, *ASKED])
def test_compare(http: httpx.Client, field: str, value: Any) -> None:
    refused(http.post("/v1/compare", json=BATTLE | {field: value}), 422)


@pytest.mark.parametrize(("field", "value"), [*TURNS, *NAMES])
def test_a_battle_of_a_batch_is_named_by_its_place(http: httpx.Client, field: str, value: Any) -> None:
    answer = http.post("/v1/compare/batch", json={"battles": [BATTLE, BATTLE, BATTLE | {field: value}]})
    error = refused(answer, 422)
    assert any(place["path"].startswith(f"battles.2.{field}") for place in error["errors"]), error


@pytest.mark.parametrize(("field", "value"), [*cases("battles", values=[*ODD, [None], ["x"], [[]], [{}]]), *ASKED])
def test_batch(http: httpx.Client, field: str, value: Any) -> None:
    refused(http.post("/v1/compare/batch", json=GOOD["/v1/compare/batch"] | {field: value}), 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *cases("prompt", values=NO_TURNS),
        *cases("candidates", values=[*ODD, [None], [3], [{}], [""], [[]], ["x", " "], ["x", [None]]]),
        *cases("id", values=[2.5, True, [], {}]),
        *cases("judge", values=NO_NAME),
    ],
)
def test_rerank(http: httpx.Client, field: str, value: Any) -> None:
    refused(http.post("/v1/rerank", json=RERANK | {field: value}), 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *cases("games", values=[*ODD, [None], ["x"], [[]], [{}]]),
        *cases("method", values=["", "elo?", 3, True, [], {}]),
    ],
)
def test_leaderboard(http: httpx.Client, field: str, value: Any) -> None:
    refused(http.post("/v1/leaderboard", json=GOOD["/v1/leaderboard"] | {field: value}), 422)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *cases("model_a", "model_b", values=[*NO_TEXT, None, ""]),
        *cases("winner", values=["c", 1, True, [], {}]),
        *cases(
            "probabilities", values=[1, "x", [1, 0], {"a": 1}, {"a": 2, "b": -1, "tie": 0}, {"a": 1, "b": 1, "tie": 1}]
        ),
    ],
)
def test_a_game_is_named_by_its_place(http: httpx.Client, field: str, value: Any) -> None:
    game = {"model_a": "ant", "model_b": "bee", "winner": "a"} | {field: value}
    if field == "probabilities":
        del game["winner"]
    error = refused(http.post("/v1/leaderboard", json={"games": [*GAMES, game]}), 422)
    assert any(place["path"].startswith("games.4") for place in error["errors"]), error


@pytest.mark.parametrize(
    "game", [{"model_a": "ant", "model_b": "bee"}, {"model_a": "ant", "model_b": "ant", "winner": "a"}]
)
def test_a_game_without_an_outcome_or_against_itself(http: httpx.Client, game: dict[str, str]) -> None:
    refused(http.post("/v1/leaderboard", json={"games": [*GAMES, game]}), 422)


def test_of_models_that_never_met_the_largest_group_is_ranked(http: httpx.Client) -> None:
    apart = [{"model_a": "dog", "model_b": "eel", "winner": "a"}]
    answer = http.post("/v1/leaderboard", json={"games": [*GAMES, *apart]})
    assert answer.status_code == 200, answer.text
    assert {row["model"] for row in answer.json()["models"]} == {"ant", "bee", "cat"}
    assert any("dog" in note for note in answer.json()["notes"]), answer.text


@pytest.mark.parametrize("route", GOOD)
@pytest.mark.parametrize("body", [None, 3, True, "x", [], [BATTLE], {}], ids=lambda body: json.dumps(body)[:9])
def test_a_body_that_is_no_object_or_empty(http: httpx.Client, route: str, body: Any) -> None:
    refused(http.post(route, content=json.dumps(body), headers={"content-type": "application/json"}), 422)


@pytest.mark.parametrize("route", GOOD)
def test_every_needed_field_is_asked_for(http: httpx.Client, route: str) -> None:
    for field in GOOD[route]:
        refused(
            http.post(route, json={name: value for name, value in GOOD[route].items() if name != field}), 422, field
        )


@pytest.mark.parametrize("route", GOOD)
@pytest.mark.parametrize("name", ["respnse_a", "", "__proto__", "\x00", "ü", "x" * 3000])
def test_unknown_fields_are_refused(http: httpx.Client, route: str, name: str) -> None:
    refused(http.post(route, json=GOOD[route] | {name: "x"}), 422)


def test_an_unknown_field_within_a_batch_is_named(http: httpx.Client) -> None:
    answer = http.post("/v1/compare/batch", json={"battles": [BATTLE, BATTLE | {"respnse_a": "x"}]})
    error = refused(answer, 422, "battles.1.respnse_a")
    assert "did you mean response_a?" in json.dumps(error)


@pytest.mark.parametrize("name", ["responseA", "response-a", "Response_A", "responsea"])
def test_a_field_in_another_spelling_is_told(http: httpx.Client, name: str) -> None:
    error = refused(http.post("/v1/compare", json=BATTLE | {name: "x"}), 422, name)
    assert "did you mean response_a?" in error["message"]


def test_an_unknown_field_of_a_game_is_answered_with_those_that_there_are(http: httpx.Client) -> None:
    games = [{"model_a": "ant", "model_b": "bee", "vote": "a"}]
    error = refused(http.post("/v1/leaderboard", json={"games": games}), 422, "games.0.vote")
    assert "allowed are model_a, model_b, winner, probabilities" in error["message"]


def test_games_of_models_that_never_met_are_counted(http: httpx.Client) -> None:
    apart = [GAMES[0], {"model_a": "cow", "model_b": "dog", "winner": "a"}]
    told = refused(http.post("/v1/leaderboard", json={"games": apart}), 422, "games")["message"]
    assert "1 row of votes between two models counts in the largest group of models that met; 1 more between" in told
    notes = http.post("/v1/leaderboard", json={"games": [*GAMES, apart[1]]}).json()["notes"]
    assert any("cow, dog left out, and 1 of 5 rows of votes with them: never compared" in note for note in notes)


@pytest.mark.parametrize(
    ("prompt", "a", "b", "numbers"),
    [
        (["p", "q"], ["x", "y"], ["x"], "21"),
        (["p", "q"], ["x"], ["x", "y"], "21"),
        ("p", ["x", "y"], ["x", "y"], "12"),
        (["p", "q", "r"], ["x"], ["x"], "31"),
    ],
)
def test_unequal_turns_are_told_with_both_numbers(
    http: httpx.Client, prompt: Any, a: Any, b: Any, numbers: str
) -> None:
    battle = {"prompt": prompt, "response_a": a, "response_b": b}
    error = refused(http.post("/v1/compare", json=battle), 422)
    told = " ".join(place["message"] for place in error["errors"])
    assert all(number in told for number in numbers), told
    refused(http.post("/v1/compare/batch", json={"battles": [BATTLE, battle]}), 422)


def test_more_than_the_limits(http: httpx.Client) -> None:
    for route, field, most in (("/v1/compare/batch", "battles", 32), ("/v1/rerank", "candidates", 32)):
        good = GOOD[route][field][0]
        assert http.post(route, json=GOOD[route] | {field: [good] * most}).status_code == 200
        error = refused(http.post(route, json=GOOD[route] | {field: [good] * (most + 1)}), 422, field)
        assert "33" in str(error) and "32" in str(error)
    refused(http.post("/v1/leaderboard", json={"games": GAMES[:1] * 10_001}), 422, "games")


def test_many_faults_do_not_make_a_long_answer(http: httpx.Client) -> None:
    answer = http.post("/v1/compare/batch", json={"battles": [{"prompt": 1, "response_a": 2, "response_b": 3}] * 30})
    refused(answer, 422)
    assert len(answer.content) < 20_000
