"""The groups that rows fall into: by language, by source, by number of turns; the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pyarrow.compute as pc

from votecast.data.battles import Battles
from votecast.data.languages import prompt_languages
from votecast.errors import ConfigError

UNKNOWN: Final = "unknown"
"""The group of rows that do not say."""

_MANY_TURNS: Final = 5


def group_values(battles: Battles, by: str) -> list[str]:
    """The group of every row.

    Args:
        battles: The rows, n of them.
        by: A name in `GROUPINGS`: language (what the column says, else what the prompt looks like), source, or turns
            of the prompt ("5+" from five up).

    Returns:
        n names; "unknown" where a row has no source.

    Raises:
        ConfigError: If rows cannot be grouped by that.

    Example:
        >>> row = {"response_a": "Yes.", "response_b": "No.", "source": "mine"}
        >>> rows = Battles.from_rows([row | {"prompt": ["Is it?"]}, row | {"prompt": ["Is it?"] * 7}])
        >>> group_values(rows, "turns"), group_values(rows, "source")
        (['1', '5+'], ['mine', 'mine'])
    """
    if by not in GROUPINGS:
        raise ConfigError(f"rows cannot be grouped by {by!r}; allowed are {', '.join(GROUPINGS)}")
    return _VALUES[by](battles)


def _turns(battles: Battles) -> list[str]:
    counts = pc.list_value_length(battles.column("prompt")).to_pylist()
    return [str(count) if (count or 0) < _MANY_TURNS else f"{_MANY_TURNS}+" for count in counts]


def _sources(battles: Battles) -> list[str]:
    return [name or UNKNOWN for name in battles.column("source").to_pylist()]


_VALUES: Final[dict[str, Callable[[Battles], list[str]]]] = {
    "language": prompt_languages,
    "source": _sources,
    "turns": _turns,
}

GROUPINGS: Final = tuple(_VALUES)
"""What rows can be grouped by."""
