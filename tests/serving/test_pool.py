"""Test a pool of real workers against the command line."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving.pools import RunningPool, rows, running

from votecast.judges.load import load_judge
from votecast.serving.pool import Pool
from votecast.serving.request_errors import DrainingError
from votecast.serving.settings import ServiceSettings


@pytest.fixture(scope="module")
def pool() -> Iterator[RunningPool]:
    with running({"it": "bundled:baseline", "other": "bundled:baseline"}, workers=2) as started:
        yield started


def test_an_answer_is_bit_identical_to_compare(pool: RunningPool) -> None:
    battles = rows(20)
    judge = load_judge("bundled:baseline")
    alone = [pool.ask([battle])[0] for battle in battles]
    together = pool.ask(battles)
    expected = judge.predict_proba(battles).tolist()
    assert [list(answer["probabilities"].values()) for answer in alone] == expected
    assert together == alone
    assert [answer["id"] for answer in alone] == [battle["id"] for battle in battles]
    assert alone[0]["judge"] == {"name": "it", "hash": judge.hash} and alone[0]["cut"] is None


def test_every_request_gets_its_own_answers_whatever_shares_its_batch(pool: RunningPool) -> None:
    battles = rows(60, seed=8)
    expected = {answer["id"]: answer for answer in pool.ask(battles)}
    how: list[dict[str, Any]] = [{"order": "given"}, {}, {"explain": True}]
    asked = [
        (part, pool.asked(part, **how[n % 3])) for n, part in enumerate(battles[n : n + 3] for n in range(0, 60, 3))
    ]
    for n, (part, answers) in enumerate(asked):
        found = answers.result()
        assert [answer["probabilities"] for answer in found] == [expected[b["id"]]["probabilities"] for b in part]
        assert all(("reasons" in answer) is (n % 3 == 2) for answer in found)
    assert max(pool.watch.batches) > 3, "requests that wait together are scored together"


def test_a_request_to_explain_gets_both_orders_and_reasons(pool: RunningPool) -> None:
    (answer,) = pool.ask(rows(1), explain=True)
    p = answer["probabilities"]
    assert answer["orders"] == {"given": p, "swapped": p}
    assert sum(reason["effect"] for reason in answer["reasons"]) == pytest.approx(p["a"] - p["b"])


def test_rows_beyond_the_budget_of_a_batch_are_answered_as_well(pool: RunningPool) -> None:
    battle = rows(1)[0] | {"response_a": "word " * 60_000}
    assert len(pool.ask([battle] * 6)) == 6


def test_missing_turns_are_accepted(pool: RunningPool) -> None:
    battle = {"prompt": ["Hi", None], "response_a": ["é", "b"], "response_b": [None, "c"]}
    assert pool.ask([battle])[0]["id"] == "0"


def test_facts_are_those_of_the_judge(pool: RunningPool) -> None:
    facts = pool.pool.judges
    assert list(facts) == ["it", "other"]
    assert facts["it"].hash == load_judge("bundled:baseline").hash
    assert facts["it"].family == "baseline" and facts["it"].explains and not facts["it"].cuts
    assert pool.pool.workers_ready == 2 and pool.pool.queued("it") == 0


def test_no_battles_have_no_answers(pool: RunningPool) -> None:
    assert pool.ask([]) == []


def test_a_stopped_pool_refuses_and_ends_its_workers() -> None:
    with running() as pool:
        pool.do(pool.pool.stop())
        with pytest.raises(DrainingError):
            pool.ask(rows(1))
        assert pool.pool.workers_ready == 0


def test_a_judge_that_cannot_be_loaded_stops_the_start_with_one_line(tmp_path: Path) -> None:
    async def start() -> str:
        pool = Pool({"good": "bundled:baseline", "bad": str(tmp_path)}, ServiceSettings(workers=2))
        pool.start()
        assert await pool.settled() == pool.state == "failed"
        await pool.stop()
        return pool.failure

    line = asyncio.run(start())
    assert str(tmp_path) in line and "\n" not in line
