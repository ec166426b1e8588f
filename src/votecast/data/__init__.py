"""Read files and frames as battles, look at them, and write what comes of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from votecast.data.battles import Battles as Battles
    from votecast.data.frames import as_battles as as_battles
    from votecast.data.reader import VoteReader as VoteReader
    from votecast.data.reader import iter_votes as iter_votes
    from votecast.data.reader import read_votes as read_votes
    from votecast.data.row_checks import ReadReport as ReadReport

_HOMES = {
    "Battles": "battles",
    "as_battles": "frames",
    "ReadReport": "row_checks",
    "VoteReader": "reader",
    "iter_votes": "reader",
    "read_votes": "reader",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
