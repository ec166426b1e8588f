"""Test that the service equals the command line bit for bit."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.asking import BATTLE, GAMES, RERANK
from tests.serving.running import Service

from votecast import AsyncClient, Client, ServiceError
from votecast.cli import main

BATTLES: list[dict[str, Any]] = [
    BATTLE,
    {"prompt": ["Hi", "And now?"], "response_a": ["Hello!", "So."], "response_b": ["Hey", None]},
    {"prompt": "Wie heißt die Hauptstadt von Kanada?", "response_a": "Ottawa.", "response_b": "**Toronto** 😀\n- ja"},
    {"prompt": "code", "response_a": "```py\nprint(1)\n```", "response_b": "# Title\n\n1. one\n2. two " * 30},
    {"prompt": "same", "response_a": "x", "response_b": "x"},
    {"prompt": "odd \u0000 \ud800 \ufeff", "response_a": "\u202e", "response_b": "z" * 20_000},
]


def compared(tmp_path: Path, capsys: pytest.CaptureFixture[str], battle: dict[str, Any]) -> dict[str, Any]:
    """Return the output of `votecast compare --json -`."""
    words = ["compare", "--judge", "bundled:baseline", "--json", "-"]
    for option, name in (("--prompt", "prompt"), ("--a", "response_a"), ("--b", "response_b")):
        turns = battle[name] if isinstance(battle[name], list) else [battle[name]]
        words += [word for turn in turns for word in (f"{option}={turn or ''}",)]
    capsys.readouterr()
    assert main(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_one_battle_matches_compare(http: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for battle in BATTLES[:1] + BATTLES[2:5]:
        assert http.post("/v1/compare", json=battle | {"id": "0"}).json() == compared(tmp_path, capsys, battle)


def test_a_batch_matches_predict(service: Service, tmp_path: Path) -> None:
    rows = [battle | {"id": str(n)} for n, battle in enumerate(BATTLES * 15)]
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["predict", "--judge", "bundled:baseline", "--input", str(source), "--out", str(out)]) == 0
    with out.open() as file:
        expected = [[float(row[f"p_{name}"]) for name in ("a", "b", "tie")] for row in csv.DictReader(file)]
    with Client(service.url) as client:
        found = client.compare_batch(rows)
    assert [prediction.id for prediction in found] == [row["id"] for row in rows]
    assert [list(prediction.probabilities.values()) for prediction in found] == expected


def test_one_at_a_time_as_in_a_batch(service: Service) -> None:
    async def one_by_one() -> list[Any]:
        async with AsyncClient(service.url) as client:
            asked = (client.compare(b["prompt"], b["response_a"], b["response_b"]) for b in BATTLES * 10)
            return await asyncio.gather(*asked)

    with Client(service.url) as client:
        together = client.compare_batch(BATTLES * 10)
    assert [each.probabilities for each in asyncio.run(one_by_one())] == [each.probabilities for each in together]


def test_swapped_responses_have_swapped_predictions(http: httpx.Client) -> None:
    there = http.post("/v1/compare", json=BATTLE).json()["probabilities"]
    swapped = BATTLE | {"response_a": BATTLE["response_b"], "response_b": BATTLE["response_a"]}
    back = http.post("/v1/compare", json=swapped).json()["probabilities"]
    assert (back["b"], back["a"], back["tie"]) == (there["a"], there["b"], there["tie"])


def test_an_explained_prediction_is_the_same_prediction(service: Service) -> None:
    with Client(service.url) as client:
        plain, explained = client.compare_batch([BATTLE]), client.compare_batch([BATTLE], explain=True)
    assert explained[0].probabilities == plain[0].probabilities
    assert explained[0].orders is not None and set(explained[0].orders) == {"given", "swapped"}
    assert explained[0].reasons and all({"name", "text", "effect"} <= set(reason) for reason in explained[0].reasons)


def test_the_requested_order(service: Service) -> None:
    with Client(service.url) as client:
        (explained,) = client.compare_batch([BATTLE], explain=True)
        (given,) = client.compare_batch([BATTLE], order="given")
    assert explained.orders is not None
    assert given.probabilities == explained.orders["given"]


def test_a_ranking_matches_rerank(service: Service, tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(RERANK) + "\n")
    assert main(["rerank", "--judge", "bundled:baseline", "--input", str(source), "--out", str(out)]) == 0
    expected = json.loads(out.read_text())
    with Client(service.url) as client:
        found = client.rerank(RERANK["prompt"], RERANK["candidates"])
    assert (found.best, found.scores) == (expected["index"], expected["scores"])
    assert [row["score"] for row in found.ranking] == sorted(found.scores, reverse=True)


def test_a_leaderboard_names_every_model(http: httpx.Client) -> None:
    soft = [{"model_a": "ant", "model_b": "cat", "probabilities": {"a": 0.5, "b": 0.25, "tie": 0.25}}]
    for games in (GAMES, [*GAMES, *soft]):
        found = http.post("/v1/leaderboard", json={"games": games})
        assert found.status_code == 200, found.text
        assert {row["model"] for row in found.json()["models"]} == {"ant", "bee", "cat"}


def test_votes_in_a_battle_are_not_looked_at(http: httpx.Client) -> None:
    voted = BATTLE | {"winner": "b", "model_a": "m", "model_b": "n", "weight": 3.5, "probabilities": [0.0, 1.0, 0.0]}
    assert http.post("/v1/compare", json=voted).json() == http.post("/v1/compare", json=BATTLE).json()


def test_the_client_reports_what_the_service_refused(service: Service) -> None:
    with Client(service.url) as client:
        assert client.ready()
        assert [judge.name for judge in client.judges()] == ["baseline"]
        with pytest.raises(ServiceError, match="nobody|judge") as caught:
            client.compare("p", "a", "b", judge="nobody")
        assert caught.value.status == 422
        with pytest.raises(ServiceError) as caught:
            client.compare_batch([*BATTLES * 6, {"prompt": "p", "response_a": "", "response_b": "b"}])
        assert caught.value.errors[0]["path"] == "battles.36.response_a"


def test_the_service_reports_its_request_limits(http: httpx.Client) -> None:
    limits = http.get("/v1/judges").json()["limits"]
    assert limits == {"body_bytes": 2_000_000, "battles": 32, "candidates": 32, "games": 10_000}


def test_a_service_that_cannot_be_reached() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client:
        assert not client.ready()
        with pytest.raises(ServiceError, match="gave no answer") as caught:
            client.judges()
    assert caught.value.status is None
