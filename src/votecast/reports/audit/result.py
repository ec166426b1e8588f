"""What an audit gives back, and its JSON: one field for each section of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from votecast.metrics.reliability import ReliabilityCurve
from votecast.reports.audit.about import About
from votecast.reports.audit.baselines import Baseline
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.examples import Shown
from votecast.reports.audit.jsonable import jsonable
from votecast.reports.audit.models import Models
from votecast.reports.audit.outcomes import Confusion, Ties
from votecast.reports.audit.people import People
from votecast.reports.audit.position import Position
from votecast.reports.audit.slices import Part
from votecast.reports.audit.style import Style
from votecast.reports.audit.truncation import Truncation


@dataclass(frozen=True)
class VoteFacts:
    """The votes that a judge is audited on.

    Args:
        rows: How many.
        prompts: Clusters of near-duplicate prompts among them.
        shares: Share of each outcome.
        soft: Rows whose label is a share of votes or a forecast, not a single vote.
        binary: Whether no tie was voted; ties are then left out of all forecasts too.
        sources: Rows of each source.
        leaks: Rows with prompts of the judge's training data; None where that cannot be told.
    """

    rows: int
    prompts: int
    shares: Mapping[str, float]
    soft: int
    binary: bool
    sources: Mapping[str, int]
    leaks: int | None


@dataclass(frozen=True)
class Audit:
    """Everything that is known about a judge once votes are known that it has not seen.

    Intervals hold 95 % and are clustered by prompt: figures by a bootstrap over prompts, tested figures and
    coefficients by a sandwich estimator with Student's t. All tests are corrected together (`settings`).

    Args:
        judge: What the judge is and was trained on.
        votes: What it is audited on.
        headline: Name to figure, as `votecast.metrics.Evaluation.metrics`.
        baselines: What forecasts without reading score on the same rows.
        people: What two people on the same pair agree on; None where no pair has several votes.
        excess: Log loss minus what the forecasts themselves expect: above 0 the judge is overconfident, below 0
            underconfident.
        reliability: Curves for "top", "a", "b" and, where ties were voted, "tie".
        confusion: Votes against decisions.
        ties: Forecast against voted ties; None for binary votes.
        slices: Parts of the rows, kind by kind.
        position: What changes when the answers are shown in the other order.
        style: What the judge over- and underrates in the form of answers; None without texts.
        models: Models that it over- and underrates; None without names.
        truncation: What it did not get to read; None where it reads everything, or nobody knows.
        mistakes: The surest forecasts that were wrong.
        closest: The forecasts that were least sure.
        notes: What a reader must know.
        settings: Draws, seed, level, correction and number of tests.
        versions: Versions of what computed the figures.

    Example:
        >>> from votecast.reports.audit import audit_judge
        >>> from votecast.judges.evaluate import Predictions
        >>> row = {"prompt": "Why?", "response_a": "Because.", "response_b": "No.", "winner": "a"}
        >>> audit = audit_judge(Predictions(["0"], [[0.6, 0.3, 0.1]]), [row])
        >>> round(audit.to_dict()["headline"]["log_loss"]["value"], 3)
        0.405
    """

    judge: About
    votes: VoteFacts
    headline: Mapping[str, Any]
    baselines: tuple[Baseline, ...]
    people: People | None
    excess: Finding
    reliability: Mapping[str, ReliabilityCurve]
    confusion: Confusion
    ties: Ties | None
    slices: tuple[Part, ...]
    position: Position | None
    style: Style | None
    models: Models | None
    truncation: Truncation | None
    mistakes: tuple[Shown, ...]
    closest: tuple[Shown, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The whole audit as JSON-able values, one key for each argument; nothing in it is NaN."""
        values: dict[str, Any] = jsonable(self)
        return values
