"""Evaluate predictions against votes: all figures with intervals, slices, null baselines, and two judges compared.

Called by `votecast evaluate`, by training and calibration for their reports, and by the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from votecast.errors import DataError
from votecast.metrics.baselines import class_prior, group_folds, longer_wins, uniform
from votecast.metrics.checks import Checked, check_groups, check_probabilities, check_rows
from votecast.metrics.figures import Measure
from votecast.metrics.intervals import LEVEL, ClusterDraws, Figure, Figures, as_json, mean_gain
from votecast.metrics.reliability import BINS
from votecast.metrics.scores import log_losses, without_ties
from votecast.types import Ints, Probabilities, swap_columns

MAX_VALUES: Final = 20
"""Values of one kind of slice; beyond these the rarest become `OTHER`."""
OTHER: Final = "other"
UNKNOWN: Final = "unknown"
HARD_NOTE: Final = (
    "{hard:,} of {rows:,} predictions are exactly 0 or 1, as of decisions without probabilities: a calibrated judge "
    "would never miss them, so that the ECE by chance (ece_perfect) is 0 on these rows, and each miss costs a log loss "
    "of 36"
)
BINARY_NOTE: Final = "no tie was voted: the mass of a tie is handed to a and b in proportion, for judge and baselines"


@dataclass(frozen=True)
class Slice:
    """The figures of some of the rows: how many, from how many prompts, and name to figure."""

    rows: int
    clusters: int
    metrics: Figures


@dataclass(frozen=True)
class Against:
    """Another judge on the same rows."""

    judge: Mapping[str, str | None]  # its name and hash
    metrics: Figures  # its figures
    # each figure of the evaluated judge minus that of this one, with intervals of draws made in pairs
    differences: Figures
    notes: tuple[str, ...] = ()  # limits of its figures


@dataclass(frozen=True)
class Evaluation:
    """All figures of one judge on one file."""

    metrics: Figures  # name to figure, in the order of `votecast.metrics.METRICS`
    # kind of slice ("length", "turns", "language", "source") to its values to their figures
    slices: Mapping[str, Mapping[str, Slice]] = field(default_factory=dict)
    # null baseline ("uniform", "prior", "longer") to its figures; `log_loss_gain` is how much lower the log loss of the
    # judge is on the same rows
    baselines: Mapping[str, Figures] = field(default_factory=dict)
    rows: int = 0  # how many rows were measured
    clusters: int = 0  # from how many prompts
    # what a reader must know: ties handed out, figures that are not defined, leaks that were allowed
    notes: tuple[str, ...] = ()
    judge: Mapping[str, str | None] = field(default_factory=dict)  # name and hash of the judge
    settings: Mapping[str, float] = field(default_factory=dict)  # draws, seed, bins and level of the intervals
    versions: Mapping[str, str] = field(default_factory=dict)  # versions of what computed the figures
    against: Against | None = None  # the judge it was compared with, if there is one

    def to_dict(self) -> dict[str, Any]:
        """Return the whole evaluation as JSON-able values; nothing in it is NaN.

        Example:
            >>> Evaluation({"log_loss": Figure(1.0, 0.9, 1.1)}).to_dict()["metrics"]
            {'log_loss': {'value': 1.0, 'low': 0.9, 'high': 1.1}}
        """
        return {name: as_json(value) for name, value in vars(self).items() if value is not None}


def evaluate_probabilities(
    targets: ArrayLike,
    probabilities: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    slices: Mapping[str, ArrayLike] | None = None,
    swapped: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    binary: bool | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Measure predictions against votes: all figures, sliced, with intervals and null baselines.

    Intervals come from a bootstrap over groups. Where no tie was voted at all, the file counts as binary: the mass of
    a tie is handed to a and b in proportion, for the judge and for the baselines, and a note reports it. The baselines
    "prior" and "longer" are the frequencies of this file, from other folds of groups than the row they predict.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Predictions, shape (n, 3).
        groups: Prompt of each row, shape (n,), any names; every row by itself where None.
        weights: How much each row counts, shape (n,).
        slices: Kind of slice to the value of each row, shape (n,). Beyond 20 values the rarest are joined.
        swapped: Predictions for the same battles with their responses swapped, as the judge gives them, shape (n, 3).
        lengths: Characters of responses a and b, shape (n, 2), for the baseline "longer".
        binary: Whether ties cannot occur; None derives it from the votes.
        draws: How many files the bootstrap draws; 0 for no intervals.
        seed: Seed of the bootstrap, the simulated votes and the folds of the baselines.

    Raises:
        DataError: If these are not probabilities, groups, slices of the same rows.
        ConfigError: If `draws` or `seed` is below 0.

    Example:
        >>> votes, p = np.eye(3)[[0, 1, 2, 0]], np.full((4, 3), 1 / 3)
        >>> evaluation = evaluate_probabilities(votes, p, groups=["x", "x", "y", "z"], draws=100)
        >>> round(evaluation.metrics["log_loss"].value, 4), evaluation.rows, evaluation.clusters
        (1.0986, 4, 3)
    """
    notes: list[str] = []
    data, reverse = _check_file(targets, probabilities, weights, swapped, binary=binary, notes=notes)
    binary = not data.weights @ data.targets[:, 2] if binary is None else binary
    cluster = check_groups(groups, len(data.weights))
    drawn = ClusterDraws(cluster, draws, seed)
    measure = Measure(data, cluster, drawn, swapped=reverse)
    cuts = {kind: _codes(kind, values, len(cluster)) for kind, values in (slices or {}).items()}
    (whole,), *parts = measure.figures([np.zeros_like(cluster), *(codes for codes, _ in cuts.values())], seed)
    cut: dict[str, dict[str, Slice]] = {}
    for (kind, (codes, names)), figures in zip(cuts.items(), parts, strict=True):
        cut[kind] = {}
        for number, (name, found) in enumerate(zip(names, figures, strict=True)):
            rows = np.flatnonzero(codes == number)
            cut[kind][name] = Slice(len(rows), len(np.unique(cluster[rows])), found)
    clusters = int(cluster.max()) + 1
    notes += ["flip_rate is null: there are no predictions for the swapped order"] if swapped is None else []
    notes += [BINARY_NOTE] if binary else []
    if hard := int((data.probabilities.max(axis=1) == 1).sum()):
        notes.append(HARD_NOTE.format(hard=hard, rows=len(cluster)))
    return Evaluation(
        metrics=whole,
        slices=cut,
        baselines=_baselines(data, cluster, lengths, drawn, binary=binary, seed=seed),
        rows=len(cluster),
        clusters=clusters,
        notes=(*notes, *_undefined(whole, cut, clusters=clusters, draws=draws)),
        settings={"draws": draws, "seed": seed, "bins": BINS, "level": LEVEL, "binary": binary},
        versions={"numpy": np.__version__},
    )


def _check_file(
    targets: ArrayLike,
    probabilities: ArrayLike,
    weights: ArrayLike | None,
    swapped: ArrayLike | None,
    *,
    binary: bool | None,
    notes: list[str] | None = None,
) -> tuple[Checked, Probabilities | None]:
    """Check rows and predictions for the swapped order; in a binary file hand the mass of ties to a and b."""
    data = check_rows(targets, probabilities, weights, notes=notes)
    reverse = (
        None if swapped is None else check_probabilities(swapped, "probabilities of the swapped order", notes=notes)
    )
    if reverse is not None and len(reverse) != len(data.weights):
        raise DataError(
            f"{len(reverse)} rows are predicted in the swapped order, {len(data.weights)} as they are; "
            "give one for each"
        )
    has_ties = bool(data.weights @ data.targets[:, 2] > 0)
    if binary and has_ties:
        raise DataError("binary is set, but the votes hold ties; leave binary unset, or drop the ties")
    if has_ties if binary is None else not binary:
        return data, reverse
    return data._replace(probabilities=without_ties(data.probabilities)), reverse if reverse is None else without_ties(
        reverse
    )


def _codes(kind: str, values: ArrayLike, rows: int) -> tuple[Ints, list[str]]:
    """Number the values of a slice; missing are "unknown", rare "other"."""
    given = np.asarray(values, dtype=object)
    if given.shape != (rows,):
        raise DataError(f"slice {kind!r} has shape {given.shape}; allowed is ({rows},), one value for each row")
    text = np.array([str(value) if value not in (None, "") else UNKNOWN for value in given])
    names, code, count = np.unique(text, return_inverse=True, return_counts=True)
    if len(names) > MAX_VALUES:
        rare = np.argsort(-count, kind="stable")[MAX_VALUES - 1 :]
        text = np.where(np.isin(code, rare), OTHER, text)
        names, code = np.unique(text, return_inverse=True)
    return code.astype(np.int64), names.tolist()


def _baselines(
    data: Checked,
    cluster: Ints,
    lengths: ArrayLike | None,
    drawn: ClusterDraws,
    *,
    binary: bool,
    seed: int,
) -> dict[str, Figures]:
    t, p, w = data
    folds = group_folds(cluster, seed=seed)
    predictions = {"uniform": uniform(len(w), binary=binary), "prior": class_prior(t, w, folds=folds, binary=binary)}
    if lengths is not None:
        predictions["longer"] = longer_wins(t, lengths, w, folds=folds, binary=binary)
    out: dict[str, Figures] = {}
    for name, q in predictions.items():
        measure = Measure(Checked(t, q, w), cluster, drawn, swapped=swap_columns(q), perfect=False)
        gain = Figure(*mean_gain(log_losses(t, q) - log_losses(t, p), w, drawn))
        out[name] = measure.part(np.arange(len(w))) | {"log_loss_gain": gain}
    return out


def _undefined(whole: Figures, cut: Mapping[str, Mapping[str, Slice]], *, clusters: int, draws: int) -> list[str]:
    """Note which figures and intervals are not defined, and why."""
    notes = []
    if clusters < 2 or not draws:
        notes.append(f"intervals are null: {clusters} prompts, {draws} draws; at least 2 prompts and 1 draw are needed")
    known = {name for name, figure in whole.items() if not np.isnan(figure.value)}
    if missing := [name for name in whole if name not in known and name != "flip_rate"]:
        notes.append(f"{', '.join(missing)}: null, no vote to take a share of")
    for kind, parts in cut.items():
        for value, part in parts.items():
            if empty := [name for name, figure in part.metrics.items() if name in known and np.isnan(figure.value)]:
                notes.append(f"{kind} {value}: {', '.join(empty)}: null, no vote to take a share of")
            if part.clusters < 2 <= clusters:
                notes.append(f"{kind} {value}: intervals are null, all rows have one prompt")
    return notes


def compare_probabilities(
    targets: ArrayLike,
    probabilities: ArrayLike,
    reference: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    swapped: tuple[ArrayLike | None, ArrayLike | None] = (None, None),
    binary: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the figures of a reference, and the differences of a judge, by name.

    Both judges are measured on the same bootstrap files, so that what makes a file easy for both cancels.

    Args:
        targets: Votes, shape (n, 3).
        probabilities: Predictions of the judge, shape (n, 3).
        reference: Predictions of the reference, shape (n, 3).
        groups: Prompt of each row, shape (n,); every row by itself where None.
        weights: How much each row counts, shape (n,).
        swapped: Predictions of both for the swapped responses, for the flip rate.
        binary: Whether the mass of a tie is handed to a and b in proportion, as in a file without ties.
        draws: How many files the bootstrap draws; 0 for no intervals.
        seed: Seed of the bootstrap.

    Raises:
        DataError: If these are not probabilities of the same rows.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2] * 10]
        >>> own, its = votes * 0.7 + 0.1, np.full((30, 3), 1 / 3)
        >>> figures, difference = compare_probabilities(votes, own, its, draws=100)
        >>> round(figures["accuracy"].value, 2), round(difference["accuracy"].value, 2)
        (0.33, 0.67)
    """
    cluster = check_groups(groups, len(np.asarray(targets)))
    drawn = ClusterDraws(cluster, draws, seed)
    measures = []
    for predictions, swapped_predictions in zip((probabilities, reference), swapped, strict=True):
        data, reverse = _check_file(targets, predictions, weights, swapped_predictions, binary=binary)
        measures.append(Measure(data, cluster, drawn, swapped=reverse, perfect=False))
    judge, other = measures
    return other.part(np.arange(len(cluster))), judge.difference(other)
