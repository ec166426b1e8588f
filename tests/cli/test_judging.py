"""Test train, predict, evaluate and compare on the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from tests.cli.conftest import ROWS

from votecast import load_judge, read_votes

TRAIN = ("train", "baseline", "--folds.n", "2")


def test_train_writes_a_judge_and_shows_metrics_beside_baselines(
    votecast: Callable, arena: Path, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    ran = votecast(
        *TRAIN, "--train", arena / "train.csv", "--out", tmp_path / "judge", "--limit", 150, "--json", figures
    )
    assert ran.code == 0, ran.err
    judge = load_judge(tmp_path / "judge")
    assert f"baseline ({judge.hash[:12]})" in ran.out
    for message in ("log loss", "uniform", "prior", "longer", "95 % interval", "by chance", "flip rate"):
        assert message in ran.out
    assert "agreement decided" in ran.out
    assert "length quartiles" not in ran.out  # no slices are shown
    assert max(len(line) for line in ran.out.splitlines() if str(tmp_path) not in line) <= 80
    written = json.loads(figures.read_text())
    assert written["judge"]["hash"] == judge.hash
    assert written["reading"]["sampling"] == "limit 150"
    assert set(written["metrics"]["log_loss"]) == {"value", "low", "high"}
    assert written["baselines"].keys() == {"uniform", "prior", "longer"}
    config = json.loads((tmp_path / "judge" / "config.json").read_text())
    assert config["recipe"]["folds"]["n"] == 2
    assert config["notes"]["reading"]["sampling"] == "limit 150"


def test_train_reads_a_yaml_recipe_and_uses_the_folds_of_another_judge(
    votecast: Callable, arena: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("family: baseline\nname: mine\nfolds: {n: 2}\ncalibration: {method: vector}\n")
    words = ["--train", arena / "train.csv", "--out", tmp_path / "judge", "--folds-from", arena / "judge", "--seed", 7]
    ran = votecast("train", recipe, *words, "--name", "other")
    assert ran.code == 2
    assert "--name" in ran.err
    ran = votecast("train", recipe, *words)
    assert ran.code == 0, ran.err
    first = pq.read_table(arena / "judge" / "out_of_fold.parquet").select(["id", "fold"]).sort_by("id")
    assert pq.read_table(tmp_path / "judge" / "out_of_fold.parquet").select(["id", "fold"]).sort_by("id").equals(first)
    recipe_used = json.loads((tmp_path / "judge" / "config.json").read_text())["recipe"]
    assert (recipe_used["name"], recipe_used["seed"], recipe_used["calibration"]["method"]) == ("mine", 7, "vector")


def test_train_keeps_all_members_and_reports_cleaning(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes.jsonl"
    assert votecast("convert", arena / "train.csv", votes).code == 0
    first = json.loads(votes.read_text().splitlines()[0]) | {"id": "again"}
    votes.write_text(votes.read_text() + json.dumps(first) + "\n")
    words = ("--final", "average", "--cleaning.duplicates", "all")
    ran = votecast(*TRAIN, "--train", votes, "--out", tmp_path / "judge", *words)
    assert ran.code == 0, ran.err
    assert f"cleaned: 2 dropped as duplicates; {ROWS - 1:,} of {ROWS + 1:,} rows are left" in ran.err
    judge = load_judge(tmp_path / "judge")
    assert (judge.recipe.final, len(judge.fitted.members)) == ("average", 2)
    assert repr(judge) == f"TrainedJudge('baseline', {judge.hash[:12]})"
    votes.write_text("".join(json.dumps(first | {"id": name}) + "\n" for name in "xyz"))
    ran = votecast(*TRAIN, "--train", votes, "--out", tmp_path / "none", *words)
    assert ran.code == 1
    assert "cleaning leaves none of the 3 rows" in ran.err
    assert not (tmp_path / "none").exists()


def test_decisions_alone_cannot_be_measured(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    words = ("--input", arena / "test.csv", "--format", "wsdm", "--out", tmp_path / "p.csv")
    assert votecast("predict", "--judge", arena / "judge", *words).code == 0
    ran = votecast("evaluate", "--predictions", tmp_path / "p.csv", "--input", arena / "train.csv")
    assert ran.code == 1
    assert "predict again with --format votecast" in ran.err


def test_train_leaves_an_existing_judge_alone(votecast: Callable, arena: Path) -> None:
    before = load_judge(arena / "judge").hash
    ran = votecast(*TRAIN, "--train", arena / "train.csv", "--out", arena / "judge")
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert load_judge(arena / "judge").hash == before


def test_train_needs_votes(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    ran = votecast(*TRAIN, "--train", arena / "test.csv", "--out", tmp_path / "judge")
    assert ran.code == 1
    assert "test.csv" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["predictions.parquet", "predictions.csv", "predictions.jsonl", "predictions.arrow"])
def test_predict_gives_the_probabilities_of_the_judge(
    votecast: Callable, arena: Path, tmp_path: Path, name: str
) -> None:
    ran = votecast("predict", "--judge", arena / "judge", "--input", arena / "test.csv", "--out", tmp_path / name)
    assert ran.code == 0, ran.err
    judge = load_judge(arena / "judge")
    assert judge.hash[:12] in ran.out
    side = json.loads((tmp_path / f"{name}.settings.json").read_text())
    assert side["judge"] == {"name": "baseline", "hash": judge.hash}
    assert side["settings"]["input"] == str(arena / "test.csv")
    if name.endswith("parquet"):
        p = np.column_stack([pq.read_table(tmp_path / name).column(column) for column in ("p_a", "p_b", "p_tie")])
        assert np.array_equal(p, judge.predict_proba(read_votes(arena / "test.csv")))


def test_a_submission_has_one_row_for_each_test_row_in_its_order(
    votecast: Callable, arena: Path, tmp_path: Path
) -> None:
    words = ("predict", "--judge", arena / "judge", "--input", arena / "test.csv", "--format")
    assert votecast(*words, "lmsys", "--out", tmp_path / "lmsys.csv").code == 0
    submission = pa_csv.read_csv(tmp_path / "lmsys.csv")
    assert submission.column_names == ["id", "winner_model_a", "winner_model_b", "winner_tie"]
    assert submission.column("id").equals(pa_csv.read_csv(arena / "test.csv").column("id"))
    rows = np.column_stack(submission.columns[1:])
    assert np.allclose(rows.sum(axis=1), 1, atol=1e-9)
    assert votecast(*words, "wsdm", "--out", tmp_path / "wsdm.csv").code == 0
    winner = pa_csv.read_csv(tmp_path / "wsdm.csv").column("winner").to_pylist()
    assert winner == ["model_b" if b > a else "model_a" for a, b, _ in rows]


def test_predict_leaves_an_existing_file_and_writes_none_for_a_bad_input(
    votecast: Callable, arena: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    words = ("predict", "--judge", arena / "judge", "--out", out, "--input")
    assert votecast(*words, arena / "test.csv").code == 1
    assert out.read_text() == "mine"
    bad = tmp_path / "bad.csv"
    bad.write_text(
        'id,prompt,response_a,response_b\n1,"[""p""]","[""a""]","[""b""]"\n2,"[""p""]","[""a"", 3]","[""b""]"\n'
    )
    ran = votecast(*words, bad, "--overwrite")
    assert ran.code == 1
    assert "row 2" in ran.err
    assert out.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"out.csv", "bad.csv"}


def test_a_judge_and_its_predictions_get_the_same_metrics(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    votes, predictions = tmp_path / "votes.csv", tmp_path / "p.jsonl"
    votecast("simulate", "--rows", 60, "--seed", 1, "--out", votes)
    votecast("predict", "--judge", arena / "judge", "--input", votes, "--out", predictions)
    words = ("evaluate", "--input", votes, "--draws", 50, "--json", "-")
    judged = json.loads(votecast(*words, "--judge", arena / "judge").out)
    predicted = json.loads(votecast(*words, "--predictions", predictions).out)
    assert predicted["judge"] == judged["judge"] == {"name": "baseline", "hash": load_judge(arena / "judge").hash}
    assert predicted["metrics"]["log_loss"] == judged["metrics"]["log_loss"]
    assert judged["metrics"]["flip_rate"]["value"] == 0
    assert judged["slices"].keys() == {"length", "turns", "language", "source"}
    assert judged["rows"] == 60


def test_evaluate_shows_the_truth_of_simulated_votes(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    votecast("simulate", "--rows", 60, "--seed", 1, "--out", tmp_path / "votes.csv")
    words = ("evaluate", "--judge", arena / "judge", "--input", tmp_path / "votes.csv", "--draws", 50)
    ran = votecast(*words, "--truth", tmp_path / "votes.truth.parquet", "--json", tmp_path / "figures.json")
    assert ran.code == 0, ran.err
    assert "truth" in ran.out
    assert "by language" in ran.out
    assert max(map(len, ran.out.splitlines()[:20])) <= 80
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["baselines"]["truth"]["log_loss"]["value"] < figures["baselines"]["uniform"]["log_loss"]["value"]
    assert json.loads((tmp_path / "figures.json.settings.json").read_text())["judge"] == figures["judge"]
    assert "by language" not in votecast(*words, "--no-slices").out


def test_evaluate_records_skipped_rows(votecast: Callable, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votecast("simulate", "--rows", 100, "--seed", 9, "--out", votes)
    words = ("--sample", 0.5, "--limit", 20, "--seed", 3, "--draws", 20, "--json", "-")
    written = json.loads(votecast("evaluate", "--input", votes, *words).out)
    assert written["rows"] == written["reading"]["rows"] == 20
    assert written["reading"]["sampling"] == "sample 0.5, stratified by label, in file order, seed 3; limit 20"


def test_evaluate_refuses_training_prompts_by_default(votecast: Callable, arena: Path) -> None:
    words = ("evaluate", "--judge", arena / "judge", "--input", arena / "train.csv", "--draws", 20)
    ran = votecast(*words)
    assert ran.code == 1
    assert "allow" in ran.err
    assert read_votes(arena / "train.csv").ids[0] in ran.err
    ran = votecast(*words, "--allow-leak")
    assert ran.code == 0
    assert "note: " in ran.out


def test_compare_predicts_the_same_in_either_order(votecast: Callable, arena: Path) -> None:
    words = ("compare", "--judge", arena / "judge", "--prompt", "Why?", "--json", "-")
    first = json.loads(votecast(*words, "--a", "- because", "--b", "No.").out)
    second = json.loads(votecast(*words, "--a", "No.", "--b", "- because").out)
    assert first.keys() == {"id", "probabilities", "decision", "judge", "cut"}
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-9)
    assert first["probabilities"]["a"] == second["probabilities"]["b"]
    assert first["probabilities"]["tie"] == second["probabilities"]["tie"]
    ran = votecast(*words[:-2], "--a", "x", "--b", "y", "--prompt", "And?", "--a", "z", "--b", "w")
    assert ran.code == 0
    assert first["judge"]["hash"][:12] in ran.out


def test_a_damaged_judge_is_one_clear_error(votecast: Callable, arena: Path, tmp_path: Path) -> None:
    shutil.copytree(arena / "judge", tmp_path / "judge")
    (tmp_path / "judge" / "calibration.safetensors").write_bytes(b"{}")
    ran = votecast("compare", "--judge", tmp_path / "judge", "--prompt", "p", "--a", "a", "--b", "b")
    assert ran.code == 1
    assert "is damaged: calibration.safetensors has changed" in ran.err


def test_the_default_judge_is_the_one_the_user_settled(
    votecast: Callable, arena: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "config.yaml"
    settings.write_text(f"default_judge: {arena / 'judge'}\n")
    monkeypatch.setenv("VOTECAST_CONFIG", str(settings))
    ran = votecast("compare", "--prompt", "p", "--a", "a", "--b", "b", "--json", "-")
    assert json.loads(ran.out)["judge"]["hash"] == load_judge(arena / "judge").hash
    settings.write_text("defualt_judge: x\n")
    ran = votecast("compare", "--prompt", "p", "--a", "a", "--b", "b")
    assert ran.code == 2
    assert "did you mean default_judge?" in ran.err
