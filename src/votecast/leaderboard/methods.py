"""The fits by name, and the words of the settings they take."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from votecast.errors import ConfigError

FITTED: Final = ("bradley_terry", "davidson", "rao_kupper")
"""Fits by maximum likelihood, with a covariance of their own."""

ELSEWHERE: Final = ("elo", "newman", "eigen", "pagerank", "counting", "average_win_rate")
"""Fits that evalica has; their intervals come from the bootstrap alone."""

METHODS: Final = (*FITTED, *ELSEWHERE)
INTERVALS: Final = ("sandwich", "bootstrap")
DISCONNECTED: Final = ("refuse", "largest")


def check_choice(value: str, allowed: Iterable[str], name: str) -> str:
    """The value, if it is one of the allowed ones.

    Raises:
        ConfigError: If it is none of them.

    Example:
        >>> check_choice("elo", METHODS, "method")
        'elo'
    """
    known = tuple(allowed)
    if value not in known:
        near = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no {name} {value!r}; allowed are {', '.join(known)}{hint}")
    return value
