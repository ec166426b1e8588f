"""The settings of a leaderboard, and the names that they allow.

Called by `votecast rank`, `rank_models` and the service.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field

from votecast.config import Settings
from votecast.errors import ConfigError

FITTED: Final = ("bradley_terry", "davidson", "rao_kupper")
"""Fits by maximum likelihood, with a covariance of their own."""

EVALICA: Final = ("elo", "newman", "eigen", "pagerank", "counting", "average_win_rate")
"""Fits of evalica; their intervals come from the bootstrap alone."""

METHODS: Final = (*FITTED, *EVALICA)
INTERVALS: Final = ("sandwich", "bootstrap")
DISCONNECTED: Final = ("refuse", "largest")


class BoardSettings(Settings):
    """How a leaderboard is made.

    Args:
        method: The fit, a name in `votecast.leaderboard.METHODS`.
        style_control: Whether differences in length, headings, lists, bold words, code and links take part, so that the
            scores compare responses of equal style.
        both_bad: What votes against both responses are: a "tie"; left out ("drop"); or an outcome of its "own", so that
            the scores are of votes that chose or tied, and the share of such votes is shown beside them.
        intervals: "sandwich" or "bootstrap", both over clusters of prompts.
        draws: How many files the bootstrap draws.
        min_battles: Models with fewer battles in the file are left out, and their votes with them, so that the
            remaining models may have fewer left.
        disconnected: "refuse" where models were never compared with the others, or rank the "largest" group.
        anchor: The model whose score is 1000; the mean of all where None.
        clusters: Whether "near" or only "identical" prompts are one unit; "auto" goes by the number of rows.
        seed: Seed of everything random.

    Example:
        >>> BoardSettings.parse({"both_bad": "own"}).method
        'bradley_terry'
    """

    method: str = "bradley_terry"
    style_control: bool = False
    both_bad: Literal["tie", "drop", "own"] = "tie"
    intervals: Literal["sandwich", "bootstrap"] = "sandwich"
    draws: int = Field(default=200, ge=20)
    min_battles: int = Field(default=0, ge=0)
    disconnected: Literal["refuse", "largest"] = "refuse"
    anchor: str | None = None
    clusters: Literal["auto", "near", "identical"] = "auto"
    seed: int = Field(default=0, ge=0)


def check_choice(value: str, allowed: Iterable[str], name: str) -> str:
    """Return the value, or raise ConfigError if it is not allowed.

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
