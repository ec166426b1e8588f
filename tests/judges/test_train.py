"""Test training from a file to a judge folder and predictions."""

import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import votecast
from votecast.data.outputs import read_predictions
from votecast.data.simulation import write_simulation
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.models.sizing import gpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main_job")
    write_simulation(folder / "train.csv", rows=500, seed=0)
    votecast.train("baseline", folder / "train.csv", out=folder / "judge", overrides={"folds.n": 2})
    return folder


def test_the_judge_folder_holds_metrics_and_a_reading_report(folder):
    judge = votecast.load_judge(folder / "judge")
    loss = judge.figures["metrics"]["log_loss"]
    assert loss["low"] < loss["value"] < loss["high"]
    assert {"uniform", "prior", "longer"} <= set(judge.figures["baselines"])
    assert judge.notes["reading"]["format"] == "lmsys"
    assert judge.notes["reading"]["path"] == "train.csv"
    assert "log loss" in (folder / "judge" / "README.md").read_text()


def test_out_of_fold_metrics_use_cross_fitted_rows(folder):
    judge = votecast.load_judge(folder / "judge")
    battles = votecast.read_votes(folder / "train.csv")
    held = judge.fitted.out_of_fold
    p = votecast.calibration.crossfit_calibrate("temperature", held.raw, held.targets, held.weights, held.fold)
    loss = -np.log(p[np.arange(len(p)), battles.targets().argmax(axis=1)]).mean()
    assert judge.figures["metrics"]["log_loss"]["value"] == pytest.approx(loss, abs=1e-12)


def test_predictions_of_a_file_are_those_of_its_battles(folder):
    judge = votecast.load_judge(folder / "judge")
    summary = votecast.predict_file(judge, folder / "train.csv", folder / "p.parquet")
    ids, p, cite = read_predictions(folder / "p.parquet")
    battles = votecast.read_votes(folder / "train.csv")
    assert ids == battles.ids
    assert np.array_equal(p, judge.predict_proba(battles))
    assert cite == summary["judge"] == {"name": "baseline", "hash": judge.hash}
    assert pq.read_table(folder / "p.parquet").column_names == ["id", "p_a", "p_b", "p_tie"]


def test_the_same_file_gives_the_same_judge(folder, tmp_path):
    again = votecast.train("baseline", folder / "train.csv", out=tmp_path / "judge", overrides={"folds.n": 2})
    assert again.hash == votecast.load_judge(folder / "judge").hash


def test_folds_can_be_those_of_another_judge(folder):
    first = votecast.load_judge(folder / "judge").fitted.out_of_fold
    again = votecast.train("baseline", folder / "train.csv", folds_from=folder / "judge", overrides={"seed": 9})
    assert np.array_equal(again.fitted.out_of_fold.fold, first.fold)


def test_nothing_is_read_before_settings_and_output_are_checked(folder):
    with pytest.raises(ArtifactError, match="--overwrite"):
        votecast.train("baseline", folder / "absent.csv", out=folder / "judge")
    with pytest.raises(ArtifactError, match="is a file, and a judge is a folder"):
        votecast.train("baseline", folder / "absent.csv", out=folder / "train.csv", overwrite=True)
    with pytest.raises(ArtifactError, match=r"train\.csv is not a folder"):
        votecast.train("baseline", folder / "absent.csv", out=folder / "train.csv" / "judge")
    with pytest.raises(ConfigError, match="did you mean folds"):
        votecast.train("baseline", folder / "absent.csv", overrides={"fold.n": 2})


def test_reader_options_without_a_file_are_refused():
    rows = [{"prompt": "x", "response_a": "y", "response_b": "z", "winner": "a"}]
    with pytest.raises(DataError, match="are for files"):
        votecast.train("baseline", rows, reader={"limit": 3})


def test_folds_go_by_any_column_of_the_file(folder, tmp_path):
    rows = votecast.read_votes(folder / "train.csv").table.drop_columns(["id", "source"]).to_pandas()
    rows["part"] = [f"part {i % 3}" for i in range(len(rows))]
    rows["source"] = [f"source {i % 2}" for i in range(len(rows))]
    rows.to_parquet(tmp_path / "votes.parquet")
    by = {"folds.method": "column", "model.trees.rounds": 20}
    own = votecast.train("baseline", tmp_path / "votes.parquet", overrides=by | {"folds.column": "part"})
    assert own.fitted.facts["folds"]["sizes"] == [167, 167, 166]
    known = votecast.train("baseline", tmp_path / "votes.parquet", overrides=by | {"folds.column": "source"})
    assert known.fitted.facts["folds"]["sizes"] == [250, 250]
    with pytest.raises(DataError, match="no column fold to keep"):
        votecast.train("baseline", tmp_path / "votes.parquet", overrides=by | {"folds.column": "fold"})


def test_a_memory_that_is_too_small_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "local_gpu", lambda: None)
    asked, small = os.sysconf, {"SC_PHYS_PAGES": 1_000_000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", lambda name: small.get(name) or asked(name))
    message = r"weights, gradients and moments take 7\.0 GB, and this machine has 4\.1 GB of memory and no GPU"
    with pytest.raises(ConfigError, match=message):
        votecast.train("deberta_v3_large", tmp_path / "absent.csv")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=20_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    # 435 million weights in fp32: two checkpoints with moments and best weights, and five members
    message = r"checkpoints take 13\.9 GB and members 8\.7 GB beside .*, and its disk has 20\.0 GB free; free some"
    with pytest.raises(ArtifactError, match=message):
        votecast.train("deberta_v3_large", tmp_path / "absent.csv", out=tmp_path / "judge")
    assert list(tmp_path.iterdir()) == []
