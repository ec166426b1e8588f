"""Test votecast export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tests.judges.checkpoints import checkpoint
from tests.judges.decoder_checkpoints import base


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from votecast.cli import main

    place = tmp_path_factory.mktemp("judge")
    folds = [checkpoint(place / f"fold_{n}", seed=n) for n in range(2)]
    assert main(["import", *map(str, folds), "--out", str(place / "judge"), "--max-length", "64"]) == 0
    return place / "judge"


def test_every_fold_becomes_a_file_that_onnx_runtime_reads(votecast: Callable, judge: Path, tmp_path: Path) -> None:
    ran = votecast("export", "--judge", judge, "--out", tmp_path / "onnx")
    assert ran.code == 0, ran.err
    assert "1/model.onnx" in ran.out
    stored = json.loads((tmp_path / "onnx" / "export.json").read_text())
    assert [one["file"] for one in stored["networks"]] == ["0/model.onnx", "1/model.onnx"]
    assert (stored["networks"][0]["sequences_of_a_battle"], stored["calibration"]["method"]) == (2, "none")
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "0" / "model.onnx"))
    given = {one.name: np.ones((4, 12), np.int64) for one in session.get_inputs()}
    assert session.run(None, given)[0].shape == (4, 3)
    assert (tmp_path / "onnx" / "0" / "tokenizer.json").is_file()


def test_a_judge_without_networks_and_a_folder_in_the_way_are_refused(
    votecast: Callable, judge: Path, arena: Path, tmp_path: Path
) -> None:
    ran = votecast("export", "--judge", arena / "judge", "--out", tmp_path / "x")
    assert ran.code == 1
    assert "no network of torch to export" in ran.err
    assert list(tmp_path.iterdir()) == []
    ran = votecast("export", "--judge", judge, "--out", arena / "judge")
    assert ran.code == 1
    assert "exists" in ran.err


def test_a_causal_model_is_refused_in_one_line_before_it_is_loaded(votecast: Callable, tmp_path: Path) -> None:
    folder = base(tmp_path / "base")
    assert votecast("import", folder, "--family", "decoder", "--labels", "a,b,tie", "--out", tmp_path / "j").code == 0
    for path in (tmp_path / "j" / "members").rglob("*.safetensors"):
        path.unlink()
    ran = votecast("export", "--judge", tmp_path / "j", "--out", tmp_path / "onnx")
    assert ran.code == 1
    assert "imported is of the family decoder; ONNX files of causal models are not supported" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "onnx").exists()
