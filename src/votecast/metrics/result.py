"""What an evaluation gives back, and its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """One number with its 95 % interval; NaN where it is not defined.

    Args:
        value: The number.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float | None]:
        """The figure for JSON: null where it is not defined.

        Example:
            >>> Figure(0.5, float("nan"), 0.75).to_dict()
            {'value': 0.5, 'low': None, 'high': 0.75}
        """
        return {name: number if math.isfinite(number) else None for name, number in self._asdict().items()}


Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Slice:
    """The figures of some of the rows.

    Args:
        rows: How many rows.
        clusters: From how many prompts.
        metrics: Name to figure.
    """

    rows: int
    clusters: int
    metrics: Figures

    def to_dict(self) -> dict[str, Any]:
        """The slice for JSON."""
        return {"rows": self.rows, "clusters": self.clusters, "metrics": figures_to_dict(self.metrics)}


@dataclass(frozen=True)
class Against:
    """Another judge on the same rows.

    Args:
        judge: Its name and hash.
        metrics: Its figures.
        differences: Each figure of the judge that was measured minus that of this one, with the interval of draws that
            were made in pairs.
        notes: What a reader must know of it.
    """

    judge: Mapping[str, str | None]
    metrics: Figures
    differences: Figures
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The comparison for JSON."""
        return {
            "judge": dict(self.judge),
            "metrics": figures_to_dict(self.metrics),
            "differences": figures_to_dict(self.differences),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Evaluation:
    """All figures of one judge on one file.

    Args:
        metrics: Name to figure, in the order of `votecast.metrics.METRICS`.
        slices: Kind of slice ("length", "turns", "language", "source") to its values to their figures.
        baselines: Null baseline ("uniform", "prior", "longer") to its figures; `log_loss_gain` is how much less the
            judge loses on the same rows.
        rows: How many rows were measured.
        clusters: From how many prompts.
        notes: What a reader must know: ties handed out, figures that are not defined, leaks that were allowed.
        judge: Name and hash of the judge.
        settings: Draws, seed, bins and level of the intervals.
        versions: Versions of what computed the figures.
        against: The judge it was compared with, if there is one.
    """

    metrics: Figures
    slices: Mapping[str, Mapping[str, Slice]] = field(default_factory=dict)
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    rows: int = 0
    clusters: int = 0
    notes: tuple[str, ...] = ()
    judge: Mapping[str, str | None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    against: Against | None = None

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation as JSON-able values; nothing in it is NaN.

        Example:
            >>> Evaluation({"log_loss": Figure(1.0, 0.9, 1.1)}).to_dict()["metrics"]
            {'log_loss': {'value': 1.0, 'low': 0.9, 'high': 1.1}}
        """
        cuts = {kind: {value: part.to_dict() for value, part in cut.items()} for kind, cut in self.slices.items()}
        return {
            "metrics": figures_to_dict(self.metrics),
            "slices": cuts,
            "baselines": {name: figures_to_dict(figures) for name, figures in self.baselines.items()},
            "rows": self.rows,
            "clusters": self.clusters,
            "notes": list(self.notes),
            "judge": dict(self.judge),
            "settings": dict(self.settings),
            "versions": dict(self.versions),
        } | ({} if self.against is None else {"against": self.against.to_dict()})


def figures_to_dict(figures: Figures) -> dict[str, dict[str, float | None]]:
    """Figures by name for JSON."""
    return {name: figure.to_dict() for name, figure in figures.items()}
