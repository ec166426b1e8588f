"""Test that the Ray engine gives the bytes of one process."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import ray

from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError
from votecast.jobs.predict_folder import predict_folder

from .conftest import Lengths, actor_processes, bytes_of, write_votes

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings(r"ignore:::ray\."),  # a warning of Ray's own
    pytest.mark.filterwarnings(r"ignore:os\.fork\(\) was called:RuntimeWarning"),  # of JAX, where a test before used it
]


def predict(out: Path, given: Any = "pairs/*.jsonl", **options: Any) -> dict[str, Any]:
    return predict_folder(Lengths(), given, out, part_rows=1024, **options)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write three files in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name, rows in (("b", 1024), ("a", 2500), ("c", 3)):
        write_votes(tmp_path / "pairs" / f"{name}.jsonl", rows)
    return tmp_path / "pairs"


def test_the_cluster_listens_on_loopback_only(started: None) -> None:
    assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_bytes_are_those_of_one_process_even_where_actors_hold_all_cpus(
    actors: Callable, pairs: Path, tmp_path: Path
) -> None:
    reported: list[tuple[int, int | None]] = []
    summary = predict(
        tmp_path / "ray", engine=actors(cpus_per_actor=1.0), progress=lambda *summary: reported.append(summary)
    )
    near = predict(tmp_path / "local")
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")
    assert summary | {"out": near["out"]} == near
    assert reported[-1][0] == 3527


def test_each_part_is_reported_before_its_file_is_complete(actors: Callable, tmp_path: Path) -> None:
    known = tmp_path / "out" / ".manifest.json.work" / "part-00000-00000.json"
    file = write_votes(tmp_path / "a.jsonl", 6 * 1024, {5 * 1024: f"wait for {known}"})
    summary = predict(tmp_path / "out", file, engine=actors(num_actors=1))
    assert summary["parts"] == 6


def test_an_actor_that_is_killed_changes_nothing(actors: Callable, tmp_path: Path) -> None:
    files = [write_votes(tmp_path / f"{name}.jsonl", 6000) for name in "ab"]
    out, killed = tmp_path / "ray", list[int]()

    def kill() -> None:
        until = time.monotonic() + 60
        while not list(out.glob("part-*")) and time.monotonic() < until:
            time.sleep(0.005)
        killed.extend(actor_processes()[:1])
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    predict(out, files, engine=actors(num_actors=1))
    killing.join()
    assert killed
    predict(tmp_path / "local", files)
    assert bytes_of(out) == bytes_of(tmp_path / "local")


def test_either_engine_resumes_the_other(actors: Callable, pairs: Path, tmp_path: Path) -> None:
    predict(tmp_path / "quiet")
    out = tmp_path / "out"
    write_votes(pairs / "c.jsonl", 3, {1: "crash"})
    with pytest.raises(JudgeError, match="RuntimeError: the accelerator is gone") as caught:
        predict(out, engine=actors(num_actors=1))
    assert "--resume" in caught.value.__notes__[0]
    assert not (out / "manifest.json").exists()
    write_votes(pairs / "c.jsonl", 3)
    shutil.rmtree(out)
    with pytest.raises(RuntimeError):
        predict_folder(_Stopping(), "pairs/*.jsonl", out, part_rows=1024)
    summary = predict(out, resume=True, engine=actors(num_actors=1))
    assert summary["reused"] == 2048
    assert bytes_of(out) == bytes_of(tmp_path / "quiet")


class _Stopping(Lengths):
    """An engine that stops after two parts."""

    def __init__(self) -> None:
        self.asked = 0

    def predict_proba(self, battles: Any) -> Any:
        self.asked += 1
        if self.asked > 2:
            raise RuntimeError("stopped")
        return super().predict_proba(battles)


def test_rows_that_cannot_be_scored_are_reported_and_can_get_the_prior(
    actors: Callable, pairs: Path, tmp_path: Path
) -> None:
    write_votes(pairs / "b.jsonl", 1024, {70: "nan"})
    out = tmp_path / "ray"
    with pytest.raises(JudgeError, match=r"1 rows could not be scored \(the first: its reward is nan\)"):
        predict(out, engine=actors(num_actors=1))
    assert predict(out, resume=True, unscored="prior", engine=actors(num_actors=1))["unscored"] == 1
    predict(tmp_path / "local", unscored="prior")
    assert bytes_of(out) == bytes_of(tmp_path / "local")


def test_a_bad_file_in_the_middle_is_named_with_its_row(actors: Callable, pairs: Path, tmp_path: Path) -> None:
    whole = (pairs / "b.jsonl").read_text()
    (pairs / "b.jsonl").write_text(whole.replace('"prompt": "b 700"', '"prompt": {"7": 1}'))
    with pytest.raises(DataError, match=r"^pairs/b\.jsonl, row 701"):
        predict(tmp_path / "out", engine=actors(num_actors=1))
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_rows_set_aside_and_rows_that_have_changed(actors: Callable, pairs: Path, tmp_path: Path) -> None:
    (pairs / "b.jsonl").write_text((pairs / "b.jsonl").read_text() + "{broken\n")
    quarantine = {"reader": {"bad_rows": "quarantine"}}
    predict(tmp_path / "ray", engine=actors(num_actors=1), **quarantine)
    predict(tmp_path / "local", **quarantine)
    assert "quarantine-00001.jsonl" in bytes_of(tmp_path / "ray")
    assert bytes_of(tmp_path / "ray") == bytes_of(tmp_path / "local")
    (pairs / "c.jsonl").write_text((pairs / "c.jsonl").read_text().replace("c 1", "c 7"))
    with pytest.raises(ArtifactError, match=r"pairs/c\.jsonl has other rows now"):
        predict(tmp_path / "ray", resume=True, engine=actors(num_actors=1), **quarantine)


def test_actors_that_do_not_fit_are_refused(actors: Callable, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 actors of 1 CPUs each do not fit 2 CPUs"):
        predict(tmp_path / "out", engine=actors(num_actors=3, cpus_per_actor=1.0))
    with pytest.raises(ConfigError, match="0 GPUs; lower --num-actors"):
        predict(tmp_path / "out", engine=actors(gpus_per_actor=1.0))
    assert not (tmp_path / "out").exists()
