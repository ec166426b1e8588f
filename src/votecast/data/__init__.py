"""Files in, battles out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from votecast.data.battles import Battles as Battles
    from votecast.data.frames import as_battles as as_battles
    from votecast.data.reading import VoteReader as VoteReader
    from votecast.data.reading import iter_votes as iter_votes
    from votecast.data.reading import read_votes as read_votes
    from votecast.data.report import ReadReport as ReadReport

_HOMES = {
    "Battles": "battles",
    "as_battles": "frames",
    "ReadReport": "report",
    "VoteReader": "reading",
    "iter_votes": "reading",
    "read_votes": "reading",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
