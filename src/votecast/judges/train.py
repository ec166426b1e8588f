"""Train a judge: from a file of votes to a judge folder with out-of-fold figures.

This is what `votecast train` runs: read, clean, fit over folds, calibrate, measure, save.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from votecast.artifacts import check_free
from votecast.config import check_launch, current_launch
from votecast.data.battles import SCHEMA, Battles
from votecast.data.clean import clean
from votecast.data.joined_files import find_vote_files, read_vote_files
from votecast.data.reader import read_votes
from votecast.data.work_folder import hold_work_folder
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges.cross_validation import hash_inputs, sample_rows
from votecast.judges.evaluate import evaluate_out_of_fold
from votecast.judges.load import load_judge, load_votes, reading_note
from votecast.judges.recipe import Recipe, load_recipe, warn_of_random_weights
from votecast.judges.resource_check import check_resources
from votecast.judges.trained import TrainedJudge
from votecast.models.registry import family
from votecast.splits import Folds, folds_from_table
from votecast.training.tracking import check_trackers, log_folder
from votecast.types import Progress, Run, no_progress

logger = logging.getLogger(__name__)


def train(
    recipe: str | Path | Mapping[str, object] | Recipe,
    votes: object,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
    folds_from: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    small: bool = False,
    reader: Mapping[str, object] | None = None,
    data_sources: list[dict[str, str]] | None = None,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Train a judge: read, clean, fit over folds, calibrate, measure out of fold, save.

    Args:
        recipe: Name of a shipped recipe or family, YAML path, or settings.
        votes: Path of a file of votes or a pattern such as "votes/*.csv", a list of these, battles, a frame, or a list
            of dicts. Several files are joined in their order; ids that they share are qualified by file names.
        out: Folder to save the judge in; None keeps it in memory.
        overrides: Settings by dotted key, such as {"folds.n": 3}.
        folds_from: A judge whose folds are used again, row by row.
        overwrite: Whether an existing judge folder may be replaced, and partial output beside it discarded.
        resume: Continue what a killed run of the same call left in `.NAME.work` beside `out`; the judge is the same,
            bit for bit, and the folder is removed in the end.
        small: Take the small form of the recipe, which trains in a minute or two on any machine.
        reader: Options of `read_votes`, where `votes` names files.
        data_sources: Origin and licence of the votes, for the model card.
        progress: Progress callback.

    Returns:
        The judge; its out-of-fold figures are in `judge.figures`. In a process that `accelerate launch` has started
        beside the main one, the judge is neither measured nor saved.

    Raises:
        ConfigError: If a setting is unknown or not allowed, before anything is read; or if the run to resume is of
            another recipe or other votes.
        ArtifactError: If `out` or partial output beside it already exists, or its disk is too small; nothing has been
            read yet.
        DataError: If the votes cannot be used.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> judge = train("baseline", battles, overrides={"folds.n": 2})
        >>> 0.5 < judge.figures["metrics"]["log_loss"]["value"] < 1.2
        True
    """
    settings = load_recipe(recipe, overrides, small=small)
    check_launch()
    remark = warn_of_random_weights(settings.model)
    # a missing package is reported before anything is read or made
    model = family(settings.family)(settings.model, seed=settings.seed)
    if out is None and resume:
        raise ConfigError("resume continues a run beside an output folder, and out is not given; name out")
    is_main = current_launch().is_main
    if out is not None and is_main:
        check_free(out, overwrite=overwrite or (resume and Path(out).is_dir()), is_folder=True)
    check_trackers((name for leaf in model.leaves() for name in leaf.report_to), has_folder=out is not None)
    if is_main:
        check_resources(settings, out)
    with nullcontext() if out is None else hold_work_folder(out, resume=resume, overwrite=overwrite) as folder:
        model.check_training()
        battles, notes = read_and_clean(settings, votes, reader, model.numbers, progress)
        folds = None if folds_from is None else _folds_of(load_judge(folds_from), battles)
        # killed after the judge folder was in place, but before the work folder was removed
        if out is not None and is_main and resume and Path(out).exists():
            if (finished := _finished_before(out, settings, battles, folds)) is not None:
                logger.info("%s is finished; there was nothing left to resume", out)
                return finished
            check_free(out, overwrite=overwrite, is_folder=True)

        run = Run(folder, progress, (settings.name,))
        if out is not None:
            run = replace(run, name=(Path(out).name,), logs=log_folder(out))
        judge = TrainedJudge(settings).fit(battles, folds=folds, run=run)
        figures = None
        if is_main:
            progress("measuring", 0, 1)
            figures = evaluate_out_of_fold(judge, battles).to_dict()
        notes |= {"data_sources": data_sources} if data_sources else {}
        notes |= {"small": True} if small else {}
        notes |= {"limits": [remark]} if remark else {}
        judge.record(figures=figures, **notes)
        progress("measuring", 1, 1)
        if out is not None and is_main:
            judge.save_pretrained(out, overwrite=overwrite)
    return judge


def read_and_clean(
    settings: Recipe, votes: object, reader: Mapping[str, object] | None, numbers: tuple[str, ...], progress: Progress
) -> tuple[Battles, dict[str, object]]:
    """Read, clean and draw the rows to train on; return them with notes on what was done."""
    progress("reading votes", 0, 1)
    column = settings.folds.column
    keep = [column] if column and column not in SCHEMA.names else []
    options: dict[str, Any] = {"labels": "required", "keep": keep, "numbers": numbers, **(reader or {})}
    paths = find_vote_files(votes) if _names_files(votes) else []
    if len(paths) > 1:
        read, reports = read_vote_files(paths, **options)
        reading: dict[str, object] = {"reading": [report.to_dict() for report in reports]}
    else:
        read = read_votes(paths[0], **options) if paths else load_votes(votes, reader)
        reading = reading_note(read)
    battles, cleaning = clean(read, settings.cleaning)
    if cleaning.rows and not cleaning.kept:
        raise DataError(
            f"cleaning leaves none of the {cleaning.rows} rows: {cleaning.missing} have a missing text, "
            f"{cleaning.identical} have identical responses, {cleaning.duplicates} are duplicates; set "
            "cleaning.duplicates to none, first or aggregate, or relax the other cleaning settings"
        )
    notes = {"cleaning": cleaning.to_dict()} | reading
    drawn = sample_rows(battles, settings.rows, seed=settings.seed)
    if len(drawn) < len(battles):
        notes["drawn"] = {"rows": len(drawn), "of": len(battles)}
        battles = battles.take(drawn)
    return battles, notes


def _names_files(votes: object) -> TypeGuard[str | Path | Sequence[str | Path]]:
    """Whether votes are given as one path, or as a list of paths."""
    several = isinstance(votes, list | tuple) and all(isinstance(each, str | Path) for each in votes)
    return isinstance(votes, str | Path) or (several and bool(votes))


def _folds_of(judge: TrainedJudge, battles: Battles) -> Folds:
    """Return the folds of another judge; one that was trained on a single fold has a single split."""
    if judge.fitted.prompt_hashes is None:
        raise ConfigError(
            f"judge {judge.name!r} was trained elsewhere and has no folds; name a judge that votecast trained"
        )
    held = judge.fitted.out_of_fold
    if len(np.unique(held.fold)) == 1:
        held = replace(held, fold=np.zeros_like(held.fold))
    return folds_from_table(battles.ids, battles.content_hashes(), held)


def _finished_before(out: str | Path, settings: Recipe, battles: Battles, folds: Folds | None) -> TrainedJudge | None:
    """Return the judge in the folder, if a run of the same call was killed after writing it."""
    try:
        judge = TrainedJudge.from_pretrained(out)
    except ArtifactError:
        return None
    same_inputs = judge.fitted.facts.get("inputs") == hash_inputs(battles, folds)
    return judge if same_inputs and judge.recipe == settings else None
