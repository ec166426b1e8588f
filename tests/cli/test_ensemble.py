"""Test votecast ensemble, verbs on its result, and evaluate --against."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from votecast.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return training votes, unseen votes and two different judges."""
    made = tmp_path_factory.mktemp("ensemble")
    assert main(["simulate", "--rows", "200", "--out", str(made / "train.csv")]) == 0
    assert main(["simulate", "--rows", "90", "--seed", "1", "--out", str(made / "new.csv")]) == 0
    for name, seed, folds in (("one", 1, 2), ("two", 2, 3)):
        words = ["--train", str(made / "train.csv"), "--out", str(made / name), "--seed", str(seed)]
        assert main(["train", "baseline", *words, "--folds.n", str(folds), "--model.trees.rounds", "20"]) == 0
    return made


@pytest.fixture(autouse=True)
def _errors_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOTECAST_DEBUG", "1")


@pytest.fixture(scope="module")
def both(folder: Path) -> Path:
    words = [
        str(folder / "one"),
        str(folder / "two"),
        "--out",
        str(folder / "both"),
        "--json",
        str(folder / "both.json"),
    ]
    assert main(["ensemble", *words, "--method", "stack", "--name", "both of them"]) == 0
    return folder / "both"


def test_judges_stand_beside_the_ensemble(votecast: Callable, folder: Path, tmp_path: Path) -> None:
    ran = votecast("ensemble", folder / "one", folder / "two", "--method", "weights", "--out", tmp_path / "all")
    assert ran.code == 0, ran.err
    assert "out-of-fold rows: one has 200, two has 200; 200 in common, by id and texts" in ran.err
    assert "fitted on 200 rows of " in ran.err
    for message in (
        "weight",
        "log loss",
        "gain over it (95 %)",
        "one",
        "two",
        "ensemble, by weights",
        "the best single judge",
    ):
        assert message in ran.out
    assert "warning: the ensemble is not better than" in ran.out
    assert votecast("ensemble", folder / "one", folder / "two", "--out", tmp_path / "all").code == 1


def test_the_json_has_judges_rows_and_gains(both: Path) -> None:
    values = json.loads((both.parent / "both.json").read_text())
    assert values["judge"]["name"] == "both of them"
    found = values["ensemble"]
    assert [member["label"] for member in found["members"]] == ["one", "two"]
    assert found["rows"]["common"] == found["rows"]["fitted"] == 200
    assert (found["method"], found["stacker"]) == ("stack", "logistic")
    assert {"value", "low", "high"} == set(found["members"][0]["gain"])
    settings = json.loads((both.parent / "both.json.settings.json").read_text())
    assert (settings["command"], settings["settings"]["method"]) == ("ensemble", "stack")


def test_new_votes_take_the_place_of_shared_rows(votecast: Callable, folder: Path, tmp_path: Path) -> None:
    words = ("--input", folder / "new.csv", "--method", "stack", "--out", tmp_path / "all")
    ran = votecast("ensemble", folder / "one", folder / "two", *words, "--json", "-")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["ensemble"]["rows"]["fitted"] == 90
    assert "read " in ran.err
    refused = votecast("evaluate", "--judge", tmp_path / "all", "--input", folder / "new.csv")
    assert refused.code == 1
    assert "90 of 90 rows have prompts on which the judge was trained" in refused.err


def test_every_verb_takes_the_ensemble(votecast: Callable, folder: Path, both: Path, tmp_path: Path) -> None:
    ran = votecast("predict", "--judge", both, "--input", folder / "new.csv", "--out", tmp_path / "p.csv")
    assert ran.code == 0, ran.err
    rows = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    assert len(rows) == 90
    assert all(abs(sum(float(row[f"p_{name}"]) for name in ("a", "b", "tie")) - 1) < 1e-6 for row in rows)
    assert "both of them" in ran.out
    texts = ["--prompt", "Which is it?", "--a", "The first, because it is longer.", "--b", "The second."]
    for words in (
        ("evaluate", "--judge", both, "--input", folder / "new.csv", "--no-slices"),
        ("compare", "--judge", both, *texts),
    ):
        ran = votecast(*words)
        assert ran.code == 0, ran.err
    candidates = tmp_path / "c.jsonl"
    candidates.write_text(json.dumps({"id": "1", "prompt": "Why?", "candidates": ["So.", "Because it is.", "No."]}))
    ran = votecast("rerank", "--judge", both, "--input", candidates, "--out", tmp_path / "best.jsonl")
    assert ran.code == 0, ran.err
    ran = votecast("ensemble", both, folder / "one", "--method", "mean", "--out", tmp_path / "nested")
    assert ran.code == 0, ran.err
    assert "both has 200, one has 200" in ran.err


def test_two_judges_on_the_same_votes(votecast: Callable, folder: Path, both: Path, tmp_path: Path) -> None:
    new, out = folder / "new.csv", tmp_path / "p.parquet"
    assert votecast("predict", "--judge", folder / "one", "--input", new, "--out", out).code == 0
    asked = votecast("evaluate", "--judge", both, "--input", new, "--against", folder / "one", "--json", "-")
    filed = votecast("evaluate", "--judge", both, "--input", new, "--against", out, "--json", "-")
    swapped = votecast("evaluate", "--predictions", out, "--input", new, "--against", both, "--json", "-")
    assert [ran.code for ran in (asked, filed, swapped)] == [0, 0, 0], asked.err + filed.err + swapped.err
    one, two, three = (json.loads(ran.out)["against"]["differences"]["log_loss"] for ran in (asked, filed, swapped))
    assert one == pytest.approx(two)
    assert one["value"] == pytest.approx(-three["value"])
    assert np.isclose(one["low"], -three["high"])
    shown = votecast("evaluate", "--judge", both, "--input", new, "--against", folder / "one", "--no-slices")
    for message in ("difference", "95 % interval", "judge    both: ", "against  one: baseline ("):
        assert message in shown.out
    assert any(line.split()[:3] == ["both", "one", "difference"] for line in shown.out.splitlines())
    same = votecast("evaluate", "--judge", folder / "one", "--input", new, "--against", out, "--no-slices")
    assert "note: p.parquet: leaks are not checked" in same.out
    assert "note: one and p.parquet are the same judge (" in same.out
    train = votecast("evaluate", "--predictions", out, "--input", folder / "train.csv", "--against", both)
    assert train.code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("one",), "at least two judges, and 1 is given"),
        ((), "at least two judges, and 0 is given"),
        (("one", "one"), "are the same judge"),
        (("one", "absent"), "absent"),
        (("one", "two", "--limit", "5"), "limit is about a file of votes, and none is given"),
        (("one", "two", "--input", "train.csv"), "votes have prompts on which judge 'one' was trained"),
        (("one", "two", "--method", "vote"), "method"),
        (("one", "bundled:baseline"), "no out-of-fold row in common, by id and texts ('one' has 200"),
        (
            ("one", "two", "--input", "new.csv", "--limit", "60", "--method", "stack"),
            "stack fits 7 numbers and needs 70",
        ),
        (("one", "two", "--method", "stack", "--stacker", "lightgbm"), "the smallest has 160 of 200"),
    ],
)
def test_what_cannot_be_joined_is_one_clear_line(
    votecast: Callable,
    folder: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    ran = votecast("ensemble", *words, "--out", tmp_path / "all")
    assert ran.code in (1, 2)
    assert message in ran.err.replace("\n", " ")
    assert "Traceback" not in ran.err
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("family", ["ensemble", "cascade"])
def test_judges_made_of_judges_cannot_be_trained(votecast: Callable, folder: Path, tmp_path: Path, family: str) -> None:
    ran = votecast("train", family, "--train", folder / "train.csv", "--out", tmp_path / "all")
    assert ran.code == 2
    assert "is made of fitted judges and cannot be trained itself" in ran.err
    assert not (tmp_path / "all").exists()
