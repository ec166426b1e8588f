"""Test votecast cascade: judges from fast to slow, cost and savings."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast.cli import main
from votecast.cli.cascade import show
from votecast.data.outputs import read_predictions
from votecast.data.reader import read_votes
from votecast.errors import ConfigError, DataError
from votecast.judges.cascade import cascade
from votecast.judges.cascade_thresholds import Routing
from votecast.judges.trained import TrainedJudge

FAST = "bundled:baseline"


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return votes on prompts that no judge was trained on."""
    path = tmp_path_factory.mktemp("votes") / "calibration.csv"
    assert main(["simulate", "--rows", "200", "--seed", "5", "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def made(arena: Path, votes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a cascade, its page and its metrics."""
    folder = tmp_path_factory.mktemp("made")
    words = ["cascade", FAST, arena / "judge", "--calibration", votes, "--max-loss", "0.02", "--out", folder / "fast"]
    words += ["--html", folder / "page.html", "--json", folder / "figures.json", "--draws", "50"]
    assert main([str(word) for word in words]) == 0
    return folder


def test_the_frontier_is_shown_with_costs_and_savings(votecast: Any, arena: Path, votes: Path, tmp_path: Path) -> None:
    words = ["cascade", FAST, arena / "judge", "--calibration", votes, "--out", tmp_path / "fast", "--draws", 50]
    ran = votecast(*words, "--budget", 1000, "--name", "quick")
    assert ran.code == 0, ran.err
    output = " ".join(ran.out.split())
    assert "Frontier on 200 votes, thresholds fitted on other prompts" in output
    assert "bundled:baseline" in output
    assert "Goal: take at most 1000 s for 1,000 rows." in output
    assert "times as fast" in output
    assert "quick (" in output
    saved, anew = output.split("The saved cascade (> above): ")[1].split(
        "Cross-fitted, with the point of the frontier and its thresholds chosen on other prompts:"
    )
    assert "log loss above judge alone" in saved and "the unbiased estimate" in anew


def test_a_cascade_that_saves_nothing_warns_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, Any] = {"log_loss": 1.0, "cost": {"value": 0.0, "low": None, "high": None}}
    point = figures | {"goes_on": [0.0], "speed_up": 0.76}
    judges = [{"label": name, "log_loss": 1.0, "seconds_per_1000": 1.0} for name in ("quick", "slow")]
    about = {"rows": 90, "goal": "lose at most 0.1", "chosen": 0, "frontier": [point]}
    show(about | {"judges": judges, "measured": point | {"goes_on": [0.22]}})
    output = " ".join(capsys.readouterr().out.split())
    assert "0.76 times as fast; no row is passed on from quick. Cross-fitted" in output
    assert "22.0% of rows are passed on from quick. This is the unbiased estimate" in output
    assert "warning: the saved cascade is not faster than slow alone" in output
    assert "warning: no row is passed on from quick" in output


def test_figures_and_page_agree(made: Path) -> None:
    found = json.loads((made / "figures.json").read_text())["cascade"]
    points = found["frontier"]
    assert [point["notches"] for point in points] == [[notch] for notch in range(21)]
    assert points[0]["cost"]["value"] == 0
    assert points[found["chosen"]]["cost"]["value"] <= 0.02 + 0.005  # the smoothed loss is compared
    assert points[-1]["log_loss"] == found["judges"][0]["log_loss"]
    for point in points:
        seconds = [judge["seconds_per_1000"] for judge in found["judges"]]
        assert point["seconds_per_1000"] == pytest.approx(seconds[0] + point["goes_on"][0] * seconds[1])
        assert point["speed_up"] == pytest.approx(seconds[1] / point["seconds_per_1000"])
    page = (made / "page.html").read_text()
    assert "Cascade fast" in page
    assert f"{points[found['chosen']]['log_loss']:.4f}" in page
    assert "<script" not in page
    card = (made / "fast" / "README.md").read_text()
    assert "A cascade of 2 judges" in card
    assert "goal: lose at most 0.02 log loss against the last judge" in card


def test_the_cascade_is_a_judge_like_any_other(votecast: Any, made: Path, arena: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    assert votecast("predict", "--judge", made / "fast", "--input", arena / "test.csv", "--out", out).code == 0
    _, p, cited = read_predictions(out)
    judge = TrainedJudge.from_pretrained(made / "fast")
    assert cited == {"name": "cascade", "hash": judge.hash}
    votes = read_votes(arena / "test.csv", labels="ignored")
    alone = [inside.predict_proba(votes) for inside in judge.fitted.members[0].judges]  # type: ignore[attr-defined]
    plan = Routing(judge.recipe.model.thresholds)  # type: ignore[attr-defined]
    assert np.array_equal(p, np.where(plan.passes_on(0, alone[0])[:, None], alone[1], alone[0]))
    fresh = tmp_path / "fresh.csv"
    assert main(["simulate", "--rows", "40", "--seed", "9", "--out", str(fresh)]) == 0
    ran = votecast("evaluate", "--judge", made / "fast", "--input", fresh, "--draws", 10)
    assert ran.code == 0, ran.err


def test_neither_its_judges_votes_nor_its_own_can_test_it(votecast: Any, made: Path, arena: Path, votes: Path) -> None:
    for file in (arena / "train.csv", votes):
        ran = votecast("evaluate", "--judge", made / "fast", "--input", file, "--draws", 0)
        assert ran.code == 1
        assert "have prompts on which the judge was trained" in ran.err


def test_the_same_judge_twice_is_refused(votecast: Any, arena: Path, votes: Path, tmp_path: Path) -> None:
    shutil.copytree(arena / "judge", tmp_path / "twin")
    rest = ["--calibration", votes, "--max-loss", 0.1, "--out", tmp_path / "fast"]
    ran = votecast("cascade", arena / "judge", tmp_path / "twin", *rest)
    assert ran.code == 2
    assert "are the same judge" in ran.err
    ran = votecast("cascade", FAST, *rest)
    assert ran.code == 2
    assert "a cascade needs at least two judges" in ran.err
    assert not (tmp_path / "fast").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "give either a largest loss (--max-loss 0.002) or a time budget"),
        (["--max-loss", "0.1", "--budget", "3"], "give either"),
        (["--max-loss", "-0.1"], "max-loss is -0.1; allowed are numbers from 0 up"),
        (["--max-loss", "nan"], "max-loss is nan"),
        (["--budget", "0"], "budget is 0; allowed are seconds per 1,000 rows above 0"),
        (["--budget", "0.000001"], "the first judge alone takes"),
        (["--max-loss", "0.1", "--draws", "-1"], "-1"),
    ],
)
def test_invalid_options_are_refused(
    votecast: Any, arena: Path, votes: Path, tmp_path: Path, asked: list[str], message: str
) -> None:
    words = ["cascade", FAST, arena / "judge", "--calibration", votes, "--out", tmp_path / "fast"]
    ran = votecast(*words, *asked)
    assert ran.code == 2, ran.err
    assert message in ran.err
    assert not (tmp_path / "fast").exists()


def test_votes_that_will_not_do_are_refused(votecast: Any, arena: Path, tmp_path: Path) -> None:
    def refused(file: Path, message: str) -> None:
        rest = ["--calibration", file, "--max-loss", 0.1, "--out", tmp_path / "fast"]
        ran = votecast("cascade", FAST, arena / "judge", *rest)
        assert ran.code == 1, ran.err
        assert message in ran.err

    refused(arena / "test.csv", "vote")
    refused(arena / "train.csv", "votes have prompts on which judge was trained")
    few = tmp_path / "few.csv"
    assert main(["simulate", "--rows", "20", "--seed", "5", "--out", str(few)]) == 0
    refused(few, "20 calibration votes are too few to fit thresholds on")
    odd = tmp_path / "odd.csv"
    odd.write_text("question,first,second\nWhy?,x,y\n")
    refused(odd, "odd.csv")


def test_votes_on_one_prompt_and_votes_without_weight_are_refused(arena: Path, votes: Path) -> None:
    row = read_votes(votes)[0].model_dump()
    judges = [FAST, arena / "judge"]
    with pytest.raises(DataError, match="on one prompt"):
        cascade(judges, [row | {"id": str(n)} for n in range(60)], max_loss=0.1)
    with pytest.raises(DataError, match="weights of all calibration votes are 0"):
        cascade(judges, [row | {"id": str(n), "weight": 0.0} for n in range(60)], max_loss=0.1)
    with pytest.raises(ConfigError, match="give one number above 0 for each of the 2 judges"):
        cascade(judges, votes, max_loss=0.1, seconds=[0.1])


def test_known_times_are_reproducible_and_a_wrong_order_is_reported(arena: Path, votes: Path) -> None:
    options: dict[str, Any] = {"max_loss": 0.02, "draws": 20}
    one, two = (cascade([FAST, arena / "judge"], votes, seconds=[0.001, 0.02], **options) for _ in range(2))
    assert one.hash == two.hash
    slow = cascade([FAST, arena / "judge"], votes, seconds=[0.02, 0.001], **options)
    assert "takes 20 s for 1,000 rows and comes before" in slow.notes["limits"][0]
    assert any("is not faster than judge alone" in text for text in slow.notes["limits"])
    assert not [text for text in one.notes["limits"] if "comes before" in text]


def test_only_ties_are_votes_like_others(arena: Path, votes: Path, tmp_path: Path) -> None:
    with votes.open(newline="") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / "ties.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"winner_model_a": 0, "winner_model_b": 0, "winner_tie": 1} for row in rows)
    made = cascade([FAST, arena / "judge"], path, max_loss=0.02, seconds=[0.001, 0.02], draws=0)
    assert made.figures["metrics"]["log_loss"]["value"] > 0
