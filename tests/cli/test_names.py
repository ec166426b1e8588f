"""Test file names and texts that are not valid Unicode."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast import load_judge, read_votes
from votecast.data.outputs import read_predictions

STRANGE = os.fsdecode(b"votes \xff")


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOTECAST_DEBUG", "1")
    try:
        Path(STRANGE).touch()
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl.gz", ".parquet", ".arrow"])
def test_files_of_any_name_are_read_and_written(votecast: Callable, tmp_path: Path, suffix: str) -> None:
    votes, out, truth = STRANGE + suffix, "out " + STRANGE + suffix, STRANGE + ".truth"
    assert votecast("simulate", "--rows", 20, "--out", votes, "--truth", truth).code == 0
    assert votecast("convert", votes, out, "--json", STRANGE + ".json").code == 0
    assert len(read_votes(out)) == 20
    assert r"votes \udcff" in json.dumps(json.loads(Path(STRANGE + ".json").read_text()))
    prediction = "forecast " + STRANGE + suffix
    ran = votecast("predict", "--input", votes, "--out", prediction, "--json", "-")
    assert json.loads(ran.out)["rows"] == len(read_predictions(prediction)[0]) == 20
    assert votecast("evaluate", "--input", votes, "--predictions", prediction, "--truth", truth, "--draws", 0).code == 0
    ran = votecast("convert", "absent " + votes, "other.csv")
    assert ran.code == 1
    assert r"\xdcff" in ran.err


def test_judges_of_any_name_are_trained_and_loaded(votecast: Callable) -> None:
    assert votecast("simulate", "--rows", 240, "--out", STRANGE + ".csv").code == 0
    words = ("--folds.n", 2, "--model.trees.rounds", 5)
    ran = votecast("train", "baseline", "--train", STRANGE + ".csv", "--out", STRANGE + " judge", *words)
    assert ran.code == 0, ran.err
    assert load_judge(STRANGE + " judge").notes["reading"]["path"] == STRANGE + ".csv"


def test_texts_that_are_no_unicode_are_mended(votecast: Callable) -> None:
    words = ("compare", "--a", os.fsdecode(b"caf\xe9"), "--b", "tea", "--json", "-", "--prompt")
    given, mended = (json.loads(votecast(*words, prompt).out) for prompt in (os.fsdecode(b"\xff?"), "\ufffd?"))
    assert given["probabilities"] == mended["probabilities"]
