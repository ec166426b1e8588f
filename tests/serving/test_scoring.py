"""Test a judge in a worker: merged requests and unscorable rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.serving.pools import rows

from votecast.errors import ConfigError, DataError, UnscoredRowsError
from votecast.judges.load import load_judge
from votecast.judges.out_of_fold import Fitted
from votecast.judges.trained import TrainedJudge
from votecast.serving.judge_runner import JudgeRunner, battles_of


class RejectsMarked(TrainedJudge):
    """A judge that rejects marked rows."""

    def predict_with_truncation(self, battles: Any) -> Any:
        texts = battles.text("prompt")
        if "break" in texts:
            raise RuntimeError("broken")
        if "refuse" in texts:
            raise DataError("this is refused")
        if wrong := {row: "it says so" for row, text in enumerate(texts) if text == "unscored"}:
            raise UnscoredRowsError(wrong, len(texts))
        return np.tile([0.5, 0.25, 0.25], (len(texts), 1)), None


@pytest.fixture
def picky() -> JudgeRunner:
    judge = RejectsMarked("baseline")
    judge._fitted = Fitted([], None, None, None)  # type: ignore[arg-type]
    return JudgeRunner(judge, "it")


def asked(*prompts: str) -> list[dict[str, Any]]:
    return [{"battle": {"prompt": prompt, "response_a": "a", "response_b": "b"}} for prompt in prompts]


def test_a_row_that_cannot_be_scored_does_not_touch_the_others(picky: JudgeRunner) -> None:
    found = picky.score(asked("fine", "unscored", "fine"))
    assert found[0] == found[2] == {"probabilities": {"a": 0.5, "b": 0.25, "tie": 0.25}, "decision": "a", "cut": None}
    assert found[1] == {"unscored": "it says so"}
    assert picky.score(asked("unscored")) == [{"unscored": "it says so"}]


def test_a_row_on_which_the_judge_fails_does_not_touch_the_others(picky: JudgeRunner) -> None:
    found = picky.score(asked("fine", "break", "refuse", "unscored"))
    assert "probabilities" in found[0] and "failed on this battle (RuntimeError)" in found[1]["failed"]
    assert found[2:] == [{"unscored": "this is refused"}, {"unscored": "it says so"}]


def test_rows_are_read_as_the_command_line_reads_them() -> None:
    battles = rows(5)
    read = battles_of(battles)
    assert [list(read.column(name)) for name in ("prompt", "response_b")] == [
        list(load(battles).column(name)) for name in ("prompt", "response_b")
    ]


def load(battles: list[dict[str, Any]]) -> Any:
    from votecast.data.battles import Battles

    return Battles.from_rows(battles)


@pytest.mark.slow
def test_a_neural_judge_matches_compare_alone_and_nearly_in_batches() -> None:
    served, battles = JudgeRunner.load("it", "bundled:encoder"), rows(6)
    alone = [served.score([{"battle": battle}])[0] for battle in battles]
    together = served.score(
        [{"battle": battle, "order": order} for battle, order in zip(battles, ["both", "given"] * 3, strict=True)]
    )
    judge = load_judge("bundled:encoder")
    for battle, one, other in zip(battles, alone, together, strict=True):
        p, cut = judge.predict_with_truncation([battle])
        shares, in_company = list(one["probabilities"].values()), list(other["probabilities"].values())
        assert shares == p[0].tolist()
        assert one["cut"] == (cut.to_dict() if cut is not None and cut.rows_cut else None)
        assert np.abs(np.subtract(shares, in_company)).max() < 1e-6
    facts = served.facts()
    assert facts.cuts and facts.reads and not facts.order_matters and not facts.explains


def test_precision_is_for_judges_that_have_a_choice() -> None:
    assert JudgeRunner.load("it", "bundled:baseline", precision="bf16").facts().family == "baseline"
    with pytest.raises(ConfigError):
        JudgeRunner.load("it", "bundled:encoder", precision="half")
