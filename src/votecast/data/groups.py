"""Group rows by the language of their prompt, by source or by number of turns.

Evaluation, reports, calibration by group and leaderboards use the same groups.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from votecast.data.battles import Battles
from votecast.data.text_columns import rows_of
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

GROUPINGS: Final = ("language", "source", "turns")
"""The names rows can be grouped by."""

UNKNOWN: Final = "unknown"
"""The group of rows without a source."""
UNDETERMINED: Final = "und"
"""ISO 639 code of text whose language cannot be detected."""

_MANY_TURNS: Final = 5
_CHARACTERS: Final = 300
# Below this probability short prompts are named at random.
_CONFIDENCE: Final = 0.3
_CHINESE: Final = frozenset({"yue", "wuu"})  # in writing they count as zh, their macrolanguage


def group_values(battles: Battles, by: str) -> list[str]:
    """Return the group of every row.

    Args:
        battles: The rows.
        by: language (the column, else detected from the prompt), source ("unknown" where a row has none), or turns of
            the prompt ("5+" from five up).

    Raises:
        ConfigError: If rows cannot be grouped by that.

    Example:
        >>> row = {"response_a": "Yes.", "response_b": "No.", "source": "mine"}
        >>> rows = Battles.from_rows([row | {"prompt": ["Is it?"]}, row | {"prompt": ["Is it?"] * 7}])
        >>> group_values(rows, "turns"), group_values(rows, "source")
        (['1', '5+'], ['mine', 'mine'])
    """
    if by == "language":
        given = battles.column("language").to_pylist()
        if None not in given:
            return given  # type: ignore[no-any-return]
        prompts = rows_of(battles.column("prompt"))
        starts = ["\n".join(turn for turn in turns if turn)[:_CHARACTERS] for turns in prompts]
        found = iter(detect_languages([start for start, name in zip(starts, given, strict=True) if name is None]))
        return [next(found) if name is None else name for name in given]
    if by == "source":
        return [name or UNKNOWN for name in battles.column("source").to_pylist()]
    if by == "turns":
        counts = pc.list_value_length(battles.column("prompt")).to_pylist()
        return [str(count) if (count or 0) < _MANY_TURNS else f"{_MANY_TURNS}+" for count in counts]
    raise ConfigError(f"rows cannot be grouped by {by!r}; allowed are {', '.join(GROUPINGS)}")


def detect_languages(texts: Sequence[str]) -> list[str]:
    """Detect the language of each text from its first 300 characters; equal beginnings are classified once.

    Returns:
        ISO 639 codes, "und" where undetermined, by py3langid (after Lui and Baldwin, 2012, "langid.py").
    """
    starts = [text[:_CHARACTERS] for text in texts]
    codes = {start: _identifier().classify(start)[0] for start in dict.fromkeys(starts)}
    return ["zh" if codes[start] in _CHINESE else codes[start] for start in starts]


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENCE)
