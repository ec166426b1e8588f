from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast import __version__
from votecast.cli.app import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_fits_eighty_columns(votecast: Callable, verb: str) -> None:
    ran = votecast(verb, "--help")
    assert ran.code == 0
    assert f"Usage: votecast {verb}" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    name = "import_" if verb == "import" else verb
    assert callable(getattr(importlib.import_module(f"votecast.cli.{name}"), name))


def test_help_names_every_verb_and_version_is_plain(votecast: Callable) -> None:
    ran = votecast("--help")
    assert ran.code == 0
    assert all(f" {verb} " in ran.out for verb in VERBS)
    assert votecast("--version").out == f"votecast {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], 'Did you mean "train"'),
        (["predict", "--inptu", "x", "--out", "y"], "Did you mean --input"),
        (["predict", "--input", "x"], "--out is required"),
        (["predict", "--input", "x", "--out", "y", "--format", "kaggle"], "lmsys"),
        (["inspect"], "SOURCE is required"),
        (["predict", "--input", "x", "--out"], "--out requires an argument"),
        (["inspect", "x", "--limit", "many"], "many"),
        (["inspect", "x", "--limit", "0"], "--limit"),
        (["inspect", "x", "--sample", "1.5"], "--sample"),
        (["simulate", "--rows", "-3", "--out", "y"], "--rows"),
        (["inspect", "x", "--folds.n", "3"], "--folds.n"),
        (["recipes", "--json"], "--json"),
        (["evaluate", "--input", "x", "--judge", "j", "--predictions", "p"], "--predictions"),
        (["train", "baseline", "--train", "x", "--out", "y", "--folds.n"], "--folds.n has no value"),
        (["train", "baseline", "--train", "x", "--out", "y", "--folds.n", "3", "--folds.n", "4"], "given twice"),
        (["train", "baselin", "--train", "x", "--out", "y"], "did you mean baseline?"),
        (["train", "baseline", "--train", "x", "--out", "y", "--fold.n", "3"], "did you mean folds?"),
    ],
)
def test_wrong_use_is_one_clear_error_and_exit_code_2(
    votecast: Callable, words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = votecast(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_all_wrong_settings_are_named_at_once(votecast: Callable, tmp_path: Path) -> None:
    ran = votecast(
        "train", "baseline", "--train", "x", "--out", tmp_path / "j", "--folds.m", "3", "--calibration.methd", "x"
    )
    assert ran.code == 2
    assert "folds.m" in ran.err
    assert "did you mean method?" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "absent.csv"],
        ["convert", "absent.csv", "out.parquet"],
        ["train", "baseline", "--train", "absent.csv", "--out", "judge"],
        ["predict", "--input", "absent.csv", "--out", "out.csv"],
        ["evaluate", "--input", "absent.csv"],
        ["compare", "--prompt", "p", "--a", "a", "--b", "b", "--judge", "absent"],
        ["compare", "--prompt", "p", "--a", "a", "--b", "b", "--judge", "bundled:absent"],
    ],
)
def test_work_that_fails_is_one_clear_error_and_exit_code_1(
    votecast: Callable, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = votecast(*words)
    assert ran.code == 1, ran.err
    assert ran.out == ""
    assert ran.err.startswith("error: ")
    assert "absent" in ran.err
    assert "bug in votecast" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_an_internal_error_is_reported_as_one(votecast: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("votecast.recipes.list_recipes", broken)
    ran = votecast("recipes")
    assert ran.code == 1
    assert "bug in votecast" in ran.err
    assert "ZeroDivisionError: by design" in ran.err
    monkeypatch.setenv("VOTECAST_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        votecast("recipes")


def test_only_train_is_started_by_a_launcher(votecast: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    ran = votecast("predict", "--judge", "bundled:baseline", "--input", "missing.csv", "--out", "never.csv")
    assert ran.code == 2
    assert "votecast predict was started in 2 processes" in ran.err and "start it once" in ran.err
    assert "missing.csv" in votecast("train", "baseline", "--train", "missing.csv", "--out", "never").err


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (KeyboardInterrupt(), 130),
        (MemoryError(), 1),
        (PermissionError(13, "no"), 1),
        (RuntimeError("CUDA error: out of memory\nCompile with ..."), 1),
    ],
)
def test_what_stops_a_command_has_its_exit_code(
    votecast: Callable, monkeypatch: pytest.MonkeyPatch, fault: BaseException, code: int
) -> None:
    def stopped() -> None:
        raise fault

    monkeypatch.setattr("votecast.recipes.list_recipes", stopped)
    ran = votecast("recipes")
    assert ran.code == code
    assert len(ran.err.splitlines()) == 1


def test_recipes_and_env_as_text_and_json(votecast: Callable) -> None:
    assert "baseline" in votecast("recipes").out
    shown = votecast("recipes", "baseline", "--folds.n", 3).out
    assert "folds.n (int; >= 2; default 5, here 3)" in shown and "Number of folds" in shown
    assert max(map(len, shown.splitlines())) <= 80
    settings = json.loads(votecast("recipes", "baseline", "--json", "-").out)["settings"]
    assert {"name", "type", "default", "value", "allowed", "meaning"} <= settings[0].keys()
    assert votecast("recipes", "--folds.n", 3).code == 2
    assert json.loads(votecast("recipes", "--json", "-").out)["recipes"][0]["name"] == "baseline"
    assert "lightgbm" in votecast("env").out
    found = json.loads(votecast("env", "--json", "-").out)
    assert found["votecast"] == __version__
    assert found["default judge"] == "bundled:baseline"
    assert "missing" not in found["packages"].values()
    assert {"torch", "keras", "keras-hub"} <= found["extras"].keys()
    assert "computing in" in found["neural judges"]


def test_json_goes_to_a_new_file_and_never_overwrites(votecast: Callable, tmp_path: Path) -> None:
    path = tmp_path / "recipes.json"
    assert votecast("recipes", "--json", path).code == 0
    before = path.read_text()
    ran = votecast("recipes", "--json", path)
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert path.read_text() == before
    assert votecast("recipes", "--json", path, "--overwrite").code == 0


def test_the_module_runs_as_the_command_does() -> None:
    ran = subprocess.run([sys.executable, "-m", "votecast", "recipes"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "baseline" in ran.stdout


def test_a_closed_pipe_is_not_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        ran = subprocess.run(
            [sys.executable, "-m", "votecast", "recipes"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ran.returncode, ran.stderr) == (141, "")


def test_completion_is_installed(tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path), "SHELL": "/bin/bash"}
    words = [sys.executable, "-m", "votecast", "--install-completion"]
    ran = subprocess.run(words, env=home, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    scripts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("calibrate" in script and "simulate" in script for script in scripts)


def test_help_and_version_import_no_verb() -> None:
    code = (
        "import sys, votecast.cli as c; c.main(['--help']); sys.exit(bool({'numpy', 'pyarrow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
