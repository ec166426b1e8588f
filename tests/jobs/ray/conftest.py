"""Provide a local Ray cluster and judges for its actors."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")

import ray
from ray import cloudpickle

from votecast.errors import UnscoredRowsError
from votecast.jobs.ray import RayEngine, RaySettings, ray_engine
from votecast.jobs.ray.ray_cluster import start_cluster

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # actors do not have the tests


class Lengths:
    """A judge of lengths that depends on the batch and rejects two prompts.

    A prompt "wait for PATH" is scored once that file exists.
    """

    name, hash = "lengths", "5a"

    def predict_proba(self, battles: Any) -> np.ndarray:
        prompts = battles.text("prompt")
        if "crash" in prompts:
            raise RuntimeError("the accelerator is gone")
        for path in (prompt.removeprefix("wait for ") for prompt in prompts if prompt.startswith("wait for ")):
            until = time.monotonic() + 60
            while not Path(path).exists():
                assert time.monotonic() < until, f"{path} has not come"
                time.sleep(0.01)
        bad = {row: "its reward is nan" for row, prompt in enumerate(prompts) if prompt == "nan"}
        if bad:
            raise UnscoredRowsError(bad, len(battles))
        sizes = np.array([[len(t) for t in battles.text(name)] for name in ("response_a", "response_b", "prompt")])
        p = np.exp(sizes.T % 7 / 3 + sizes.mean() % 0.01)
        return p / p.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Sent:
    """Loader of `Lengths` for an actor."""

    def load(self) -> Lengths:
        return Lengths()


@pytest.fixture(scope="module")
def started() -> Iterator[None]:
    """Start Ray with two CPUs on this machine."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("votecast.jobs.ray.ray_cluster.usable_cores", lambda: 2)
        with start_cluster(RaySettings()):
            yield


@pytest.fixture
def actors(started: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RayEngine]:
    """Return a function that makes an engine with `Lengths`."""
    monkeypatch.setattr(ray_engine, "prepare_judge", lambda *_: Sent())
    return lambda **settings: RayEngine(Lengths(), "lengths", RaySettings(**settings))  # type: ignore[arg-type]


def write_votes(path: Path, rows: int, prompts: dict[int, str] | None = None) -> Path:
    given = prompts or {}
    lines = [
        json.dumps({"prompt": given.get(n, f"{path.stem} {n}"), "response_a": "x" * (n % 11), "response_b": "y"})
        for n in range(rows)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def actor_processes() -> list[int]:
    """Return the process ids of the cluster's actors."""
    session = ray._private.worker._global_node.get_session_dir_path()
    raylets = [
        pid for pid, words in _processes() if words and Path(words[0]).name == "raylet" and session in str(words)
    ]
    return [pid for pid, words in _processes() if "_PredictingActor" in words[0] and _parent(pid) in raylets]


def _processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            except OSError:
                continue


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
