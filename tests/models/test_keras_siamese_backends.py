"""The siamese encoder in Keras on each backend, in processes of their own: promises, and going on after a kill."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from votecast.errors import ArtifactError, ConfigError
from votecast.models.keras_siamese import keras_training
from votecast.models.keras_siamese.keras_training import TrainingStates

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(not (find_spec("keras_hub") and find_spec(name)), reason=f"no {name}"))
    for name in ("jax", "torch")
]
ROOT = Path(__file__).parents[2]


def child(verb, backend, folder, **environment):
    words = [sys.executable, "-m", "tests.models.keras_child", verb, backend, str(folder)]
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | quick | environment | {"PYTHONPATH": paths}
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_killed_training_ends_in_the_same_bytes(backend, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert child("fit", backend, whole).returncode == 0
    assert child("fit", backend, killed, KILL_AFTER="1").returncode == -9
    assert not (killed / "judge").exists()
    assert (killed / "work" / "epoch-00001").is_dir()
    ran = child("fit", backend, killed)
    assert ran.returncode == 0, ran.stderr
    assert digests(killed / "judge") == digests(whole / "judge")
    assert (killed / "work" / "metrics.jsonl").read_bytes() == (whole / "work" / "metrics.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_promise_is_kept_exactly(backend, tmp_path):
    ran = child("check", backend, tmp_path)
    assert ran.returncode == 0, ran.stderr


def state(value):
    return {"state/00000": np.full(3, value)}, {"epochs": value}


def test_a_torn_state_is_passed_over_and_an_older_whole_one_taken(tmp_path):
    states = TrainingStates(tmp_path, {"seed": 1})
    states.save(1, *state(1))
    first = tmp_path / "epoch-00001"
    shutil.copytree(first, tmp_path / "kept")
    states.save(2, *state(2))
    assert not first.exists()
    second = tmp_path / "epoch-00002" / "arrays.safetensors"
    (tmp_path / "kept").rename(first)
    for damaged in (second.read_bytes()[:-1], second.read_bytes()[:-1] + b"\x01", b""):
        second.write_bytes(damaged)
        found = states.latest()
        assert found is not None
        assert found[1]["epochs"] == 1
        assert np.array_equal(found[0]["state/00000"], np.full(3, 1))


def test_a_state_of_other_settings_is_refused(tmp_path):
    TrainingStates(tmp_path, {"seed": 1}).save(1, *state(1))
    with pytest.raises(ConfigError, match="other settings or rows"):
        TrainingStates(tmp_path, {"seed": 2}).latest()


def test_a_full_disk_keeps_the_earlier_state(tmp_path, monkeypatch):
    states = TrainingStates(tmp_path, {})
    states.save(1, *state(1))

    def full(path, write):
        raise ArtifactError(f"{path} could not be written: No space left on device; nothing was left behind")

    monkeypatch.setattr(keras_training, "write_part", full)
    with pytest.raises(ArtifactError, match=r"after epoch 2.*No space left.*--resume"):
        states.save(2, *state(2))
    monkeypatch.undo()
    found = states.latest()
    assert found is not None
    assert found[1]["epochs"] == 1


def test_without_a_folder_nothing_is_kept():
    states = TrainingStates(None, {})
    states.save(1, *state(1))
    assert states.latest() is None
