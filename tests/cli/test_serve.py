"""Test votecast serve: invalid use fails early with one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast.serving.auth import VARIABLE


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--port", 70_000), 2, "--port"),
        (("--workers", 0), 2, "workers"),
        (("--timeout", "nan"), 2, "timeout"),
        (("--drain", -1), 2, "drain"),
        (("--in-flight", 0), 2, "--in-flight"),
        (("--precision", "fp8"), 2, "--precision"),
        (("--judge",), 2, "--judge"),
        (("demo/judge",), 2, "--judge demo/judge"),
        (
            ("--judge", "no/such/folder"),
            1,
            "there is no judge folder 'no/such/folder'; name one that `votecast train` has written, or bundled:",
        ),
        (("--judge", "mine=no/such/folder"), 1, "there is no judge folder 'no/such/folder'"),
        (("--judge", "a/b=bundled:baseline"), 1, "there is no judge folder 'a/b=bundled:baseline'"),
        (("--judge", "."), 1, "it has no config.json"),
        (("--judge", "bundled:none"), 1, "those that ship with votecast are bundled:baseline"),
        (("--judge", "a b=bundled:baseline"), 2, "'a b'; allowed are"),
        (("--judge", "bundled:baseline", "--judge", "baseline=bundled:encoder"), 2, "two judges are called 'baseline'"),
        (("--host", "0.0.0.0"), 2, "no key guards the service"),
        (("--host", "::"), 2, "no key guards the service"),
        (("--host", "192.0.2.1"), 2, "--api-key-file FILE or VOTECAST_API_KEY"),
        (("--api-key-file", "nowhere"), 2, "nowhere cannot be read"),
        (("--api-key-file", "."), 2, "cannot be read"),
    ],
)
def test_wrong_use_is_one_line(
    votecast: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    ran = votecast("serve", *words)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert ran.err.startswith("error: ")
    assert len(ran.err.replace("\nSee: votecast serve --help", "").splitlines()) == 1


@pytest.mark.parametrize("held", ["", " \n", "short", "x" * 5000, "two words of a key", "schlüssel" * 3])
def test_invalid_keys(votecast: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str) -> None:
    (file := tmp_path / "key").write_text(held, "utf-8")
    ran = votecast("serve", "--api-key-file", file)
    assert ran.code == 2
    assert "key" in ran.err
    monkeypatch.setenv(VARIABLE, held)
    ran = votecast("serve")
    assert ran.code == 2
    assert VARIABLE in ran.err
    assert not held.strip() or held not in ran.err


def test_a_missing_package_names_what_to_install(votecast: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = votecast("serve")
    assert ran.code == 1
    assert "pip install " in ran.err
    assert "[serve]'" in ran.err


def test_the_help_names_the_key_and_its_variable(votecast: Callable) -> None:
    reported = votecast("serve", "--help").out
    assert VARIABLE in reported
