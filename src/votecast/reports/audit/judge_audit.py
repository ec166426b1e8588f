"""The audit of a judge: one prediction for each order of the responses, and everything that follows from them.

Called by `votecast.audit_judge` and `votecast report --judge`.
"""

from __future__ import annotations

import logging
import platform
from dataclasses import replace
from pathlib import Path
from typing import Final

from votecast import __version__
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions
from votecast.metrics import evaluate_probabilities
from votecast.metrics.intervals import LEVEL
from votecast.metrics.reliability import reliability_curve
from votecast.reports.audit.agreement import Agreement
from votecast.reports.audit.audit_result import Audit, JudgeFacts, VoteFacts
from votecast.reports.audit.audit_rows import AuditRows, predict_audit_rows
from votecast.reports.audit.biases import ModelBiases, Position, Truncation
from votecast.reports.audit.findings import CORRECTION, FALSE_DISCOVERY_RATE, LEAST_PROMPTS, correct_findings
from votecast.reports.audit.null_predictions import measure_nulls, predict_nulls
from votecast.reports.audit.outcomes import Confusion, Ties, find_closest, find_mistakes
from votecast.reports.audit.slices import measure_slices
from votecast.reports.audit.style_bias import ResponseStyle, StyleBias
from votecast.types import CLASSES, Judge, swap_columns

logger = logging.getLogger(__name__)

DRAWS: Final = 200


def audit_judge(
    judge: Judge | Predictions | str | Path,
    votes: object,
    *,
    allow_leak: bool = False,
    out_of_fold: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> Audit:
    """Audit a judge on votes that it was not trained on.

    Args:
        judge: A judge of any family, its folder or name; or predictions alone: `Predictions`, or the path of a file of
            them. Predictions alone leave the swapped order, truncation and training prompts unknown.
        votes: Path of a file of votes, battles, a frame, or a list of dicts; every row needs a vote or a soft label.
        allow_leak: Continue although the votes share prompts with the training data of the judge.
        out_of_fold: Audit rows with prompts that the judge was trained on by its out-of-fold predictions.
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
    rows = predict_audit_rows(judge, votes, allow_leak=allow_leak, out_of_fold=out_of_fold, draws=draws, seed=seed)
    audit, tests = correct_findings(_measure_all(judge, rows, seed))
    logger.debug("audited %s rows with tests: %s", len(rows), tests)
    settings = {"draws": draws, "seed": seed, "level": LEVEL, "allow_leak": allow_leak, "tests": tests}
    settings |= {"out_of_fold": out_of_fold}
    settings |= {"correction": CORRECTION, "false_marks": FALSE_DISCOVERY_RATE, "least_prompts": LEAST_PROMPTS}
    return replace(audit, settings=settings)


def _measure_all(judge: Judge | Predictions, rows: AuditRows, seed: int) -> Audit:
    style = ResponseStyle.of(rows.battles) if rows.has_texts else None
    nulls = predict_nulls(rows, style, seed)
    w, clusters, draws = rows.sums.weights, rows.sums.clusters, len(rows.sums.drawn)
    swapped = None if rows.reverse is None else swap_columns(rows.reverse)
    measured = evaluate_probabilities(
        rows.targets,
        rows.p,
        groups=clusters,
        weights=w,
        swapped=swapped,
        binary=rows.binary,
        draws=draws,
        seed=seed,
    )
    known = JudgeFacts.of(judge)
    return Audit(
        judge=known,
        votes=VoteFacts.of(rows),
        headline=measured.metrics,
        baselines=measure_nulls(rows, nulls, seed),
        people=Agreement.of(rows, seed),
        excess=rows.sums.test_mean(rows.excess, noise=rows.excess_noise),
        reliability={
            event: reliability_curve(rows.targets, rows.p, w, groups=clusters, event=event, draws=draws, seed=seed)
            for event in ("top", *CLASSES[: 2 if rows.binary else 3])
        },
        confusion=Confusion.of(rows),
        ties=Ties.of(rows),
        slices=measure_slices(rows, style, nulls["prior"], seed),
        position=Position.of(rows),
        style=None if style is None else StyleBias.of(rows, style),
        models=ModelBiases.of(rows, known.bases),
        truncation=Truncation.of(rows),
        mistakes=find_mistakes(rows),
        closest=find_closest(rows),
        notes=(*rows.notes, *measured.notes),
        settings={},
        versions={"votecast": __version__, "python": platform.python_version()} | dict(measured.versions),
    )
