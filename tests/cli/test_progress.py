from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from votecast.cli import screen
from votecast.cli.screen import Bars


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what a bar writes to a terminal, without delay."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, legacy_windows=False)
    monkeypatch.setattr(screen, "notes_console", lambda: console)
    monkeypatch.setattr(screen, "DELAY", 0.0)
    return shown


def until_shown(shown: io.StringIO, text: str) -> bool:
    deadline = time.monotonic() + 20
    while text not in shown.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    return text in shown.getvalue()


def test_rows_are_counted_with_those_to_come(terminal: io.StringIO) -> None:
    with Bars() as bars:
        bars.rows(1000, 5000)
        assert until_shown(terminal, "1,000 (20%)")
        bars.rows(2000, 5400)  # an estimate that changes does not show as another total
        assert until_shown(terminal, "2,000 (37%)")
        bars.rows(6000, 5000)
        assert until_shown(terminal, "6,000 (100%)")


def test_pairs_are_counted_by_the_second_without_those_of_an_earlier_run(
    terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(float(second) for second in range(1, 10_000))
    with Bars() as bars:
        monkeypatch.setattr(bars._progress, "get_time", lambda: next(now))
        for done in (50_000, 50_100, 50_200, 50_300):
            bars.pairs(done, 60_000)
        assert until_shown(terminal, "50,300 (84%)")
        assert until_shown(terminal, " pairs/s")
        speed = bars._progress.tasks[0].speed
    assert speed is not None
    assert speed <= 100


def test_only_the_present_step_is_shown(terminal: io.StringIO) -> None:
    with Bars() as bars:
        bars.steps("reading", 0, 1)
        assert until_shown(terminal, "reading")
        bars.steps("training", 1, 5)
        assert until_shown(terminal, "1/5")
        terminal.truncate(0)
        bars.steps("training", 2, 5)
        assert until_shown(terminal, "2/5")
        assert "reading" not in terminal.getvalue()
        bars.steps("predicting", 1, 7)
        assert until_shown(terminal, "1/7")
        terminal.truncate(0)
        bars.steps("training", 3, 9)
        assert until_shown(terminal, "3/9")
        assert "predicting" not in terminal.getvalue()


def test_quick_work_shows_no_bar(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "DELAY", 60.0)
    with Bars() as bars:
        bars.rows(10)
    assert "rows" not in terminal.getvalue()


def test_a_pipe_gets_no_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(screen, "DELAY", 0.0)
    with Bars() as bars:
        bars.rows(10)
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(screen, "MINUTE", 0.02)
    with Bars() as bars:
        bars.steps("reading votes", 0, 1)
        bars.steps("training", 1, 5)
        shown, deadline = "", time.monotonic() + 20
        while "training 1/5\n" not in shown and time.monotonic() < deadline:
            time.sleep(0.01)
            shown += capsys.readouterr().err
    assert "training 1/5\n" in shown
    time.sleep(0.1)
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_bar_is_taken_down_when_the_work_fails(terminal: io.StringIO) -> None:
    def fail() -> None:
        with Bars() as bars:
            bars.rows(1)
            raise ValueError("by design")

    with pytest.raises(ValueError, match="by design"):
        fail()
    before = terminal.getvalue()
    time.sleep(0.2)
    assert terminal.getvalue() == before


def test_control_characters_and_markup_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    screen.print_line("\x1b[2J [bold]x[/bold] :smile: \u202e")
    assert capsys.readouterr().out == "\\x1b[2J [bold]x[/bold] :smile: \\x202e\n"
    screen.print_facts({"a": "word " * 30})
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
