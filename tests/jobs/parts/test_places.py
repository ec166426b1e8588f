"""Test inputs and outputs on a remote filesystem, and resuming there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pyarrow import fs

from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.jobs import remote_files
from votecast.jobs.input_files import find_inputs, wants_folder
from votecast.jobs.predict_folder import predict_folder
from votecast.jobs.remote_files import FilePlace

from .conftest import bytes_of


@pytest.fixture
def far(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the local folder behind far://bucket, a remote filesystem."""
    root = tmp_path / "far"
    (root / "bucket").mkdir(parents=True)
    pairs.rename(root / "bucket" / "pairs")
    system = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())

    def from_uri(url: str) -> tuple[Any, str]:
        assert url.startswith("far://"), url
        return system, url.removeprefix("far://").partition("?")[0]

    monkeypatch.setattr(remote_files, "_filesystem", from_uri)
    return root / "bucket"


def predict(judge: Any, out: str | Path, given: Any, **options: Any) -> dict[str, Any]:
    return predict_folder(judge, given, out, part_rows=1024, **options)


def test_patterns_and_folders_are_looked_up_there(far: Path) -> None:
    (far / "pairs" / "deep" / "er").mkdir(parents=True)
    (far / "pairs" / "deep" / "er" / "d.csv").write_text("x")
    (far / "pairs" / ".hidden.jsonl").write_text("x")

    def names(given: str) -> list[str]:
        return [each.name.removeprefix("far://bucket/pairs/") for each in find_inputs([given])]

    assert names("far://bucket/pairs/*.jsonl") == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert names("far://bucket/pairs/") == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert names("far://bucket/pairs/[bc].jsonl") == ["b.jsonl", "c.jsonl"]
    assert names("far://bucket/**/*.csv") == ["deep/er/d.csv"]
    assert names("far://bucket/pairs/a.jsonl?region=x") == ["a.jsonl?region=x"]
    with pytest.raises(DataError, match=r"far://bucket/none/\* matches no file"):
        names("far://bucket/none/*")
    with pytest.raises(DataError, match=r"far://bucket/pairs/z\.csv not found"):
        names("far://bucket/pairs/z.csv")


def test_names_that_a_url_cannot_hold_are_found_and_read(judge: Callable, far: Path, tmp_path: Path) -> None:
    names = ["50% off.jsonl", "day=1.jsonl", "why?.jsonl", "x#1.jsonl", "x[1].jsonl"]
    for name in names:
        (far / name).write_text('{"prompt": "p", "response_a": "x", "response_b": "y"}\n')
    summary = predict(judge(), tmp_path / "out", "far://bucket/*.jsonl")
    assert [unquote(each["path"].rpartition("/")[2]) for each in summary["reading"]] == names
    assert summary["reading"][1]["path"] == "far://bucket/day=1.jsonl"


def test_a_remote_folder_gets_the_bytes_of_a_local_one(
    judge: Callable, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    near = predict(judge(), tmp_path / "near", "far://bucket/pairs/*.jsonl")
    summary = predict(judge(), "far://bucket/out/", "far://bucket/pairs/*.jsonl")
    assert bytes_of(far / "out") == bytes_of(tmp_path / "near")
    assert summary | {"out": near["out"]} == near
    assert list(temporary.iterdir()) == []


def test_a_stopped_remote_run_resumes(judge: Callable, far: Path, tmp_path: Path) -> None:
    given = "far://bucket/pairs/*.jsonl"
    predict(judge(), tmp_path / "near", given)
    with pytest.raises(RuntimeError) as caught:
        predict(judge(2), "far://bucket/out", given)
    assert "--resume" in caught.value.__notes__[0]
    with pytest.raises(ArtifactError, match="holds partial output; pass --resume"):
        predict(judge(), "far://bucket/out", given)
    with pytest.raises(ConfigError, match=r"the partial output in far://bucket/out/.* judge\.hash"):
        predict(judge(hash="other"), "far://bucket/out", given, resume=True)
    again = judge()
    predict(again, "far://bucket/out", given, resume=True)
    assert again.asked == [452, 1024, 3]
    assert bytes_of(far / "out") == bytes_of(tmp_path / "near")


def test_a_remote_run_without_progress_leaves_no_files(judge: Callable, far: Path) -> None:
    with pytest.raises(RuntimeError):
        predict(judge(0), "far://bucket/out", "far://bucket/pairs/*.jsonl")
    assert bytes_of(far / "out") == {}


def test_messages_name_the_address(judge: Callable, far: Path, tmp_path: Path) -> None:
    (far / "pairs" / "b.jsonl").write_text('{"prompt": "p", "response_a": "x", "response_b": "y"}\n{"prompt": 3}\n')
    with pytest.raises(DataError, match=r"^far://bucket/pairs/b\.jsonl, row 2"):
        predict(judge(), tmp_path / "out", "far://bucket/pairs/*.jsonl")


def test_a_filesystem_that_refuses_is_an_error_of_ours(
    judge: Callable, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: FilePlace, data: bytes) -> None:
        raise OSError("access denied")

    monkeypatch.setattr(FilePlace, "write", refuses)
    with pytest.raises(ArtifactError, match="access denied"):
        predict(judge(), "far://bucket/out", "far://bucket/pairs/*.jsonl")


class _KilledError(BaseException):
    """Stand-in for SIGKILL."""


class _KilledBeforeRename:
    """A filesystem that fails before the second part is renamed."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)

    def move(self, source: str, target: str) -> None:
        if target.endswith("out/part-00000-00001.parquet"):
            raise _KilledError
        self._system.move(source, target)


def test_partial_remote_files_of_a_killed_process_are_removed(
    judge: Callable, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "far://bucket/pairs/*.jsonl"
    predict(judge(), tmp_path / "near", given)
    found = remote_files._filesystem
    with monkeypatch.context() as patched, pytest.raises(_KilledError):
        patched.setattr(remote_files, "_filesystem", lambda url: (_KilledBeforeRename(found(url)[0]), found(url)[1]))
        predict(judge(), "far://bucket/out", given)
    assert [path.name for path in (far / "out").iterdir() if path.name.startswith(".part-")]
    predict(judge(), "far://bucket/out", given, resume=True)
    assert bytes_of(far / "out") == bytes_of(tmp_path / "near")


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIA:hush/hush@bucket/a.csv",
        "s3://AKIA:hush%2Fhush@bucket/*.csv",
        "abfs://box@store/a.csv?client_secret=hush",
        "https://me:hush@example.org/a.csv",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_without_repeating_it(judge: Callable, address: str) -> None:
    for refused in (
        lambda: find_inputs([address]),
        lambda: wants_folder(["a.csv", address], "p.csv"),
        lambda: predict_folder(judge(), __file__, address),
    ):
        with pytest.raises(ConfigError, match="give secrets in the environment") as caught:
            refused()
        assert "hush" not in str(caught.value)


def test_ports_and_settings_are_no_secrets() -> None:
    for address in ("hdfs://host:8020/me@work/a.csv", "s3://bucket/a:b.csv?region=eu&endpoint_override=host:9000"):
        assert FilePlace.of(address).where == address
