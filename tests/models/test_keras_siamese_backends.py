"""Test the Keras siamese encoder on each backend, including resuming."""

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from votecast.errors import ConfigError
from votecast.training.checkpoints import Checkpoints

BACKENDS = [
    pytest.param(name, marks=pytest.mark.skipif(not (find_spec("keras_hub") and find_spec(name)), reason=f"no {name}"))
    for name in ("jax", "torch")
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return the environment that lets JAX compile a network once for all processes."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def child(verb, backend, *folders, **environment):
    words = [sys.executable, "-m", "tests.models.keras_child", verb, backend, *map(str, folders)]
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    env = os.environ | quick | environment | {"PYTHONPATH": paths}
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS[:1])  # checkpoints are the same code on every backend
def test_a_killed_training_ends_in_the_same_bytes(backend, tmp_path, compiled):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert child("fit", backend, killed, KILL_AFTER="1", **compiled).returncode == -9
    assert not (killed / "judge").exists()
    assert (killed / "work" / "checkpoints" / "step-000000001").is_dir()
    ran = child("fit", backend, killed, whole, **compiled)
    assert ran.returncode == 0, ran.stderr
    assert digests(killed / "judge") == digests(whole / "judge")
    assert (killed / "work" / "metrics.jsonl").read_bytes() == (whole / "work" / "metrics.jsonl").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_promise_is_kept_exactly(backend, compiled):
    ran = child("check", backend, **compiled)
    assert ran.returncode == 0, ran.stderr


def test_a_torn_state_is_passed_over_and_one_of_other_settings_is_refused(tmp_path):
    def states(**recipe):
        return Checkpoints(tmp_path, keep=1, recipe=recipe, framework="numpy")

    states(seed=1).save(1, {"state": {"00000": np.full(3, 1)}}, {"epochs": 1})
    first = tmp_path / "checkpoints" / "step-000000001"
    shutil.copytree(first, tmp_path / "kept")
    states(seed=1).save(2, {"state": {"00000": np.full(3, 2)}}, {"epochs": 2})
    assert not first.exists()
    second = first.with_name("step-000000002") / "state.safetensors"
    (tmp_path / "kept").rename(first)
    for damaged in (second.read_bytes()[:-1], second.read_bytes()[:-1] + b"\x01", b""):
        second.write_bytes(damaged)
        found = states(seed=1).latest()
        assert found is not None
        assert found.state["epochs"] == 1
        assert np.array_equal(found.tensors("state")["00000"], np.full(3, 1))
    with pytest.raises(ConfigError, match="settings and rows"):
        states(seed=2).latest()
