"""What an audit returns, and its JSON: one field for each section of the page.

Built by `votecast.reports.audit.audit_judge`, laid out by `votecast.reports.audit_page`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from votecast.calibration.description import describe
from votecast.judges.composite import CompositeModel
from votecast.judges.evaluate import Predictions
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Figure
from votecast.metrics.intervals import as_json
from votecast.metrics.reliability import ReliabilityCurve
from votecast.reports.audit.agreement import Agreement
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.biases import ModelBiases, Position, Truncation
from votecast.reports.audit.findings import Finding
from votecast.reports.audit.null_predictions import NullBaseline
from votecast.reports.audit.outcomes import Confusion, ExampleRow, Ties
from votecast.reports.audit.slices import AuditSlice
from votecast.reports.audit.style_bias import StyleBias
from votecast.types import CLASSES, Judge


@dataclass(frozen=True)
class JudgeFacts:
    """What is known of a judge.

    Args:
        name: Its name; None where predictions do not name one.
        hash: Hash of all its predictions depend on; empty where there is none.
        family: Family, or the name of its class.
        members: How many models it averages.
        calibration: How its probabilities were calibrated.
        rows: Votes it was trained on; None where unknown.
        prompts: Clusters of prompts among them.
        labels: Share of each outcome among them.
        sources: Rows of each source among them.
        folds: How it was trained over folds.
        bases: Names of the weights that it is based on and its folder does not hold.
        inside: The judges that it is made of.
        reached: Out-of-fold log loss it was saved with.
        limits: Known limits from its model card.
    """

    name: str | None
    hash: str
    family: str | None = None
    members: int | None = None
    calibration: str | None = None
    rows: int | None = None
    prompts: int | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    folds: str | None = None
    bases: tuple[str, ...] = ()
    inside: tuple[JudgeFacts, ...] = ()
    reached: float | None = None
    limits: tuple[str, ...] = ()

    @classmethod
    def of(cls, judge: Judge | Predictions) -> JudgeFacts:
        """Describe a judge, from its folder where it has one.

        Example:
            >>> JudgeFacts.of(Predictions(["1"], [[0.5, 0.3, 0.2]], name="mine")).name
            'mine'
        """
        if not isinstance(judge, TrainedJudge):
            family = None if isinstance(judge, Predictions) else type(judge).__name__
            return cls(judge.name, judge.hash or "", family)
        members, facts = judge.fitted.members, judge.fitted.facts
        reached = judge.figures.get("metrics", {}).get("log_loss", {})
        folds = facts.get("folds") or {}
        composites = [member for member in members if isinstance(member, CompositeModel)]
        inside = tuple(cls.of(each) for member in composites for each in member.judges)
        bases = [str(member.base["name"]) for member in members if member.base and member.base.get("name")]
        return cls(
            name=judge.name,
            hash=judge.hash,
            family=judge.recipe.family,
            members=len(members),
            calibration=describe(judge.fitted.calibrator.state()[0]),
            rows=facts.get("rows"),
            prompts=facts.get("prompt_clusters"),
            labels=facts.get("labels") or {},
            sources=facts.get("sources") or {},
            folds=f"{folds.get('method', 'grouped')}, {folds['n']}" if folds.get("n") else None,
            bases=tuple(dict.fromkeys([*bases, *(base for each in inside for base in each.bases)])),
            inside=inside,
            reached=reached.get("value") if isinstance(reached, Mapping) else None,
            limits=tuple(str(limit) for limit in judge.notes.get("limits", [])),
        )


@dataclass(frozen=True)
class VoteFacts:
    """The votes that a judge is audited on.

    Args:
        rows: How many.
        prompts: Clusters of near-duplicate prompts among them.
        shares: Share of each outcome.
        soft: Rows whose label is a share of votes or a prediction, not a single vote.
        binary: Whether no tie was voted; ties are then left out of all predictions too.
        sources: Rows of each source.
        leaks: Rows with prompts of the judge's training data; None where unknown.
    """

    rows: int
    prompts: int
    shares: Mapping[str, float]
    soft: int
    binary: bool
    sources: Mapping[str, int]
    leaks: int | None

    @classmethod
    def of(cls, rows: AuditRows) -> VoteFacts:
        """Describe the votes."""
        w, t = rows.sums.weights, rows.targets
        counted = rows.battles.column("source").value_counts().to_pylist()
        sources = {entry["values"]: entry["counts"] for entry in counted if entry["values"] is not None}
        return cls(
            rows=len(rows),
            prompts=int(rows.sums.clusters.max()) + 1,
            shares=dict(zip(CLASSES, (w @ t / w.sum()).tolist(), strict=True)),
            soft=int((t.max(axis=1) < 1).sum()),
            binary=rows.binary,
            sources=dict(sorted(sources.items())),
            leaks=rows.leaks,
        )


@dataclass(frozen=True)
class Audit:
    """The audit of a judge on votes.

    Intervals hold 95 % and are clustered by prompt: figures by a bootstrap over prompts, tested figures and
    coefficients by a sandwich estimator with Student's t. All tests are corrected together (`settings`).

    Args:
        judge: What the judge is and was trained on.
        votes: What it is audited on.
        headline: Name to figure, as `votecast.metrics.Evaluation.metrics`.
        baselines: Predictions that ignore the texts, on the same rows.
        people: Agreement of two people on the same pair; None where no pair has several votes.
        excess: Log loss minus the entropy of the predictions: above 0 overconfident, below 0 underconfident.
        reliability: Curves for "top", "a", "b" and, where ties were voted, "tie".
        confusion: Votes against top choices.
        ties: Predicted against voted ties; None for binary votes.
        slices: Slices of the rows, kind by kind.
        position: What changes with the order of the responses.
        style: What the judge over- and underrates in the style of responses; None without texts.
        models: Models that it over- and underrates; None without names.
        truncation: What was truncated; None where nothing is, or it is unknown.
        mistakes: The most confident wrong predictions.
        closest: The least confident predictions.
        notes: What a reader must know.
        settings: Draws, seed, level, correction and number of tests.
        versions: Versions of what computed the figures.

    Example:
        >>> from votecast.reports.audit import audit_judge
        >>> row = {"prompt": "Why?", "response_a": "Because.", "response_b": "No.", "winner": "a"}
        >>> audit = audit_judge(Predictions(["0"], [[0.6, 0.3, 0.1]]), [row])
        >>> round(audit.to_dict()["headline"]["log_loss"]["value"], 3)
        0.405
    """

    judge: JudgeFacts
    votes: VoteFacts
    headline: Mapping[str, Figure]
    baselines: tuple[NullBaseline, ...]
    people: Agreement | None
    excess: Finding
    reliability: Mapping[str, ReliabilityCurve]
    confusion: Confusion
    ties: Ties | None
    slices: tuple[AuditSlice, ...]
    position: Position | None
    style: StyleBias | None
    models: ModelBiases | None
    truncation: Truncation | None
    mistakes: tuple[ExampleRow, ...]
    closest: tuple[ExampleRow, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the whole audit for JSON, one key for each argument; NaN becomes None."""
        return {each: as_json(value) for each, value in vars(self).items()}
