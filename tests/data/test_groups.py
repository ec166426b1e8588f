"""Test groups of rows by language, source and turns."""

from __future__ import annotations

import pytest

from votecast.data.battles import Battles
from votecast.data.groups import GROUPINGS, UNDETERMINED, detect_languages, group_values
from votecast.errors import ConfigError

ROWS = [
    {"prompt": ["Why is the sky blue at noon?"], "source": "mine", "language": "en"},
    {"prompt": ["Warum ist der Himmel am Mittag blau?", "Und am Abend?"], "source": None},
    {"prompt": ["1"] * 9, "source": "", "language": None},
]
BATTLES = Battles.from_rows([row | {"response_a": "x", "response_b": "y"} for row in ROWS])


def test_every_grouping_names_every_row():
    assert group_values(BATTLES, "turns") == ["1", "2", "5+"]
    assert group_values(BATTLES, "source") == ["mine", "unknown", "unknown"]
    assert group_values(BATTLES, "language")[:2] == ["en", "de"]
    assert all(group_values(BATTLES[:0], by) == [] for by in GROUPINGS)


def test_another_grouping_is_refused():
    with pytest.raises(ConfigError, match="cannot be grouped by 'length'; allowed are language, source, turns"):
        group_values(BATTLES, "length")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("What should I cook for dinner tonight when I have no time?", "en"),
        ("Was soll ich heute Abend kochen, wenn ich keine Zeit habe?", "de"),
        ("Que dois-je cuisiner ce soir si je n'ai pas le temps ?", "fr"),
        ("¿Qué debería cocinar esta noche si no tengo tiempo?", "es"),
        ("今天晚上没有时间的话我应该做什么菜？", "zh"),
        ("今夜は時間がないのですが、何を料理すればいいですか", "ja"),
        ("Что мне приготовить сегодня вечером, если нет времени?", "ru"),
        ("", UNDETERMINED),
        ("12 + 12 = ?", UNDETERMINED),
    ],
)
def test_languages_are_distinguished(text: str, code: str) -> None:
    assert detect_languages([text]) == [code]


def test_only_the_beginning_is_read() -> None:
    english = "This is a long text about the weather in the mountains. " * 6
    assert detect_languages([english + "Und nun auf Deutsch weiter. " * 100, english]) == ["en", "en"]


def test_the_column_comes_first_and_the_prompt_fills_its_gaps() -> None:
    row = {"prompt": ["Wie spät ist es", None, "und warum ist das so?"], "response_a": "x", "response_b": "y"}
    battles = Battles.from_rows([row | {"language": "Latin"}, row])
    assert group_values(battles, "language") == ["Latin", "de"]
    assert group_values(battles[:1], "language") == ["Latin"]
    assert group_values(battles[:0], "language") == []
