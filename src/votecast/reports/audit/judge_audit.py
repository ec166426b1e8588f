"""The audit of a judge: one prediction for each order of the responses, and everything that follows from them.

Called by `votecast.audit_judge` and `votecast report --judge`.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from votecast import __version__
from votecast.calibration.description import describe
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions
from votecast.judges.trained import TrainedJudge
from votecast.metrics import evaluate_probabilities
from votecast.metrics.intervals import LEVEL
from votecast.metrics.reliability import reliability_curve
from votecast.reports.audit.agreement import measure_agreement
from votecast.reports.audit.audit_result import Audit, JudgeFacts, VoteFacts
from votecast.reports.audit.audit_rows import AuditRows, predict_audit_rows
from votecast.reports.audit.biases import measure_model_biases, measure_position_bias, measure_truncation
from votecast.reports.audit.findings import CORRECTION, FALSE_DISCOVERY_RATE, LEAST_PROMPTS, correct_findings
from votecast.reports.audit.null_predictions import measure_nulls, predict_nulls
from votecast.reports.audit.outcomes import compare_ties, count_confusion, find_closest, find_mistakes
from votecast.reports.audit.slices import measure_slices
from votecast.reports.audit.style_bias import measure_style, measure_style_bias
from votecast.types import CLASSES, swap_columns

logger = logging.getLogger(__name__)

DRAWS: Final = 200


def audit_judge(judge: Any, votes: Any, *, allow_leak: bool = False, draws: int = DRAWS, seed: int = 0) -> Audit:
    """Audit a judge on votes that it was not trained on.

    Args:
        judge: A judge of any family, its folder or name; or predictions alone: `Predictions`, or the path of a file of
            them. Predictions alone leave the swapped order, truncation and training prompts unknown.
        votes: Path of a file of votes, battles, a frame, or a list of dicts; every row needs a vote or a soft label.
        allow_leak: Continue although the votes share prompts with the training data of the judge.
        draws: Bootstrap samples; 0 for no intervals but those of tested figures.
        seed: Seed of everything random.

    Returns:
        The audit; the same for the same input.

    Raises:
        DataError: If there are no votes, a row has none, or predictions do not belong to the votes.
        LeakError: If the votes share prompts with the training data of the judge; the message names them.
        ArtifactError: If there is no such judge.

    Example:
        >>> rows = [
        ...     {"prompt": f"Question {i}?", "response_a": "Yes.", "response_b": "No, because.", "winner": "ab"[i % 2]}
        ...     for i in range(4)
        ... ]
        >>> audit = audit_judge(Predictions(["0", "1", "2", "3"], [[1 / 3] * 3] * 4), rows, draws=20)
        >>> audit.votes.binary, [baseline.name for baseline in audit.baselines]
        (True, ['uniform', 'prior', 'longer', 'style'])
    """
    if isinstance(judge, str | Path):
        from votecast.judges.load import load_judge

        judge = Predictions.read(judge) if Path(judge).is_file() else load_judge(judge)
    if not isinstance(judge, Predictions) and not hasattr(judge, "predict_proba"):
        raise DataError(
            f"the judge is {type(judge).__name__}; allowed are a judge, its folder or name, a file of predictions, or "
            "Predictions"
        )
    rows = predict_audit_rows(judge, votes, allow_leak=allow_leak, draws=draws, seed=seed)
    audit, tests = correct_findings(_measure_all(judge, rows, seed))
    logger.info("audited %s rows with tests: %s", len(rows), tests)
    settings = {"draws": draws, "seed": seed, "level": LEVEL, "allow_leak": allow_leak, "tests": tests}
    settings |= {"correction": CORRECTION, "false_marks": FALSE_DISCOVERY_RATE, "least_prompts": LEAST_PROMPTS}
    return replace(audit, settings=settings)


def _measure_all(judge: Any, rows: AuditRows, seed: int) -> Audit:
    style = measure_style(rows.battles) if rows.has_texts else None
    nulls = predict_nulls(rows, style, seed)
    w, clusters, draws = rows.sums.weights, rows.sums.clusters, len(rows.sums.drawn)
    measured = evaluate_probabilities(
        rows.targets, rows.p, groups=clusters, weights=w, draws=draws, seed=seed,
        swapped=None if rows.reverse is None else swap_columns(rows.reverse), binary=rows.binary,
    )  # fmt: skip
    known = describe_judge(judge)
    return Audit(
        judge=known,
        votes=_describe_votes(rows),
        headline=measured.metrics,
        baselines=measure_nulls(rows, nulls, seed),
        people=measure_agreement(rows, seed),
        excess=rows.sums.test_mean(rows.excess, noise=rows.excess_noise),
        reliability={
            event: reliability_curve(rows.targets, rows.p, w, groups=clusters, event=event, draws=draws, seed=seed)
            for event in ("top", *CLASSES[: 2 if rows.binary else 3])
        },
        confusion=count_confusion(rows),
        ties=compare_ties(rows),
        slices=measure_slices(rows, style, nulls["prior"], seed),
        position=measure_position_bias(rows),
        style=None if style is None else measure_style_bias(rows, style),
        models=measure_model_biases(rows, known.bases),
        truncation=measure_truncation(rows),
        mistakes=find_mistakes(rows),
        closest=find_closest(rows),
        notes=(*rows.notes, *measured.notes),
        settings={},
        versions={"votecast": __version__, "python": platform.python_version()} | dict(measured.versions),
    )


def _describe_votes(rows: AuditRows) -> VoteFacts:
    w, t = rows.sums.weights, rows.targets
    counted = rows.battles.column("source").value_counts().to_pylist()
    sources = {entry["values"]: entry["counts"] for entry in counted if entry["values"] is not None}
    return VoteFacts(
        rows=len(rows),
        prompts=int(rows.sums.clusters.max()) + 1,
        shares=dict(zip(CLASSES, (w @ t / w.sum()).tolist(), strict=True)),
        soft=int((t.max(axis=1) < 1).sum()),
        binary=rows.binary,
        sources=dict(sorted(sources.items())),
        leaks=rows.leaks,
    )


def describe_judge(judge: Any) -> JudgeFacts:
    """Describe a judge, from its folder where it has one.

    Args:
        judge: A judge of any kind, or `Predictions`.

    Example:
        >>> describe_judge(Predictions(["1"], [[0.5, 0.3, 0.2]], name="mine")).name
        'mine'
    """
    if not isinstance(judge, TrainedJudge):
        name, digest = getattr(judge, "name", None), getattr(judge, "hash", None)
        family = None if isinstance(judge, Predictions) else type(judge).__name__
        return JudgeFacts(None if name is None else str(name), str(digest or ""), family)
    members, facts = judge.fitted.members, judge.fitted.facts
    reached = judge.figures.get("metrics", {}).get("log_loss", {})
    folds = facts.get("folds") or {}
    return JudgeFacts(
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
        bases=tuple(dict.fromkeys(_base_names(judge))),
        inside=tuple(map(describe_judge, _judges_inside(judge))),
        reached=reached.get("value") if isinstance(reached, Mapping) else None,
        limits=tuple(str(limit) for limit in judge.notes.get("limits", [])),
    )


def _judges_inside(judge: TrainedJudge) -> list[TrainedJudge]:
    members = judge.fitted.members
    return [each for member in members for each in getattr(member, "judges", ()) if isinstance(each, TrainedJudge)]


def _base_names(judge: TrainedJudge) -> list[str]:
    """Return the names of all weights that the members, and the judges inside, are based on."""
    bases = [member.base for member in judge.fitted.members]
    names = [str(base["name"]) for base in bases if base is not None and base.get("name")]
    return names + [name for inside in _judges_inside(judge) for name in _base_names(inside)]
