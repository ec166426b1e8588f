"""Test that killed training resumes to the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.judges.cheap import LOG, PREDICTED, STEP

import votecast
from votecast.cli import main
from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.data.work_folder import hold_work_folder, work_folder
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges import cross_validation, held_out_shards
from votecast.judges import train as train_module
from votecast.judges.trained import TrainedJudge
from votecast.models import registry
from votecast.types import Run

SMALL = {"folds.n": 2}
OPERATIONS = [(Path, "replace"), (Path, "write_text"), (Path, "mkdir"), (os, "fsync"), (held_out_shards, "save_file")]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


@pytest.fixture(scope="module")
def votes() -> Battles:
    return next(simulate(rows=60, seed=1, batch=60))[0]


class Figures:
    """Cheap metrics: the mean prediction."""

    def __init__(self, judge: TrainedJudge, *_: object) -> None:
        self.mean = judge.fitted.out_of_fold.raw.mean(axis=0).tolist()

    def to_dict(self) -> dict[str, object]:
        return {"metrics": {}, "mean": self.mean}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_module, "evaluate_out_of_fold", Figures)


def bytes_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class KilledError(BaseException):
    """Stand-in for SIGKILL."""


class Faults:
    """Fail or kill at the nth write, flush or rename."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder, self.at, self.seen, self.dead, self.kill = folder, -1, 0, False, False
        monkeypatch.setattr(os, "fsync", lambda _: None)
        for owner, name in OPERATIONS:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))
        for owner, name in [(shutil, "rmtree"), (Path, "unlink")]:
            monkeypatch.setattr(owner, name, self._skip_if_dead(getattr(owner, name)))

    def arm(self, at: int, *, kill: bool) -> None:
        self.at, self.seen, self.dead, self.kill = at, 0, False, kill

    def _counted(self, operation: Callable) -> Callable:
        def _operation(*args: object, **kwargs: object) -> object:
            self.seen += 1
            if self.seen == self.at:
                self.dead = self.kill
                raise KilledError if self.kill else OSError(28, "No space left on device")
            return None if self.dead else operation(*args, **kwargs)

        return _operation

    def _skip_if_dead(self, operation: Callable) -> Callable:
        """Skip cleanup after a simulated kill."""
        return lambda *args, **kwargs: None if self.dead else operation(*args, **kwargs)


@pytest.mark.parametrize("kill", [False, True], ids=["no room", "killed"])
@pytest.mark.parametrize("final", ["refit", "average"])
def test_an_error_at_any_write_flush_or_rename_does_not_change_the_result(
    votes: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None, kill: bool, final: str
) -> None:
    settings = SMALL | {"final": final}
    if final == "average":
        monkeypatch.setattr(held_out_shards, "SHARD_TOKENS", 250)  # two shards a fold
    faults = Faults(monkeypatch, tmp_path)
    faults.arm(-1, kill=False)
    whole = votecast.train("cheap", votes, out=tmp_path / "whole", overrides=settings)
    expected, operations = bytes_of(tmp_path / "whole"), faults.seen
    assert operations > 20
    for at in range(1, operations + 1):
        out = tmp_path / f"judge{at}"
        faults.arm(at, kill=kill)
        with pytest.raises(KilledError if kill else (ArtifactError, OSError)):
            votecast.train("cheap", votes, out=out, overrides=settings)
        faults.arm(-1, kill=False)
        assert votecast.train("cheap", votes, out=out, overrides=settings, resume=True).hash == whole.hash, at
        assert bytes_of(out) == expected, at
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(f".judge{at}.")] == [], at


def test_finished_folds_are_reused(
    votes: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(LOG, str(log))
    whole = votecast.train("cheap", votes, out=tmp_path / "whole", overrides=SMALL)
    assert log.read_text().split("\n")[:4] == ["fold_0 0", "fold_0 1", "fold_0 2", "fold_1 0"]
    out, work = tmp_path / "judge", work_folder(tmp_path / "judge")
    write = cross_validation.write_part

    def torn(folder: Path, fill: Callable) -> None:
        write(folder, fill)
        if folder.parent.name == "fold_1":
            raise MemoryError("out of memory")

    monkeypatch.setattr(cross_validation, "write_part", torn)
    with pytest.raises(MemoryError) as caught:
        votecast.train("cheap", votes, out=out, overrides=SMALL)
    assert caught.value.__notes__ == [
        f"partial output is kept in {work}; run the same command with --resume to continue it"
    ]
    monkeypatch.setattr(cross_validation, "write_part", write)
    assert not (work / "fold_0" / "done" / "member").exists()  # a refit keeps none of its folds
    (work / "fold_1" / "done" / "predictions.safetensors").write_bytes(b"torn")
    (work / "fold_1" / STEP).unlink()
    log.unlink()
    assert votecast.train("cheap", votes, out=out, overrides=SMALL, resume=True).hash == whole.hash
    steps = log.read_text().split("\n")
    assert not any(step.startswith("fold_0") for step in steps)
    assert {"fold_1 0", "all 0"} <= set(steps)
    assert not work.exists()


def test_held_out_rows_that_are_predicted_are_kept(
    votes: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None
) -> None:
    monkeypatch.setenv(PREDICTED, str(tmp_path / "predicted"))
    monkeypatch.setattr(held_out_shards, "SHARD_TOKENS", 100)
    settings, seen = SMALL | {"final": "average", "model.averages": True}, list[tuple[int, int]]()
    whole = votecast.train("cheap", votes, out=tmp_path / "whole", overrides=settings, progress=progress_of(seen, 99))
    assert sum(map(int, (tmp_path / "predicted").read_text().split())) == 60  # every row once, in one pass
    assert seen[:6] == [(0, 30), (6, 30), (12, 30), (18, 30), (24, 30), (30, 30)]
    (tmp_path / "predicted").unlink()
    with pytest.raises(KilledError):
        votecast.train("cheap", votes, out=tmp_path / "judge", overrides=settings, progress=progress_of([], 18))
    votecast.train("cheap", votes, out=tmp_path / "judge", overrides=settings, resume=True)
    assert sum(map(int, (tmp_path / "predicted").read_text().split())) == 60
    assert bytes_of(tmp_path / "judge") == bytes_of(tmp_path / "whole")
    monkeypatch.undo()
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")
    one = TrainedJudge("cheap", settings).fit(votes).fitted.out_of_fold  # one shard a fold
    assert one.raw.tobytes() == whole.fitted.out_of_fold.raw.tobytes()


def progress_of(seen: list[tuple[int, int]], most: int) -> Callable[[str, int, int], None]:
    """Record the progress of predictions; die once so many rows of a fold are predicted."""

    def _progress(what: str, done: int, steps: int) -> None:
        if what == "predicting held-out rows":
            seen.append((done, steps))
            if done == most:
                raise KilledError

    return _progress


def test_processes_of_a_launch_share_the_held_out_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "--rows", "80", "--out", "votes.csv"]) == 0
    words = ["train", "cheap", "--train", "votes.csv", "--folds.n", "2", "--final", "average"]
    assert main([*words, "--out", "alone"]) == 0
    launch = {"WORLD_SIZE": "2", "CHEAP_SHARD_TOKENS": "100"}
    ranks = [
        run(tmp_path, *words, "--out", "judge", **launch, RANK=str(rank), CHEAP_PREDICTED=f"predicted{rank}")
        for rank in (0, 1)
    ]
    assert "log loss" in wait(ranks[0])
    assert wait(ranks[1]) == ""
    found = [sum(map(int, (tmp_path / f"predicted{rank}").read_text().split())) for rank in (0, 1)]
    assert abs(found[0] - found[1]) < 20
    assert bytes_of(tmp_path / "judge") == bytes_of(tmp_path / "alone")


def test_a_fit_finds_its_own_checkpoints_and_leaves_none(
    votes: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(LOG, str(log))
    before = TrainedJudge("cheap", SMALL).fit(votes, run=Run(tmp_path / "run")).hash
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "fold_0", "fold_1", "all"}
    assert not list((tmp_path / "run").rglob(STEP))
    kept = '{"done": 2, "weights": [0.25, 0.5]}'
    shutil.rmtree(tmp_path / "run" / "all" / "done")
    (tmp_path / "run" / "all" / STEP).write_text(kept)
    log.unlink()
    other = TrainedJudge("cheap", SMALL).fit(votes, run=Run(tmp_path / "run"))
    assert log.read_text() == "all 2\n"
    assert other.hash != before


def test_partial_output_needs_resume_or_overwrite(votes: Battles, tmp_path: Path, quick: None) -> None:
    out, work = tmp_path / "judge", work_folder(tmp_path / "judge")
    with pytest.raises(KilledError):
        votecast.train("cheap", votes, out=out, overrides=SMALL, progress=die_at("training on all rows"))
    assert (work / "fold_1" / "done").is_dir()
    with pytest.raises(ArtifactError, match=r"holds partial output for .*--resume.*--overwrite"):
        votecast.train("cheap", votes, out=out, overrides=SMALL)
    for overrides, rows, message in (
        (SMALL | {"model.steps": 4}, votes, r"recipe\.model\.steps is 4, there 3"),
        (SMALL, votes[:50], r"data\.battles is .*, there "),
    ):
        with pytest.raises(ConfigError, match=rf"of another recipe or other data: {message}.*drop --resume") as caught:
            votecast.train("cheap", rows, out=out, overrides=overrides, resume=True)
        assert not getattr(caught.value, "__notes__", [])
    with (
        hold_work_folder(out, resume=True, overwrite=False),
        pytest.raises(ArtifactError, match="another votecast is running"),
    ):
        votecast.train("cheap", votes, out=out, overrides=SMALL, resume=True)
    assert not work.exists()
    with pytest.raises(KilledError):
        votecast.train("cheap", votes, out=out, overrides=SMALL, progress=die_at("training on all rows"))
    (work / "fold_0" / "mark").write_text("old")
    with pytest.raises(KilledError):
        votecast.train("cheap", votes, out=out, overrides=SMALL, overwrite=True, progress=die_at("measuring"))
    assert not (work / "fold_0" / "mark").exists()


def die_at(doing: str) -> Callable[[str, int, int], None]:
    def _progress(what: str, done: int, steps: int) -> None:
        if what == doing:
            raise KilledError

    return _progress


def test_training_without_progress_leaves_no_files(votes: Battles, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        votecast.train("cheap", votes.take([]), out=tmp_path / "judge", overrides=SMALL)
    with pytest.raises(KilledError):
        votecast.train("cheap", votes, out=tmp_path / "judge", overrides=SMALL, progress=die_at("preparing"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="name out"):
        votecast.train("cheap", votes, overrides=SMALL, resume=True)


def test_a_finished_judge_is_not_made_again_but_another_one_is_in_the_way(
    votes: Battles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    quick: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = votecast.train("cheap", votes, out=tmp_path / "judge", overrides=SMALL)
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    caplog.set_level("INFO", logger="votecast")
    assert votecast.train("cheap", votes, out=tmp_path / "judge", overrides=SMALL, resume=True).hash == made.hash
    assert caplog.messages == [f"{tmp_path / 'judge'} is finished; there was nothing left to resume"]
    assert not (tmp_path / "log").exists()
    with pytest.raises(ArtifactError, match="already exists"):
        votecast.train("cheap", votes, out=tmp_path / "judge", overrides=SMALL | {"seed": 1}, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"judge"}


CHILD = """
import os, sys, time
from votecast.models import registry
from votecast.judges import held_out_shards
registry.FAMILIES["cheap"] = "tests.judges.cheap:CheapModel"
held_out_shards.SHARD_TOKENS = int(os.environ.get("CHEAP_SHARD_TOKENS", held_out_shards.SHARD_TOKENS))
import tests.judges.cheap as cheap
fit = cheap.CheapModel.fit
def slow(self, prepared, *args):
    time.sleep(0.05)
    return fit(self, prepared, *args)
cheap.CheapModel.fit = slow
from votecast.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(folder: Path, *words: str, **settings: str) -> subprocess.Popen[bytes]:
    """Start a command in a folder, with settings of the environment."""
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src"), os.environ["PYTHONPATH"]])
    environment = os.environ | {"PYTHONPATH": path} | settings
    command = [sys.executable, "-c", CHILD, *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait(child: subprocess.Popen[bytes]) -> str:
    """Return what a command that succeeds has printed."""
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err.decode()
    return out.decode()


def test_a_killed_process_resumes(tmp_path: Path) -> None:
    train = ["train", "cheap", "--train", "votes.csv", "--folds.n", "8", "--final", "average"]
    wait(run(tmp_path, "simulate", "--rows", "80", "--out", "votes.csv"))
    shown = wait(run(tmp_path, *train, "--out", "whole"))
    with run(tmp_path, *train, "--out", "judge") as child:
        until = time.monotonic() + 300
        while not (tmp_path / ".judge.work" / "fold_3" / "done").exists():
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "judge").exists()
    assert wait(run(tmp_path, *train, "--out", "judge", "--resume")) == shown.replace("whole", "judge")
    assert bytes_of(tmp_path / "judge") == bytes_of(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} >= {"judge", "whole"}
    assert not (tmp_path / ".judge.work").exists()
