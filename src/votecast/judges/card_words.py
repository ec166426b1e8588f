"""Names and values in model cards: the same whatever the order in which they were kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def cell(value: Any) -> str:
    """A value in a table, on one line and within its cell."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def in_order(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """Names in an order of their own, those that nobody foresaw behind: settings files are sorted by name.

    Example:
        >>> in_order(["b", "a", "z"], ["z", "y"])
        ['z', 'a', 'b']
    """
    known, kept = set(names), list(first)
    return [name for name in kept if name in known] + sorted(known - set(kept))


def base_named(base: Mapping[str, Any]) -> str:
    """The weights that a judge stands on, in a line."""
    names = in_order(base, ("name", "revision", "sha256", "licence"))
    return "; ".join(f"{name} {cell(base[name])}" for name in names if base[name] is not None)
