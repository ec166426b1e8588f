"""The main job: from a file of votes to a judge folder with honest figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from votecast.artifacts import check_free
from votecast.calibration import crossfit_calibrate
from votecast.config import current_launch
from votecast.data.battles import SCHEMA, Battles
from votecast.data.cleaning import CleaningReport, clean
from votecast.data.frames import as_battles
from votecast.data.reading import read_votes
from votecast.data.report import ReadReport
from votecast.data.scores import Scores, read_scores
from votecast.data.work_folder import hold_work_folder
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges.cross_validation import calibration_folds, inputs_of
from votecast.judges.drawing import draw_rows
from votecast.judges.evaluate import evaluate
from votecast.judges.linking import link_judge, rules
from votecast.judges.loading import load_judge
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Evaluation, Figure, paired_gain, without_ties
from votecast.models.base import numbers_of
from votecast.models.registry import family
from votecast.splits import Folds, folds_from_table
from votecast.types import Progress, Run, no_progress, swap_columns


def train(
    recipe: Any,
    votes: Any,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    folds_from: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    small: bool = False,
    reader: Mapping[str, Any] | None = None,
    data_sources: list[dict[str, str]] | None = None,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Train a judge: read, clean, fit over folds, calibrate, measure out of fold, save.

    Args:
        recipe: Name of a shipped recipe or family, YAML path, or settings.
        votes: Path of a file of votes, or battles, a frame or a list of dicts.
        out: Folder to save the judge in; None keeps it in memory.
        overrides: Settings by dotted key, such as {"folds.n": 3}.
        folds_from: A judge whose folds are used again, row by row.
        overwrite: Whether an existing judge folder may be replaced, and unfinished work on it discarded.
        resume: Continue what a killed run of the same call left beside `out`: the judge is the same, bit for bit. The
            work lies in `.NAME.work` beside `out`, is of no use elsewhere, and is removed in the end.
        small: Take the small form of the recipe, which trains in a minute or two on any machine.
        reader: Options of `read_votes`, where `votes` is a path.
        data_sources: Origin and licence of the votes, for the model card.
        progress: Told of every step.

    Returns:
        The judge; its out-of-fold figures are in `judge.figures`. In a process that `accelerate launch` has started
        beside the main one, the judge is neither measured nor saved.

    Raises:
        ConfigError: If a setting is unknown or unfit; nothing has been read yet. Or if the work that is to be continued
            is of another recipe or other votes.
        ArtifactError: If `out` or unfinished work on it is in the way; nothing has been read yet.
        DataError: If the votes cannot be used.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> judge = train("baseline", battles, overrides={"folds.n": 2})
        >>> 0.5 < judge.figures["metrics"]["log_loss"]["value"] < 1.2
        True
    """
    settings = load_recipe(recipe, overrides, small=small)
    job = _Job(settings, votes, dict(reader or {}), folds_from, data_sources or [], progress, small=small)
    if out is None:
        if resume:
            raise ConfigError("resume continues work beside an output folder, and none is named; name out")
        return job.judge(Run(progress=progress))
    main = current_launch().is_main
    if main:
        check_free(out, overwrite=overwrite or (resume and Path(out).is_dir()), is_folder=True)
    with hold_work_folder(out, resume=resume, overwrite=overwrite) as folder:
        job.read()
        if main and resume and Path(out).exists():
            if (made := _made_before(out, job)) is not None:
                return made
            check_free(out, overwrite=overwrite, is_folder=True)
        judge = job.judge(Run(folder, progress))
        if main:
            judge.save_pretrained(out, overwrite=overwrite)
    return judge


@dataclass
class _Job:
    """One call of `train`, from the votes to a measured judge."""

    settings: Recipe
    votes: Any
    reader: dict[str, Any]
    folds_from: str | Path | None
    data_sources: list[dict[str, str]]
    progress: Progress
    small: bool
    notes: dict[str, Any] = field(default_factory=dict)
    battles: Battles | None = None
    folds: Folds | None = None

    def read(self) -> Battles:
        """Read, clean and draw the rows to train on, once."""
        if self.battles is not None:
            return self.battles
        self.progress("reading votes", 0, 1)
        column = self.settings.folds.column
        reader = self.reader
        if isinstance(self.votes, str | Path) and (numbers := numbers_of(family(self.settings.family))):
            reader = {"numbers": numbers} | reader
        battles = _read(self.votes, reader, keep=[column] if column and column not in SCHEMA.names else [])
        report = battles.report
        battles, cleaning = clean(battles, self.settings.cleaning)
        _refuse_none_left(cleaning)
        self.notes = {"cleaning": cleaning.to_dict()}
        self.notes |= _reading(report)
        drawn = draw_rows(battles, self.settings.rows, seed=self.settings.seed)
        if len(drawn) < len(battles):
            self.notes["drawn"] = {"rows": len(drawn), "of": len(battles)}
            battles = battles.take(drawn)
        if self.folds_from is not None:
            self.folds = _folds_of(load_judge(self.folds_from), battles)
        self.battles = battles
        return battles

    def judge(self, run: Run) -> TrainedJudge:
        """Fit and measure."""
        battles = self.read()
        judge = TrainedJudge(self.settings).fit(battles, folds=self.folds, run=run)
        notes = self.notes | ({"data_sources": self.data_sources} if self.data_sources else {})
        figures = None
        if current_launch().is_main:
            self.progress("measuring", 0, 1)
            figures = out_of_fold_evaluation(judge, battles).to_dict()
        judge.record(figures=figures, **notes, **({"small": True} if self.small else {}))
        self.progress("measuring", 1, 1)
        return judge


def link(
    scores: Scores | str | Path,
    votes: Any,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    reader: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> TrainedJudge:
    """Make a judge of scores: fit a link from scores to votes, measure it on votes it was not fitted on, save.

    Args:
        scores: Scores of both answers, or the path of a file with the columns id, score_a and score_b.
        votes: Path of a file of votes, or battles, a frame or a list of dicts; joined with the scores by id.
        out: Folder to save the judge in; None keeps it in memory.
        overwrite: Whether an existing judge folder may be replaced.
        reader: Options of `read_votes`, where `votes` is a path.
        progress: Told of every step.
        **options: method, length, bare, name and seed of `votecast.judges.linking.link_judge`.

    Returns:
        The judge. `judge.figures` are those of links fitted on other prompts; among the baselines are the default link
        and the fixed rule, and under "gains" what the link gains over each, with a 95 % interval.

    Raises:
        ArtifactError: If `out` is in the way; nothing has been read yet.
        DataError: If scores or votes cannot be used, or cannot be joined.
        LeakError: If what made the scores was trained on prompts of these votes.
    """
    if out is not None:
        check_free(out, overwrite=overwrite, is_folder=True)
    progress("reading", 0, 2)
    known = read_scores(scores) if isinstance(scores, str | Path) else scores
    battles = _read(votes, dict(reader or {}), keep=[])
    progress("reading", 1, 2)
    judge, matched = link_judge(known, battles, **options)
    progress("measuring", 0, 1)
    figures = out_of_fold_evaluation(judge, matched.votes).to_dict()
    held, seed = judge.fitted.out_of_fold, judge.recipe.seed
    figures["gains"] = {}
    for name, p in rules(matched).items():
        figures["baselines"][name] = evaluate(p, matched.votes, groups=held.clusters, seed=seed).to_dict()["metrics"]
        pair = (without_ties(held.raw), without_ties(p)) if figures["settings"]["binary"] else (held.raw, p)
        gain = paired_gain(held.targets, *pair, held.weights, groups=held.clusters, seed=seed)
        figures["gains"][name] = Figure(*gain).to_dict()
    judge.record(figures=figures, **_reading(battles.report))
    progress("measuring", 1, 1)
    if out is not None:
        judge.save_pretrained(out, overwrite=overwrite)
    return judge


def _made_before(out: str | Path, job: _Job) -> TrainedJudge | None:
    """The judge in the folder, if a run of the same call was killed only after it had been written."""
    try:
        judge = TrainedJudge.from_pretrained(out)
    except ArtifactError:
        return None
    same_inputs = judge.fitted.facts.get("inputs") == inputs_of(job.read(), job.folds)
    return judge if same_inputs and judge.recipe == job.settings else None


def _refuse_none_left(cleaning: CleaningReport) -> None:
    if cleaning.rows and not cleaning.kept:
        raise DataError(
            f"cleaning leaves none of the {cleaning.rows} rows: {cleaning.missing} are without a text, "
            f"{cleaning.identical} have identical answers, {cleaning.duplicates} are duplicates; set "
            "cleaning.duplicates to none, first or aggregate, or drop less"
        )


def _folds_of(judge: TrainedJudge, battles: Battles) -> Folds:
    """The folds of another judge; one that was trained on a single fold has a single split."""
    held = judge.fitted.out_of_fold
    if judge.fitted.prompt_hashes is None:
        raise ConfigError(
            f"judge {judge.name!r} was trained elsewhere and has no folds; name a judge of votecast's own"
        )
    if len(np.unique(held.fold)) == 1:
        held = replace(held, fold=np.zeros_like(held.fold))
    return folds_from_table(battles.ids, battles.content_hashes(), held)


def out_of_fold_evaluation(judge: TrainedJudge, battles: Battles, *, draws: int = 1000) -> Evaluation:
    """Figures on the out-of-fold rows, under a calibrator that never saw the row it is measured on.

    Args:
        judge: A fitted judge.
        battles: The battles it was fitted on, in the same order.
        draws: Bootstrap draws for the intervals.
    """
    held, seed = judge.fitted.out_of_fold, judge.recipe.seed
    learnt_from = (judge.recipe.calibration.method, held.raw, held.targets, held.weights, calibration_folds(held, seed))
    p = crossfit_calibrate(*learnt_from, clusters=held.clusters)
    swapped = swap_columns(p)
    if held.swapped is not None:
        swapped = crossfit_calibrate(*learnt_from, held.swapped, clusters=held.clusters)
    rows = battles.take(held.rows)
    return evaluate(p, rows, groups=held.clusters, swapped=swapped, draws=draws, seed=seed, name=judge.name)


def _reading(report: ReadReport | None) -> dict[str, Any]:
    return {} if report is None else {"reading": report.to_dict() | {"path": Path(report.path).name}}


def _read(votes: Any, reader: dict[str, Any], *, keep: list[str]) -> Battles:
    if isinstance(votes, str | Path):
        return read_votes(votes, **({"labels": "required", "keep": keep} | reader))
    if reader:
        raise DataError(f"reader options {sorted(reader)} are for files; the votes came as {type(votes).__name__}")
    return as_battles(votes)
