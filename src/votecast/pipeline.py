"""The main job: from a file of votes to a judge folder with honest figures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from votecast.artifacts import check_free
from votecast.calibration import crossfit_calibrate
from votecast.data.battles import SCHEMA, Battles
from votecast.data.cleaning import clean
from votecast.data.frames import as_battles
from votecast.data.reading import read_votes
from votecast.errors import DataError
from votecast.evaluation import evaluate
from votecast.judges.fitting import calibration_folds
from votecast.judges.judge import TrainedJudge
from votecast.judges.loading import load_judge
from votecast.judges.recipe import load_recipe
from votecast.metrics import Evaluation
from votecast.runs import Progress, silent
from votecast.splits import folds_from_table

logger = logging.getLogger(__name__)


def train(
    recipe: Any,
    votes: Any,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    folds_from: str | Path | None = None,
    overwrite: bool = False,
    reader: Mapping[str, Any] | None = None,
    data_sources: list[dict[str, str]] | None = None,
    progress: Progress = silent,
) -> TrainedJudge:
    """Train a judge: read, clean, fit over folds, calibrate, measure out of fold, save.

    Args:
        recipe: Name of a shipped recipe or family, YAML path, or settings.
        votes: Path of a file of votes, or battles, a frame or a list of dicts.
        out: Folder to save the judge in; None keeps it in memory.
        overrides: Settings by dotted key, such as {"folds.n": 3}.
        folds_from: A judge whose folds are used again, row by row.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        data_sources: Origin and licence of the votes, for the model card.
        progress: Told of every step.

    Returns:
        The judge; its out-of-fold figures are in `judge.figures`.

    Raises:
        ConfigError: If a setting is unknown or unfit; nothing has been read yet.
        ArtifactError: If `out` is in the way; nothing has been read yet.
        DataError: If the votes cannot be used.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> judge = train("baseline", battles, overrides={"folds.n": 2})
        >>> 0.5 < judge.figures["metrics"]["log_loss"]["value"] < 1.2
        True
    """
    settings = load_recipe(recipe, overrides)
    if out is not None:
        check_free(out, overwrite=overwrite, is_folder=True)
    progress("reading votes", 0, 1)
    column = settings.folds.column
    kept = [column] if column and column not in SCHEMA.names else []
    battles = _read(votes, dict(reader or {}), keep=kept)
    report = battles.report
    battles, cleaning = clean(battles, settings.cleaning)
    if cleaning.rows and not cleaning.kept:
        raise DataError(
            f"cleaning leaves none of the {cleaning.rows} rows: {cleaning.missing} are without a text, "
            f"{cleaning.identical} have identical answers, {cleaning.duplicates} are duplicates; set "
            "cleaning.duplicates to none, first or aggregate, or drop less"
        )
    folds = None
    if folds_from is not None:
        folds = folds_from_table(battles.ids, battles.content_hashes(), load_judge(folds_from).fitted.out_of_fold)
    judge = TrainedJudge(settings).fit(battles, folds=folds, progress=progress)
    progress("measuring", 0, 1)
    figures = out_of_fold_evaluation(judge, battles).to_dict()
    notes: dict[str, Any] = {"cleaning": cleaning.to_dict()}
    if report is not None:
        notes["reading"] = report.to_dict() | {"path": Path(report.path).name}
    if data_sources:
        notes["data_sources"] = data_sources
    judge.record(figures=figures, **notes)
    progress("measuring", 1, 1)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


def out_of_fold_evaluation(judge: TrainedJudge, battles: Battles, *, draws: int = 1000) -> Evaluation:
    """Figures on the out-of-fold rows, under a calibrator that never saw the row it is measured on.

    Args:
        judge: A fitted judge.
        battles: The battles it was fitted on, in the same order.
        draws: Bootstrap draws for the intervals.
    """
    held = judge.fitted.out_of_fold
    p = crossfit_calibrate(
        judge.recipe.calibration.method,
        held.raw,
        held.targets,
        held.weights,
        calibration_folds(held, judge.recipe.seed),
    )
    return evaluate(
        p, battles.take(held.rows), groups=held.clusters, draws=draws, seed=judge.recipe.seed, name=judge.name
    )


def _read(votes: Any, reader: dict[str, Any], *, keep: list[str]) -> Battles:
    if isinstance(votes, str | Path):
        return read_votes(votes, **({"labels": "required", "keep": keep} | reader))
    if reader:
        raise DataError(f"reader options {sorted(reader)} are for files; the votes came as {type(votes).__name__}")
    return as_battles(votes)
