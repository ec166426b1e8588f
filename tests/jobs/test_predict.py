"""Test predictions of a file: equal bytes after every kind of failure."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast import predict_file
from votecast.data.outputs.table_writer import TableWriter
from votecast.errors import ArtifactError, ConfigError, DataError, VotecastError
from votecast.jobs import file_run
from votecast.text.truncation import TruncationReport

ROWS, SHARDS = 2500, [1024, 1024, 452]


class Lengths:
    """A judge of lengths whose rounding depends on the batch."""

    name = "lengths"

    def __init__(self, fails_at: int | None = None, hash: str = "5a") -> None:
        self.hash = hash
        self.asked: list[int] = []
        self._fails_at = fails_at

    def predict_proba(self, battles: Any) -> np.ndarray:
        if len(self.asked) == self._fails_at:
            raise RuntimeError("the accelerator is gone")
        self.asked.append(len(battles))
        sizes = np.array([[len(t) for t in battles.text(name)] for name in ("response_a", "response_b", "prompt")])
        p = np.exp(sizes.T % 7 / 3 + sizes.mean() % 0.01)
        return p / p.sum(axis=1, keepdims=True)


class Killed(BaseException):
    """Stand-in for SIGKILL."""


def write_votes(path: Path, rows: int = ROWS, first: str = "why") -> Path:
    lines = [
        json.dumps({"prompt": f"{first} {n}", "response_a": "x" * (n % 11), "response_b": "y"}) for n in range(rows)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    """Write a file of three shards."""
    return write_votes(tmp_path / "votes.jsonl")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return an output path in an empty folder."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "p.csv"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def undisturbed(votes: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return the folder's content after an undisturbed run."""
    (tmp_path / "quiet").mkdir()
    predict_file(Lengths(), votes, tmp_path / "quiet" / "p.csv")
    return bytes_of(tmp_path / "quiet")


def interrupted(votes: Path, out: Path, fails_at: int = 2) -> Path:
    """Return the folder of a run stopped after some shards."""
    with pytest.raises(RuntimeError, match="accelerator"):
        predict_file(Lengths(fails_at), votes, out)
    return out.parent / ".p.csv.work"


@pytest.mark.parametrize("packed", [False, True])
def test_judge_batches_do_not_depend_on_read_batches(votes: Path, out: Path, packed: bool) -> None:
    if packed:
        import pyarrow as pa
        import pyarrow.json as pa_json

        table = pa_json.read_json(votes)
        with pa.ipc.new_file(votes.with_suffix(".arrow"), table.schema) as file:
            for start in range(0, ROWS, 300):
                file.write_table(table.slice(start, 300))
        votes = votes.with_suffix(".arrow")
    judge = Lengths()
    summary = predict_file(judge, votes, out)
    assert judge.asked == SHARDS
    assert (summary["rows"], summary["reused"]) == (ROWS, 0)
    assert set(bytes_of(out.parent)) == {"p.csv", "p.csv.settings.json"}


def test_the_settings_beside_the_file_hold_the_hash_of_its_bytes(votes: Path, out: Path) -> None:
    import hashlib

    predict_file(Lengths(), votes, out)
    side = json.loads(out.with_name("p.csv.settings.json").read_text())
    assert side["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()


def test_a_failing_judge_keeps_its_shards_and_explains_how_to_resume(
    votes: Path, out: Path, undisturbed: dict[str, bytes]
) -> None:
    with pytest.raises(RuntimeError) as caught:
        predict_file(Lengths(fails_at=2), votes, out)
    assert "--resume" in caught.value.__notes__[0]
    judge = Lengths()
    assert predict_file(judge, votes, out, resume=True)["reused"] == 2048
    assert judge.asked == SHARDS[2:]
    assert bytes_of(out.parent) == undisturbed


def test_a_run_without_progress_leaves_no_files(votes: Path, out: Path) -> None:
    with pytest.raises(RuntimeError):
        predict_file(Lengths(fails_at=0), votes, out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed", "absent"])
def test_a_torn_shard_is_made_again(votes: Path, out: Path, undisturbed: dict[str, bytes], damage: str) -> None:
    shard = sorted(interrupted(votes, out).glob("*.shard"))[1]
    whole = shard.read_bytes()
    torn = {"cut": whole[: len(whole) // 2], "emptied": b"", "changed": whole[:-1] + bytes([whole[-1] ^ 1])}
    shard.unlink() if damage == "absent" else shard.write_bytes(torn[damage])
    judge = Lengths()
    predict_file(judge, votes, out, resume=True)
    assert judge.asked == SHARDS[1:]
    assert bytes_of(out.parent) == undisturbed


def test_partial_output_needs_resume_or_overwrite(votes: Path, out: Path) -> None:
    work = bytes_of(interrupted(votes, out))
    with pytest.raises(ArtifactError, match=r"pass --resume to continue it, or --overwrite to start over"):
        predict_file(Lengths(), votes, out)
    assert bytes_of(out.parent / ".p.csv.work") == work
    judge = Lengths()
    predict_file(judge, votes, out, overwrite=True)
    assert judge.asked == SHARDS


@pytest.mark.parametrize(("rows", "first"), [(ROWS, "what"), (1024, "why"), (1500, "why")])
def test_an_input_that_has_changed_is_refused(votes: Path, out: Path, rows: int, first: str) -> None:
    work = bytes_of(interrupted(votes, out))
    write_votes(votes, rows, first)
    with pytest.raises(ArtifactError, match="predictions of other rows"):
        predict_file(Lengths(), votes, out, resume=True)
    assert bytes_of(out.parent / ".p.csv.work") == work


def test_the_work_of_another_judge_is_refused(votes: Path, out: Path) -> None:
    interrupted(votes, out)
    with pytest.raises(ConfigError, match="judge.hash"):
        predict_file(Lengths(hash="other"), votes, out, resume=True)
    with pytest.raises(ConfigError, match="reader.limit"):
        predict_file(Lengths(), votes, out, resume=True, reader={"limit": 2000})


def test_a_finished_output_is_not_made_again(votes: Path, out: Path) -> None:
    predict_file(Lengths(), votes, out)
    before, judge = bytes_of(out.parent), Lengths()
    summary = predict_file(judge, votes, out, resume=True)
    assert (judge.asked, summary["rows"], summary["reused"]) == ([], ROWS, ROWS)
    assert bytes_of(out.parent) == before
    write_votes(votes, first="what")
    with pytest.raises(ArtifactError, match="made from other rows"):
        predict_file(judge, votes, out, resume=True)
    with pytest.raises(ArtifactError, match="already exists"):
        predict_file(Lengths(hash="other"), votes, out, resume=True)
    out.write_text("mine")
    with pytest.raises(ArtifactError, match="already exists"):
        predict_file(judge, votes, out, resume=True)
    assert out.read_text() == "mine"


def test_invalid_distributions_are_never_kept(votes: Path, out: Path) -> None:
    class Broken(Lengths):
        def predict_proba(self, battles: Any) -> np.ndarray:
            p = super().predict_proba(battles)
            p[3] = np.nan if len(self.asked) == 2 else p[3]
            return p

    with pytest.raises(DataError, match=r"prediction 1028 \(id '1027'\)"):
        predict_file(Broken(), votes, out)
    assert len(list((out.parent / ".p.csv.work").glob("*.shard"))) == 1


def test_progress_starts_after_the_earlier_run(votes: Path, out: Path) -> None:
    interrupted(votes, out)
    reported: list[int] = []
    predict_file(Lengths(), votes, out, resume=True, progress=lambda done, _: reported.append(done))
    assert reported == [2048, 2500]


class Disk:
    """Count writes, flushes and renames, and fail at the k-th."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, kills: bool) -> None:
        self.count, self.at, self.kills = 0, at, kills
        homes = [
            (os, "fsync"),
            (os, "replace"),
            (os, "rename"),
            (os, "link"),
            (os, "mkdir"),
            (TableWriter, "write"),
            (TableWriter, "finish"),
        ]
        for home, name in homes + ([(os, "unlink"), (os, "rmdir")] if kills else []):
            monkeypatch.setattr(home, name, self._guarded(getattr(home, name)))
        for name in ("write_bytes", "write_text"):
            monkeypatch.setattr(Path, name, self._torn(getattr(Path, name)))

    def _fails(self) -> bool:
        self.count += 1
        return self.count == self.at or (self.kills and self.count > self.at)

    def _fail(self) -> None:
        raise Killed if self.kills else OSError(5, "the disk is gone")

    def _guarded(self, does: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            return self._fail() if self._fails() else does(*args, **options)

        return guarded

    def _torn(self, writes: Callable[..., Any]) -> Callable[..., Any]:
        def torn(path: Path, whole: Any, *args: Any, **options: Any) -> Any:
            fails = self._fails()
            done = writes(path, whole[: len(whole) // 2] if fails else whole, *args, **options)
            return self._fail() if fails else done

        return torn


def steps(kills: bool, predict: Callable[[], Any], restore: Callable[[], None]) -> Iterator[tuple[int, bool]]:
    """Fail at each step in turn; yield whether the run finished."""
    at = 0
    while True:
        at += 1
        with pytest.MonkeyPatch.context() as patched:
            disk = Disk(patched, at, kills=kills)
            try:
                predict()
                ended = True
            except (VotecastError, Killed):
                ended = False
        if disk.count < at:
            return
        yield at, ended
        restore()


@pytest.mark.parametrize("kills", [False, True], ids=["disk error", "kill"])
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_whatever_fails_at_whichever_step_the_same_call_with_resume_gives_the_same_bytes(
    votes: Path, out: Path, monkeypatch: pytest.MonkeyPatch, kills: bool, name: str
) -> None:
    monkeypatch.setattr(file_run, "SHARD_ROWS", 16)
    write_votes(votes, rows=56)
    out, folder = out.with_name(name), out.parent
    predict_file(Lengths(), votes, out)
    undisturbed = bytes_of(folder)

    def clear() -> None:
        for path in folder.iterdir():
            path.unlink()

    clear()
    tried = 0
    for at, ended in steps(kills, lambda: predict_file(Lengths(), votes, out), clear):
        assert not out.exists() or out.read_bytes() == undisturbed[name], at
        assert not ended or out.exists(), at
        predict_file(Lengths(), votes, out, resume=True)
        assert bytes_of(folder) == undisturbed, at
        tried += 1
    assert tried > 30


def test_two_kills_are_no_worse_than_one(votes: Path, out: Path, undisturbed: dict[str, bytes]) -> None:
    for at in (9, 14, 20, 26):
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
            Disk(patched, at, kills=True)
            predict_file(Lengths(), votes, out, resume=True)
    predict_file(Lengths(), votes, out, resume=True)
    assert bytes_of(out.parent) == undisturbed


class Cutting(Lengths):
    """A judge that reads five characters of a prompt."""

    precision = "fp32"

    def predict_with_truncation(self, battles: Any) -> tuple[np.ndarray, TruncationReport]:
        full = np.array([[len(t) for t in battles.text(name)] for name in ("prompt", "response_a", "response_b")]).T
        return self.predict_proba(battles), TruncationReport(np.minimum(full, [5, 99, 99]), full)

    def run_with(self, precision: str) -> None:
        self.precision = precision


def test_truncation_is_summed_over_shards_of_both_runs(votes: Path, out: Path) -> None:
    summary = predict_file(Cutting(), votes, out)
    assert summary["cut"] == {"rows": ROWS, "rows_cut": 2490, "kept": {"prompt": 0.662, "a": 1.0, "b": 1.0}}
    assert predict_file(Cutting(), votes, out, resume=True)["cut"] == summary["cut"]
    out.unlink()
    with pytest.raises(RuntimeError):
        predict_file(Cutting(fails_at=1), votes, out)
    assert predict_file(Cutting(), votes, out, resume=True)["cut"] == summary["cut"]


def test_shards_of_another_precision_are_not_mixed_in(votes: Path, out: Path) -> None:
    with pytest.raises(ConfigError, match="'lengths' has no settings of inference; drop precision"):
        predict_file(Lengths(), votes, out, inference={"precision": "bf16"})
    with pytest.raises(RuntimeError):
        predict_file(Cutting(fails_at=1), votes, out)
    with pytest.raises(ConfigError, match="inference"):
        predict_file(Cutting(), votes, out, resume=True, inference={"precision": "bf16"})
    judge = Cutting()
    predict_file(judge, votes, out, overwrite=True, inference={"precision": "bf16"})
    assert judge.precision == "bf16"
    assert json.loads(out.with_name("p.csv.settings.json").read_text())["settings"]["inference"] == {
        "precision": "bf16"
    }
