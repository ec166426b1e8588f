"""The audit: a judge is asked once for each order of the answers, and everything else follows from its forecasts."""

from __future__ import annotations

import logging
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from votecast import __version__
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions
from votecast.metrics import evaluate_probabilities
from votecast.metrics.intervals import LEVEL
from votecast.metrics.reliability import ReliabilityCurve, reliability_curve
from votecast.reports.audit.about import about
from votecast.reports.audit.baselines import baselines, null_forecasts
from votecast.reports.audit.correction import CORRECTION, FALSE, corrected
from votecast.reports.audit.examples import closest, mistakes
from votecast.reports.audit.form import form_of
from votecast.reports.audit.models import models
from votecast.reports.audit.outcomes import confusion, ties
from votecast.reports.audit.people import people
from votecast.reports.audit.position import position
from votecast.reports.audit.result import Audit, VoteFacts
from votecast.reports.audit.rows import Rows, rows_of
from votecast.reports.audit.slices import slices
from votecast.reports.audit.style import style
from votecast.reports.audit.sums import LEAST_PROMPTS
from votecast.reports.audit.truncation import truncation
from votecast.types import CLASSES, swap_columns

logger = logging.getLogger(__name__)

DRAWS: Final = 200


def audit_judge(judge: Any, votes: Any, *, allow_leak: bool = False, draws: int = DRAWS, seed: int = 0) -> Audit:
    """Audit a judge on votes that it has not seen.

    Args:
        judge: A judge of any family, its folder or name; or forecasts alone: `Predictions`, or the path of a file of
            them. Of forecasts alone nothing is known of the other order, of cuts and of training prompts.
        votes: Path of a file of votes, battles, a frame, or a list of dicts; every row needs a vote or a soft label.
        allow_leak: Go on although the votes share prompts with the training data of the judge.
        draws: How many files the bootstrap draws; 0 for no intervals but those of tested figures.
        seed: Seed of everything drawn.

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
    judge = _load(judge) if isinstance(judge, str | Path) else judge
    if not isinstance(judge, Predictions) and not hasattr(judge, "predict_proba"):
        raise DataError(
            f"the judge is {type(judge).__name__}; allowed are a judge, its folder or name, a file of predictions, or "
            "Predictions"
        )
    rows = rows_of(judge, votes, allow_leak=allow_leak, draws=draws, seed=seed)
    audit, tests = corrected(_audit(judge, rows, seed))
    logger.info("audited %s rows with tests: %s", len(rows), tests)
    settings = {"draws": draws, "seed": seed, "level": LEVEL, "allow_leak": allow_leak, "tests": tests}
    settings |= {"correction": CORRECTION, "false_marks": FALSE, "least_prompts": LEAST_PROMPTS}
    return replace(audit, settings=settings)


def _audit(judge: Any, rows: Rows, seed: int) -> Audit:
    form = form_of(rows.battles) if rows.has_texts else None
    nulls, draws = null_forecasts(rows, form, seed), len(rows.sums.drawn)
    measured = evaluate_probabilities(
        rows.targets, rows.p, groups=rows.sums.clusters, weights=rows.sums.weights, draws=draws, seed=seed,
        swapped=None if rows.reverse is None else swap_columns(rows.reverse), binary=rows.binary,
    )  # fmt: skip
    known = about(judge)
    return Audit(
        judge=known,
        votes=_votes(rows),
        headline=measured.metrics,
        baselines=baselines(rows, nulls, seed),
        people=people(rows, seed),
        excess=rows.sums.tested(rows.excess, noise=rows.excess_noise),
        reliability=_reliability(rows, seed),
        confusion=confusion(rows),
        ties=ties(rows),
        slices=slices(rows, form, nulls["prior"], seed),
        position=position(rows),
        style=None if form is None else style(rows, form),
        models=models(rows, known.bases),
        truncation=truncation(rows),
        mistakes=mistakes(rows),
        closest=closest(rows),
        notes=(*rows.notes, *measured.notes),
        settings={},
        versions={"votecast": __version__, "python": platform.python_version()} | dict(measured.versions),
    )


def _votes(rows: Rows) -> VoteFacts:
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


def _reliability(rows: Rows, seed: int) -> dict[str, ReliabilityCurve]:
    events = ("top", *CLASSES[: 2 if rows.binary else 3])
    w, clusters, draws = rows.sums.weights, rows.sums.clusters, len(rows.sums.drawn)
    return {
        event: reliability_curve(rows.targets, rows.p, w, groups=clusters, event=event, draws=draws, seed=seed)
        for event in events
    }


def _load(place: str | Path) -> Any:
    from votecast.judges.load import load_judge

    return Predictions.read(place) if Path(place).is_file() else load_judge(place)
