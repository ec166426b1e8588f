"""Test what cannot be packed: one clear error and no output."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.disk import room_for
from tests.packaging.fakes import fake_wheel


@pytest.fixture
def words(arena: Path, tmp_path: Path) -> list[str]:
    """Return a command without its sources."""
    return ["pack", "--judge", str(arena / "judge"), "--out", str(tmp_path / "pack")]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--python 3.9", 2, "votecast needs >=3.11; name a newer one"),
        ("--python three", 2, "allowed is a version of CPython such as 3.11"),
        ("--platform win_amd64", 2, "allowed are manylinux_2_N_x86_64"),
        ("--platform manylinux_2_4_x86_64", 2, "N from 5 to 99"),
        ("--platform manylinux_2_999999999_x86_64", 2, "N from 5 to 99"),
        ("--judge nowhere", 1, "nowhere not found"),
        ("--judge bundled:nobody", 1, "those that ship with votecast are"),
        ("--judge recipe:baseline", 2, "which learns everything from votes"),
        ("--contest chess", 2, "chess"),
    ],
)
def test_wrong_words_are_refused_before_any_work(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path, options: str, code: int, message: str
) -> None:
    option, value = options.split()
    given = [*words, option, value] if option not in words else [value if w == words[2] else w for w in words]
    ran = votecast(*given, "--find-links", links, "--no-index")
    assert ran.code == code
    assert message in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--no-index", "name a folder that holds them: --find-links FOLDER"),
        ("--find-links nowhere", "--find-links nowhere does not exist"),
        ("--find-links empty --no-index", "--find-links empty holds no wheel"),
    ],
)
def test_places_that_hold_no_wheel_are_refused_before_any_work(
    votecast: Callable, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = votecast(*words, *options.split())
    assert ran.code == 2
    assert message in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_damaged_judge_is_not_packed(
    votecast: Callable, words: list[str], arena: Path, links: Path, tmp_path: Path
) -> None:
    shutil.copytree(arena / "judge", tmp_path / "judge")
    (tmp_path / "judge" / "calibration.safetensors").write_bytes(b"")
    ran = votecast("pack", "--judge", tmp_path / "judge", "--out", tmp_path / "pack", "--find-links", links)
    assert (ran.code, "is damaged: calibration.safetensors has changed" in ran.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["judge"]


def test_a_package_without_a_wheel_for_the_platform_is_named(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "links"
    shutil.copytree(links, mine)
    next(mine.glob("rensa-*")).unlink()
    fake_wheel(mine, "rensa", tag="cp311-cp311-macosx_11_0_arm64")
    ran = votecast(*words, "--find-links", mine, "--no-index", "--python", "3.11")
    assert ran.code == 1
    assert "there is no wheel of rensa" in ran.err
    assert "for Python 3.11 on manylinux_2_28_x86_64" in ran.err
    assert f"the output of pip is in {tmp_path / 'pack.pip.log'}" in ran.err
    assert ran.err.count("\n") <= 2
    kept = (tmp_path / "pack.pip.log").read_text()
    assert "rensa" in kept
    assert "Traceback" not in kept
    assert sorted(path.name for path in tmp_path.iterdir()) == ["links", "pack.pip.log"]


def test_packages_that_do_not_fit_together_are_reported(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "links"
    shutil.copytree(links, mine)
    fake_wheel(mine, "joblib", requires=["numpy<1"])
    ran = votecast(*words, "--find-links", mine, "--no-index")
    assert ran.code == 1
    assert "no versions fit together" in ran.err
    assert "numpy<1" in ran.err


def test_an_index_that_cannot_be_reached_is_reported_with_the_cure(
    votecast: Callable, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    ran = votecast(*words)
    assert ran.code == 1
    assert "the package index cannot be reached" in ran.err
    assert "--find-links FOLDER --no-index" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["pack.pip.log"]


def test_a_python_without_pip_is_reported(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    ran = votecast(*words, "--find-links", links, "--no-index")
    assert (ran.code, "-m ensurepip" in ran.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]


def test_a_pip_in_the_working_folder_is_not_run(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__main__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    ran = votecast(*words, "--find-links", links, "--no-index")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("room", [20_000, 6_000_000])
def test_a_full_disk_leaves_nothing_behind(
    votecast: Callable, words: list[str], links: Path, tmp_path: Path, room: int
) -> None:
    mine = tmp_path / "links"
    shutil.copytree(links, mine)
    big = fake_wheel(mine, "joblib")
    with big.open("r+b") as file:  # a zip may begin with anything
        data = file.read()
        file.seek(0)
        file.write(os.urandom(8_000_000) + data)
    with room_for(room):
        ran = votecast(*words, "--find-links", mine, "--no-index")
    assert ran.code == 1
    assert "nothing was left behind" in ran.err or "the disk has no room" in ran.err
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"links", "pack.pip.log"}


def test_a_pack_is_not_written_over_a_file(votecast: Callable, arena: Path, links: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").write_text("a letter")
    words = ["pack", "--judge", arena / "judge", "--out", tmp_path / "pack", "--find-links", links, "--no-index"]
    for more in ([], ["--overwrite"]):
        ran = votecast(*words, *more)
        assert ran.code == 1
        assert "already exists" in ran.err or "is not a pack" in ran.err
    assert (tmp_path / "pack").read_text() == "a letter"
