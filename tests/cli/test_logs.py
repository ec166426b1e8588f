"""Test what a command logs, to the screen and to a file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the verb `recipes` log, and fail."""

    def list_recipes() -> None:
        logging.getLogger("votecast.recipes").debug("ours in detail")
        logging.getLogger("votecast.recipes").info("ours")
        logging.getLogger("other.package").info("of another")
        logging.getLogger("other.package").warning("a warning")
        raise ZeroDivisionError("by design")

    monkeypatch.setattr("votecast.recipes.list_recipes", list_recipes)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["ours", "WARNING: a warning"]),
        (["-v"], ["ours in detail", "ours", "WARNING: a warning"]),
        (["-vv"], ["ours in detail", "ours", "of another", "WARNING: a warning"]),
    ],
)
def test_the_screen_gets_more_by_v(votecast: Callable, words: list[str], lines: list[str]) -> None:
    for order in (["recipes", *words], [*words, "recipes"]):
        ran = votecast(*order)
        assert ran.code == 1
        assert ran.err.splitlines()[: len(lines)] == lines
        assert ran.err.splitlines()[len(lines)].startswith("error: ")


def test_a_log_file_gets_every_line_and_the_traceback(votecast: Callable, tmp_path: Path) -> None:
    file = tmp_path / "all.log"
    screen = votecast("recipes").err
    assert votecast("recipes", "--log-file", file).err == screen
    assert votecast("recipes", f"--log-file={file}").err == screen
    text = file.read_text()
    for part in ("DEBUG votecast.recipes: ours in detail", "INFO other.package: of another", "WARNING other.package"):
        assert text.count(part) == 2
    assert text.count("Traceback") == text.count("ZeroDivisionError: by design\n") / 2 == 2
    assert votecast("recipes").err == screen
    assert file.read_text() == text


def test_a_log_file_that_cannot_be_written_or_has_no_name_is_an_error(votecast: Callable, tmp_path: Path) -> None:
    ran = votecast("recipes", "--log-file", tmp_path / "absent" / "all.log")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    assert "name a file elsewhere" in ran.err
    for words in (["--log-file"], ["--log-file", "--json"], ["--log-file=a", "--log-file=b"]):
        ran = votecast("recipes", *words)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1)


def test_answers_may_look_like_these_options(votecast: Callable) -> None:
    ran = votecast("compare", "--prompt", "--log-file", "--a", "-v", "--b", "-vv", "--judge", "absent")
    assert ran.code == 1
    assert "absent" in ran.err
