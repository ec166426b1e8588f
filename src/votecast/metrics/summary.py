"""The page of honest figures: everything that can be said about forecasts once the votes are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import DataError
from votecast.metrics.baselines import class_prior, group_folds, longer_wins, uniform
from votecast.metrics.bootstrap import LEVEL, ClusterDraws, paired_gain
from votecast.metrics.checks import Checked, check_groups, check_probabilities, check_rows
from votecast.metrics.reliability import BINS
from votecast.metrics.result import Evaluation, Figure, Figures, Slice
from votecast.metrics.rows import without_ties
from votecast.metrics.table import Measure
from votecast.types import Probabilities, swap_columns

MAX_VALUES: Final = 20
OTHER: Final = "other"
UNKNOWN: Final = "unknown"
BINARY_NOTE: Final = "no tie was voted: the mass of a tie is handed to a and b in proportion, for judge and baselines"


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
    """Measure forecasts against votes: all figures, sliced, with intervals, beside the null baselines.

    Intervals come from a bootstrap over groups. Where no tie was voted at all, the file is taken as binary: the mass of
    a tie is handed to a and b in proportion, for the judge and for the baselines, and a note says so. The baselines
    "prior" and "longer" are the frequencies of this very file, from other folds of groups than the row they forecast.

    Args:
        targets: Votes, one-hot or soft, shape (n, 3), columns a, b, tie.
        probabilities: Forecasts, shape (n, 3).
        groups: Prompt of each row, shape (n,), any names; every row by itself where None.
        weights: How much each row counts, shape (n,).
        slices: Kind of slice to the value of each row, shape (n,). Beyond 20 values the rarest are put together.
        swapped: Forecasts for the same battles with their answers exchanged, as the judge gives them, shape (n, 3).
        lengths: Characters of answers a and b, shape (n, 2), for the baseline "longer".
        binary: Whether ties cannot occur; None finds out.
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
    data = check_rows(targets, probabilities, weights)
    cluster = check_groups(groups, len(data.weights))
    reverse = None if swapped is None else _exchanged(swapped, len(data.weights))
    notes = [] if swapped is not None else ["flip_rate is null: there are no forecasts for the exchanged order"]
    if binary if binary is not None else not (data.weights @ data.targets[:, 2]):
        data, reverse = _binary(data), None if reverse is None else without_ties(reverse)
        notes.append(BINARY_NOTE)
        binary = True
    drawn = ClusterDraws(cluster, draws, seed)
    measure = Measure(data, cluster, drawn, exchanged=reverse)
    cuts = {kind: _codes(kind, values, len(cluster)) for kind, values in (slices or {}).items()}
    whole, *parts = measure.figures([np.zeros_like(cluster), *(codes for codes, _ in cuts.values())], seed)
    cut = {kind: _slices(*cuts[kind], cluster, figures) for kind, figures in zip(cuts, parts, strict=True)}
    notes += _notes(whole[0], cut, clusters=int(cluster.max()) + 1, draws=draws)
    return Evaluation(
        metrics=whole[0],
        slices=cut,
        baselines=_baselines(data, cluster, lengths, drawn, binary=bool(binary), seed=seed),
        rows=len(cluster),
        clusters=int(cluster.max()) + 1,
        notes=tuple(notes),
        settings={"draws": draws, "seed": seed, "bins": BINS, "level": LEVEL, "binary": bool(binary)},
        versions={"numpy": np.__version__},
    )


def _exchanged(swapped: ArrayLike, rows: int) -> Probabilities:
    q = check_probabilities(swapped, "probabilities of the exchanged order")
    if len(q) != rows:
        raise DataError(f"{len(q)} rows are forecast in the exchanged order, {rows} as they are; give one for each")
    return q


def _binary(data: Checked) -> Checked:
    if (data.weights @ data.targets[:, 2]) > 0:
        raise DataError("binary is set, but the votes hold ties; leave binary unset, or drop the ties")
    return data._replace(probabilities=without_ties(data.probabilities))


def _codes(kind: str, values: ArrayLike, rows: int) -> tuple[NDArray[np.int64], list[str]]:
    """Number the values of a slice in sorted order; missing ones are "unknown", rare ones "other"."""
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


def _slices(
    codes: NDArray[np.int64], names: list[str], cluster: NDArray[np.int64], figures: list[dict[str, Figure]]
) -> dict[str, Slice]:
    rows = [np.flatnonzero(codes == number) for number in range(len(names))]
    parts = zip(names, rows, figures, strict=True)
    return {name: Slice(len(index), len(np.unique(cluster[index])), found) for name, index, found in parts}


def _baselines(
    data: Checked,
    cluster: NDArray[np.int64],
    lengths: ArrayLike | None,
    drawn: ClusterDraws,
    *,
    binary: bool,
    seed: int,
) -> dict[str, Figures]:
    t, p, w = data
    folds = group_folds(cluster, seed=seed)
    forecasts = {"uniform": uniform(len(w), binary=binary), "prior": class_prior(t, w, folds=folds, binary=binary)}
    if lengths is not None:
        forecasts["longer"] = longer_wins(t, lengths, w, folds=folds, binary=binary)
    out: dict[str, Figures] = {}
    for name, q in forecasts.items():
        measure = Measure(Checked(t, q, w), cluster, drawn, exchanged=swap_columns(q), perfect=False)
        figures = measure.part(np.arange(len(w)))
        gain = paired_gain(t, p, q, w, groups=cluster, draws=len(drawn), seed=seed)
        out[name] = figures | {"log_loss_gain": Figure(*gain)}
    return out


def _notes(whole: Figures, cut: Mapping[str, Mapping[str, Slice]], *, clusters: int, draws: int) -> list[str]:
    notes = []
    if clusters < 2 or not draws:
        notes.append(f"intervals are null: {clusters} prompts, {draws} draws; at least 2 prompts and 1 draw are needed")
    known: Any = {name for name, figure in whole.items() if not np.isnan(figure.value)}
    if missing := [name for name in whole if name not in known and name != "flip_rate"]:
        notes.append(f"{', '.join(missing)}: null, no vote to take a share of")
    for kind, parts in cut.items():
        for value, part in parts.items():
            if empty := [name for name, figure in part.metrics.items() if name in known and np.isnan(figure.value)]:
                notes.append(f"{kind} {value}: {', '.join(empty)}: null, no vote to take a share of")
            if part.clusters < 2 <= clusters:
                notes.append(f"{kind} {value}: intervals are null, all rows have one prompt")
    return notes
