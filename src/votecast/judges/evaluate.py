"""Measure a judge, or a file of its predictions, on votes: figures, slices, baselines, another judge beside.

`votecast evaluate` and the audit report call it; training calls it for the out-of-fold figures.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from votecast import __version__
from votecast.calibration import crossfit_calibrate
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.frames import as_battles
from votecast.data.groups import group_values
from votecast.data.outputs import read_predictions
from votecast.data.reader import read_votes
from votecast.data.text_columns import characters, has_texts
from votecast.errors import DataError, LeakError
from votecast.judges.load import load_judge
from votecast.judges.out_of_fold import calibration_folds, first_ids
from votecast.judges.predict_batch import judge_notes, reader_numbers, trained_prompts
from votecast.judges.shared_rows import check_leaks, predict_unseen
from votecast.judges.trained import TrainedJudge
from votecast.metrics import Evaluation, evaluate_probabilities
from votecast.metrics.checks import check_probabilities
from votecast.metrics.evaluation import Against, compare_probabilities
from votecast.types import Ints, Judge, Probabilities, spell_id, swap_columns

_NAMED = 5


@dataclass(frozen=True)
class Predictions:
    """Predictions that were made before, to be matched with votes by id.

    Args:
        ids: Names of the rows, n of them.
        probabilities: Shape (n, 3), columns a, b, tie.
        name: Name of the judge, if known.
        hash: Hash of the judge, if known.

    Attributes:
        notes: Whether rows were rescaled because of rounding.

    Raises:
        DataError: If there is not one id for each row, or these are not probabilities.

    Example:
        >>> votes = [{"id": name, "prompt": "Hi", "response_a": "x", "response_b": "y"} for name in ("1", "2")]
        >>> Predictions(["2", "1"], [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]).on(as_battles(votes))[0]
        array([0.6, 0.3, 0.1])
    """

    ids: Sequence[str]
    probabilities: ArrayLike
    name: str | None = None
    hash: str | None = None
    notes: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        p = check_probabilities(self.probabilities, "predictions", notes=self.notes)
        if len(self.ids) != len(p):
            raise DataError(f"{len(self.ids)} ids are given for {len(p)} predictions; give one each")
        object.__setattr__(self, "probabilities", p)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `votecast predict` has written; DataError if it holds no predictions."""
        ids, p, judge = read_predictions(path)
        if not ids:
            raise DataError(
                f"{path} holds no predictions; give a file that votecast predict has written for these votes"
            )
        return cls(ids, p, **{key: (judge or {}).get(key) for key in ("name", "hash")})

    def on(self, battles: Battles) -> Probabilities:
        """Return the predictions for these battles, in their order.

        Raises:
            DataError: If a battle has no prediction, or an id occurs twice so that rows cannot be matched.
        """
        p = np.asarray(self.probabilities)  # float64, checked above
        if list(self.ids) == battles.ids:
            return p
        known = pa.array([spell_id(name) for name in self.ids], pa.large_string())
        _refuse_twice(known, "predictions")
        _refuse_twice(pa.array(battles.ids, pa.large_string()), "votes")
        place = pc.index_in(battles.column("id"), value_set=known)
        if place.null_count:
            rows = np.flatnonzero(np.asarray(place.is_null()))
            raise DataError(
                f"{len(rows)} of {len(battles)} votes have no prediction (first ids: {first_ids(battles, rows)}; the "
                f"predictions have {', '.join(map(repr, known[:_NAMED].to_pylist()))}); predict the same file, or pass "
                "the file of votes that was predicted"
            )
        return np.ascontiguousarray(p[place.to_numpy()])


def evaluate(
    judge: object,
    battles: object,
    *,
    groups: ArrayLike | None = None,
    swapped: ArrayLike | None = None,
    allow_leak: bool = False,
    draws: int = 1000,
    seed: int = 0,
    name: str | None = None,
    against: object = None,
    out_of_fold: bool = False,
) -> Evaluation:
    """Measure predictions on votes.

    Args:
        judge: A judge; a judge's folder or name, such as "bundled:baseline"; the path of a file of predictions;
            `Predictions`; (ids, probabilities), with {"name", "hash"} of the judge as a third if they are known; or
            probabilities of shape (n, 3) in the order of the battles, such as out-of-fold predictions.
        battles: Path of a file of votes, battles, a pandas, polars or Arrow frame, or a list of dicts; every row needs
            a vote or a soft label.
        groups: Cluster of each row, for the bootstrap; None takes clusters of near-duplicate prompts.
        swapped: Predictions for the battles with their responses swapped, for the flip rate; None asks the judge.
        allow_leak: Measure although the battles share prompts with the training data of the judge.
        draws: Bootstrap draws; 0 for no intervals.
        seed: Seed of everything drawn.
        name: Name of the judge where the predictions do not bring one.
        against: Another judge, or its predictions, to compare with on the same rows.
        out_of_fold: Measure rows with prompts that a judge was trained on by its out-of-fold predictions.

    Returns:
        Figures with 95 % intervals, slices by length quartile, turns, language and source, null baselines, and notes;
        where it is compared with another, the differences with paired bootstrap intervals.

    Raises:
        DataError: If there are no battles, a row has no vote, or predictions do not belong to the battles.
        LeakError: If the battles share prompts with the training data of the judge; the message names them.
        ArtifactError: If there is no such judge.

    Example:
        >>> votes = [
        ...     {"prompt": f"Question {i}?", "response_a": "Yes.", "response_b": "No, because.", "winner": "ab"[i % 2]}
        ...     for i in range(4)
        ... ]
        >>> evaluation = evaluate(np.full((4, 3), 1 / 3), votes, draws=50)
        >>> round(evaluation.metrics["log_loss"].value, 4), evaluation.notes[-1][:17]
        (0.6931, 'length quartiles ')
    """
    judge, against = (load_predictor(one) if isinstance(one, str | Path) else one for one in (judge, against))
    if isinstance(battles, str | Path):
        battles = read_votes(battles, labels="required", numbers=numbers_of_both(judge, against))
    battles = as_battles(battles)
    if not len(battles):
        raise DataError("there are no votes to measure on; give at least one row with a vote")
    targets = battles.targets()  # refuses rows without a vote before anything is predicted
    found = _predictions_of(judge, battles, allow_leak=allow_leak, out_of_fold=out_of_fold)
    if swapped is not None:
        found = found._replace(swapped=swapped)
    groups = vote_clusters(battles, seed) if groups is None else groups
    slices, lengths, ends = _slice_rows(battles)
    evaluation = evaluate_probabilities(
        targets,
        found.p,
        groups=groups,
        weights=battles.weights(),
        slices=slices,
        swapped=found.swapped,
        lengths=lengths,
        draws=draws,
        seed=seed,
    )
    compared = None
    if against is not None:
        try:
            other = _predictions_of(against, battles, allow_leak=allow_leak, out_of_fold=out_of_fold)
        except (DataError, LeakError) as error:
            raise type(error)(f"the judge to compare with: {error}") from error
        compared = _compare(evaluation, battles, groups, found, other)
    ends_note = f"length quartiles end at {ends} characters of prompt and answers"
    return replace(
        evaluation,
        against=compared,
        judge={"name": found.name or name, "hash": found.hash or None},
        notes=(*found.notes, *evaluation.notes, ends_note),
        versions={"votecast": __version__, "python": platform.python_version()} | dict(evaluation.versions),
    )


def _slice_rows(battles: Battles) -> tuple[dict[str, ArrayLike], Ints, str]:
    """Return the slices by kind, the characters of a and b, shape (n, 2), and the ends of the length quartiles."""
    prompt, a, b = (characters(battles, column) for column in TEXT_COLUMNS)
    whole = prompt + a + b
    # ends are lengths that occur in the file, so that the note on them can be checked
    ends = np.quantile(whole, [0.25, 0.5, 0.75], method="lower")
    slices: dict[str, ArrayLike] = {"length": np.array(["q1", "q2", "q3", "q4"])[np.searchsorted(ends, whole)]}
    slices |= {by: np.array(group_values(battles, by), dtype=object) for by in ("turns", "language", "source")}
    return slices, np.column_stack([a, b]), ", ".join(f"{end:,}" for end in ends.tolist())


def _compare(evaluation: Evaluation, battles: Battles, groups: ArrayLike, found: _Found, other: _Found) -> Against:
    """Compare a judge that was measured with another, on the same bootstrap files."""
    settings = evaluation.settings
    figures, differences = compare_probabilities(
        battles.targets(),
        found.p,
        other.p,
        groups=groups,
        weights=battles.weights(),
        swapped=(found.swapped, other.swapped),
        binary=bool(settings["binary"]),
        draws=int(settings["draws"]),
        seed=int(settings["seed"]),
    )
    return Against({"name": other.name, "hash": other.hash or None}, figures, differences, other.notes)


def evaluate_out_of_fold(judge: TrainedJudge, battles: Battles, *, draws: int = 1000) -> Evaluation:
    """Measure a judge on its out-of-fold rows, under calibrators fitted on the other folds.

    The battles are those it was fitted on, in the same order; `draws` are those of the bootstrap.
    """
    held, seed = judge.fitted.out_of_fold, judge.recipe.seed
    fitted_on = (judge.recipe.calibration.method, held.raw, held.targets, held.weights, calibration_folds(held, seed))
    p = crossfit_calibrate(*fitted_on, clusters=held.clusters)
    swapped = swap_columns(p)
    if held.swapped is not None:
        swapped = crossfit_calibrate(*fitted_on, held.swapped, clusters=held.clusters)
    rows = battles if len(held) == len(battles) else battles.take(held.rows)
    return evaluate(p, rows, groups=held.clusters, swapped=swapped, draws=draws, seed=seed, name=judge.name)


def load_predictor(place: str | Path) -> Judge | Predictions:
    """Load a judge by its folder or name, or a file of predictions."""
    return Predictions.read(place) if Path(place).is_file() else load_judge(place)


def numbers_of_both(*predictors: object) -> tuple[str, ...]:
    """Return the columns that the battles must bring beside their texts for any of these judges.

    Example:
        >>> numbers_of_both(None, Predictions(["1"], [[0.2, 0.3, 0.5]]))
        ()
    """
    needed = (reader_numbers(one).get("numbers", ()) for one in predictors)
    return tuple(dict.fromkeys(name for names in needed for name in names))


def vote_clusters(battles: Battles, seed: int) -> Ints:
    """Return clusters of prompts; every row by itself where no row has a text, as in a file of scores."""
    return prompt_clusters(battles, seed=seed) if has_texts(battles) else np.arange(len(battles))


class _Found(NamedTuple):
    """Predictions for some battles, and what is known of the judge that made them."""

    p: ArrayLike
    name: str | None = None
    hash: str | None = None
    swapped: ArrayLike | None = None
    notes: tuple[str, ...] = ()


def _predictions_of(judge: object, battles: Battles, *, allow_leak: bool, out_of_fold: bool) -> _Found:
    if isinstance(judge, tuple) and len(judge) in (2, 3):
        ids, p, *known = judge
        cited: dict[str, str | None] = dict(*known)
        judge = Predictions(ids, p, cited.get("name"), cited.get("hash"))
    if isinstance(judge, Predictions):
        unchecked = "leaks are not checked: the predictions come without the judge's training prompts"
        return _Found(judge.on(battles), judge.name, judge.hash, notes=(unchecked, *judge.notes))
    notes: list[str] = []
    if isinstance(judge, np.ndarray | list):
        return _Found(check_probabilities(judge, notes=notes), notes=tuple(notes))
    if not hasattr(judge, "predict_proba"):
        raise DataError(
            f"what is to be measured is {type(judge).__name__}; allowed are a judge, its folder or name, a file of "
            "predictions, Predictions, (ids, probabilities), or probabilities of shape (n, 3)"
        )
    hashes = trained_prompts(judge)
    if not has_texts(battles):
        notes.append("leaks are not checked, and every row counts by itself: the rows have no prompts")
    elif hashes is None:
        notes.append("leaks are not checked: the judge keeps no hashes of its training prompts")
    elif not out_of_fold and len(leaks := check_leaks(judge, hashes, battles, allow=allow_leak)):
        share = f"{len(leaks)} of {len(battles)} rows have prompts on which the judge was trained"
        notes.append(f"{share} (first ids: {first_ids(battles, leaks)}); the figures flatter it")
    if unknown := judge_notes(judge).get("unknown_prompts"):
        notes.append(f"leaks are checked in part: the training prompts of {', '.join(unknown)} are unknown")
    if out_of_fold and has_texts(battles) and hashes is not None:
        p, swapped, note = predict_unseen(cast("Judge", judge), battles)
        notes.append(note)
    else:
        p, swapped = judge.predict_proba(battles), judge.predict_proba(battles.swapped())
    p = check_probabilities(p, "predictions", notes=notes)
    swapped = check_probabilities(swapped, "predictions of the swapped order", notes=notes)
    return _Found(p, getattr(judge, "name", None), getattr(judge, "hash", None), swapped, tuple(notes))


def _refuse_twice(names: pa.Array, what: str) -> None:
    counts = pc.value_counts(names)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        first = ", ".join(repr(name) for name in twice.field("values").to_pylist()[:_NAMED])
        raise DataError(
            f"{len(twice)} ids occur more than once in the {what} (first: {first}), so that rows cannot "
            "be matched; give every row an id of its own, or both in the same order"
        )
