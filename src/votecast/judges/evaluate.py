"""How good a judge, or a file of its predictions, is on votes: every figure, sliced, beside the null baselines."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from votecast import __version__
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.frames import as_battles
from votecast.data.groups import group_values
from votecast.data.outputs import read_predictions
from votecast.data.reader import read_votes
from votecast.data.text_columns import characters
from votecast.errors import DataError, LeakError
from votecast.metrics import Evaluation, evaluate_probabilities
from votecast.metrics.checks import check_probabilities
from votecast.metrics.comparison import compare_probabilities
from votecast.metrics.result import Against
from votecast.types import Judge, Probabilities

_NAMED = 5


@dataclass(frozen=True)
class Predictions:
    """Forecasts that were made before, to be matched with votes by id.

    Args:
        ids: Names of the rows, n of them.
        probabilities: Shape (n, 3), columns a, b, tie.
        name: Name of the judge, if it is known.
        hash: Hash of the judge, if it is known.

    Raises:
        DataError: If there is not one id for each row, or these are not probabilities.

    Example:
        >>> votes = [{"id": name, "prompt": "Hi", "response_a": "x", "response_b": "y"} for name in ("1", "2")]
        >>> Predictions(["2", "1"], [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]).on(as_battles(votes))
        array([[0.6, 0.3, 0.1],
               [0.2, 0.3, 0.5]])
    """

    ids: Sequence[str]
    probabilities: ArrayLike
    name: str | None = None
    hash: str | None = None

    def __post_init__(self) -> None:
        if len(self.ids) != len(check_probabilities(self.probabilities)):
            raise DataError(
                f"{len(self.ids)} ids are given for {np.shape(self.probabilities)[0]} predictions; give one each"
            )

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file that `votecast predict` has written.

        Raises:
            DataError: If the file holds no predictions.
        """
        ids, p, judge = read_predictions(path)
        if not ids:
            raise DataError(
                f"{path} holds no predictions; give a file that votecast predict has written for these votes"
            )
        return cls(ids, p, **{key: (judge or {}).get(key) for key in ("name", "hash")})

    def on(self, battles: Battles) -> Probabilities:
        """The predictions of these battles, in their order; predictions of other rows are left out.

        Raises:
            DataError: If a battle has no prediction, or an id occurs twice so that rows cannot be told apart.
        """
        p = check_probabilities(self.probabilities)
        if list(self.ids) == battles.ids:
            return p
        known = pa.array([str(name) for name in self.ids], pa.large_string())
        _refuse_twice(known, "predictions")
        _refuse_twice(pa.array(battles.ids, pa.large_string()), "votes")
        place = pc.index_in(battles.column("id"), value_set=known)
        if place.null_count:
            rows = np.flatnonzero(np.asarray(place.is_null()))
            raise DataError(
                f"{len(rows)} of {len(battles)} votes have no prediction (first ids: {_first(battles, rows)}); "
                "predict the same file, or pass the file of votes that was predicted"
            )
        return np.ascontiguousarray(p[place.to_numpy()])


def evaluate(
    forecaster: Any,
    battles: Any,
    *,
    groups: ArrayLike | None = None,
    swapped: ArrayLike | None = None,
    allow_leak: bool = False,
    draws: int = 1000,
    seed: int = 0,
    name: str | None = None,
    against: Any = None,
) -> Evaluation:
    """Measure forecasts on votes.

    Args:
        forecaster: A judge; a judge's folder or name, such as "bundled:baseline"; the path of a file of predictions;
            `Predictions`; (ids, probabilities), with {"name", "hash"} of the judge as a third if they are known; or
            probabilities of shape (n, 3) in the order of the battles, such as out-of-fold forecasts.
        battles: Path of a file of votes, battles, a pandas, polars or Arrow frame, or a list of dicts; every row needs
            a vote or a soft label.
        groups: Cluster of each row, for the bootstrap; None takes clusters of near-duplicate prompts.
        swapped: Forecasts for the battles with their answers exchanged, for the flip rate; a judge is asked for them.
        allow_leak: Go on although the battles share prompts with the training data of the judge.
        draws: How many files the bootstrap draws; 0 for no intervals.
        seed: Seed of everything drawn.
        name: Name of the judge where the forecaster does not say.
        against: Another forecaster to compare it with, on the same rows.

    Returns:
        Figures with 95 % intervals, slices by length quartile, turns, language and source, null baselines, and notes;
        where it is compared with another, the differences with intervals from draws in pairs.

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
    forecaster, against = (
        load_forecaster(one) if isinstance(one, str | Path) else one for one in (forecaster, against)
    )
    if isinstance(battles, str | Path):
        battles = read_votes(battles, labels="required", numbers=numbers_of_both(forecaster, against))
    battles = as_battles(battles)
    if not len(battles):
        raise DataError("there are no votes to measure on; give at least one row with a vote")
    targets = battles.targets()
    forecast = _forecast(forecaster, battles, allow_leak=allow_leak)
    groups = vote_clusters(battles, seed) if groups is None else groups
    swapped = forecast.swapped if swapped is None else swapped
    slices, bounds = _slices(battles)
    evaluation = evaluate_probabilities(
        targets,
        forecast.probabilities,
        groups=groups,
        weights=battles.weights(),
        slices=slices,
        swapped=swapped,
        lengths=np.column_stack([characters(battles, column) for column in TEXT_COLUMNS[1:]]),
        draws=draws,
        seed=seed,
    )
    compared = None
    if against is not None:
        other = _other(against, battles, allow_leak=allow_leak)
        compared = _against(replace(forecast, swapped=swapped), other, battles, groups, evaluation)
    return replace(
        evaluation,
        against=compared,
        judge={"name": forecast.name or name, "hash": forecast.hash or None},
        notes=(*forecast.notes, *evaluation.notes, bounds),
        versions={"votecast": __version__, "python": platform.python_version()} | dict(evaluation.versions),
    )


@dataclass(frozen=True)
class _Forecast:
    probabilities: ArrayLike
    name: str | None = None
    hash: str | None = None
    swapped: ArrayLike | None = None
    notes: tuple[str, ...] = ()


def _forecast(forecaster: Any, battles: Battles, *, allow_leak: bool) -> _Forecast:
    if isinstance(forecaster, tuple) and len(forecaster) in (2, 3):
        ids, p, *judge = forecaster
        who: dict[str, str | None] = dict(*judge)
        forecaster = Predictions(ids, p, who.get("name"), who.get("hash"))
    if isinstance(forecaster, Predictions):
        unchecked = "leaks are not looked for: the forecasts come without the judge's training prompts"
        return _Forecast(forecaster.on(battles), forecaster.name, forecaster.hash, notes=(unchecked,))
    if isinstance(forecaster, np.ndarray | list):
        return _Forecast(forecaster)
    if not hasattr(forecaster, "predict_proba"):
        raise DataError(
            f"the forecaster is {type(forecaster).__name__}; allowed are a judge, its folder or name, a file of "
            "predictions, Predictions, (ids, probabilities), or probabilities of shape (n, 3)"
        )
    return _ask(forecaster, battles, allow_leak=allow_leak)


def _against(
    forecast: _Forecast, other: _Forecast, battles: Battles, groups: ArrayLike, evaluation: Evaluation
) -> Against:
    figures, differences = compare_probabilities(
        battles.targets(),
        forecast.probabilities,
        other.probabilities,
        groups=groups,
        weights=battles.weights(),
        swapped=(forecast.swapped, other.swapped),
        **{name: evaluation.settings[name] for name in ("binary", "draws", "seed")},
    )
    return Against({"name": other.name, "hash": other.hash or None}, figures, differences, other.notes)


def _other(forecaster: Any, battles: Battles, *, allow_leak: bool) -> _Forecast:
    """Forecasts of the judge to compare with; faults say that they are its own."""
    try:
        return _forecast(forecaster, battles, allow_leak=allow_leak)
    except (DataError, LeakError) as error:
        raise type(error)(f"the judge to compare with: {error}") from error


def numbers_of_both(*forecasters: Any) -> tuple[str, ...]:
    """Columns that the battles must bring beside their texts for any of these judges.

    Example:
        >>> numbers_of_both(None, Predictions(["1"], [[0.2, 0.3, 0.5]]))
        ()
    """
    return tuple(dict.fromkeys(name for one in forecasters for name in getattr(one, "numbers", ())))


def _ask(judge: Judge, battles: Battles, *, allow_leak: bool) -> _Forecast:
    hashes = getattr(judge, "prompt_hashes", None)
    notes = []
    if not _has_texts(battles):
        notes.append("leaks are not looked for, and every row counts by itself: the rows have no prompts")
    elif hashes is None:
        notes.append("leaks are not looked for: the judge keeps no hashes of its training prompts")
    elif len(leaks := hashes.check(battles, allow=allow_leak)):
        share = f"{len(leaks)} of {len(battles)} rows have prompts on which the judge was trained"
        notes.append(f"{share} (first ids: {_first(battles, leaks)}); the figures flatter it")
    if unknown := getattr(judge, "notes", {}).get("unknown_prompts"):
        notes.append(f"leaks are looked for in part: on which prompts {', '.join(unknown)} was trained is not known")
    p, q = judge.predict_proba(battles), judge.predict_proba(battles.swapped())
    return _Forecast(p, getattr(judge, "name", None), getattr(judge, "hash", None), q, tuple(notes))


def load_forecaster(place: str | Path) -> Judge | Predictions:
    """A judge by its folder or name, or a file of predictions.

    Raises:
        ArtifactError: If there is no such judge.
        DataError: If the file holds no predictions.
    """
    from votecast.judges.loading import load_judge

    return Predictions.read(place) if Path(place).is_file() else load_judge(place)


def vote_clusters(battles: Battles, seed: int) -> NDArray[np.int64]:
    """Clusters of prompts; every row by itself where no row has a text, as in a file of scores."""
    return prompt_clusters(battles, seed=seed) if _has_texts(battles) else np.arange(len(battles))


def _has_texts(battles: Battles) -> bool:
    return any(pc.sum(pc.list_value_length(battles.column(name))).as_py() for name in TEXT_COLUMNS)


def _slices(battles: Battles) -> tuple[dict[str, NDArray[Any]], str]:
    """Length quartile, turns, language and source of each row; and where the quartiles end."""
    length = np.sum([characters(battles, column) for column in TEXT_COLUMNS], axis=0)
    ends = np.quantile(length, [0.25, 0.5, 0.75], method="lower")
    quartile = np.searchsorted(ends, length)
    slices = {
        "length": np.array(["q1", "q2", "q3", "q4"])[quartile],
    } | {by: np.array(group_values(battles, by), dtype=object) for by in ("turns", "language", "source")}
    bounds = ", ".join(f"{end:,}" for end in ends.tolist())
    return slices, f"length quartiles end at {bounds} characters of prompt and answers"


def _refuse_twice(names: pa.Array, what: str) -> None:
    counts = pc.value_counts(names)
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        first = ", ".join(repr(name) for name in twice.field("values").to_pylist()[:_NAMED])
        raise DataError(
            f"{len(twice)} ids occur more than once in the {what} (first: {first}), so that rows cannot "
            "be matched; give every row an id of its own, or both in the same order"
        )


def _first(battles: Battles, rows: NDArray[np.int64]) -> str:
    return ", ".join(repr(name) for name in battles.take(rows[:_NAMED]).ids)
