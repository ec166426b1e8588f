"""Many tests on one page: Benjamini and Hochberg's correction over all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from votecast.metrics import Figure
from votecast.metrics.intervals import LEVEL
from votecast.types import Floats

CORRECTION: Final = "Benjamini-Hochberg"
FALSE: Final = round(1 - LEVEL, 6)
"""Of the marked figures so many may be chance, on average."""

FAULTS: Final = "faults"
DIFFERENCES: Final = "differences"

Part = TypeVar("Part")


@dataclass(frozen=True)
class Finding:
    """A figure that would be 0 if nothing were the matter.

    Args:
        value: The figure.
        low: Lower end of its 95 % interval, by Student's t over clusters; NaN where there are too few.
        high: Upper end.
        p: Two-sided p-value of the figure being 0, before any correction; NaN where it was not tested.
        q: The same, corrected for all tests of its family.
        family: "faults", which a good judge has none of, or "differences", which it may have.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    q: float = float("nan")
    family: str = FAULTS

    @property
    def figure(self) -> Figure:
        """The figure with its interval alone."""
        return Figure(self.value, self.low, self.high)

    @property
    def marked(self) -> bool:
        """Whether the figure differs from 0 after the correction."""
        return self.q <= FALSE

    @property
    def above(self) -> bool:
        """Whether it is above 0 after the correction."""
        return self.marked and self.value > 0

    @property
    def below(self) -> bool:
        """Whether it is below 0 after the correction."""
        return self.marked and self.value < 0


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Corrected p-values: marking those at or below 0.05 keeps the expected share of false marks at 0.05.

    Benjamini and Hochberg (1995), step-up procedure, as adjusted p-values. NaN stays NaN and does not count as a test.

    Args:
        p: p-values, shape (n,).

    Example:
        >>> benjamini_hochberg([0.01, 0.02, 0.9, float("nan")]).tolist()
        [0.03, 0.03, 0.9, nan]
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    raised = given[order] * len(order) / np.arange(1, len(order) + 1)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return out


def corrected(part: Part) -> tuple[Part, dict[str, int]]:
    """Correct every test inside a result, however deep, for all others of its family.

    Args:
        part: Dataclasses, mappings, lists and tuples of them.

    Returns:
        The same with `q` filled in, and how many tests there were of each family.
    """
    found = list(findings(part))
    p, families = np.array([test.p for test in found]), np.array([test.family for test in found])
    q, counts = np.full(len(found), np.nan), {}
    for name in (FAULTS, DIFFERENCES):
        q[families == name] = benjamini_hochberg(p[families == name])
        counts[name] = int((~np.isnan(q[families == name])).sum())
    return _filled(part, iter(q.tolist())), counts


def _inside(value: Any) -> Iterator[Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return (getattr(value, field.name) for field in fields(value))
    if isinstance(value, Mapping):
        return iter(value.values())
    return iter(value) if isinstance(value, list | tuple) and not isinstance(value, Figure) else iter(())


def findings(value: Any) -> Iterator[Finding]:
    """Every test inside a result, however deep, in order."""
    if isinstance(value, Finding):
        yield value
        return
    for entry in _inside(value):
        yield from findings(entry)


def _filled(value: Any, q: Iterator[float]) -> Any:
    if isinstance(value, Finding):
        return replace(value, q=next(q))
    if isinstance(value, Figure):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _filled(getattr(value, field.name), q) for field in fields(value)})
    if isinstance(value, Mapping):
        return {name: _filled(entry, q) for name, entry in value.items()}
    return type(value)(_filled(entry, q) for entry in value) if isinstance(value, list | tuple) else value
