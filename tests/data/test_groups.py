"""The groups of rows: the same names for slices, audits and calibration."""

from __future__ import annotations

import pytest

from votecast.data.battles import Battles
from votecast.data.groups import GROUPINGS, group_values
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
