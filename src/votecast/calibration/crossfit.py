"""Calibrated forecasts of rows that the calibrator never saw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.calibration.base import Calibrator, Groups
from votecast.calibration.table import make_calibrator
from votecast.errors import DataError, JudgeError
from votecast.metrics.checks import check_rows
from votecast.types import Probabilities


def crossfit_calibrate(
    method: str | Callable[[], Calibrator],
    probabilities: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    folds: ArrayLike,
    forecasts: ArrayLike | None = None,
    *,
    clusters: ArrayLike | None = None,
    groups: Groups | None = None,
) -> Probabilities:
    """Calibrate each fold by what the other folds say: honest figures for a calibrated judge.

    Args:
        method: A name in `CALIBRATORS`, or what makes a calibrator that has learnt nothing yet.
        probabilities: Out-of-fold forecasts, shape (n, 3).
        targets: Their votes, shape (n, 3).
        weights: How much each row counts, shape (n,); every row once where None.
        folds: Fold of each row, any numbers, shape (n,); at least two folds. `votecast.metrics.group_folds` makes some
            from prompts.
        forecasts: Other forecasts of the same rows to calibrate in place of those that are learnt from, shape (n, 3),
            such as those of the battles with their answers exchanged.
        clusters: Cluster of prompts of each row, shape (n,), for methods that cross-validate within.
        groups: What the rows are grouped by, for calibrators that group.

    Returns:
        Calibrated probabilities of the same rows, shape (n, 3).

    Raises:
        ConfigError: If there is no such method.
        DataError: If these are not probabilities or folds of the same rows.
        JudgeError: If the other folds of some fold cannot be calibrated on; the message names it.

    Example:
        >>> votes, bold = np.eye(3)[[0, 0, 1, 2] * 2], np.tile([0.98, 0.01, 0.01], (8, 1))
        >>> crossfit_calibrate("temperature", bold, votes, None, [0, 0, 0, 0, 1, 1, 1, 1])[0].round(3)
        array([0.5 , 0.25, 0.25])
    """
    t, p, w = check_rows(targets, probabilities, weights)
    fold = np.asarray(folds)
    if fold.shape != (len(w),):
        raise DataError(f"folds have shape {fold.shape}; allowed is ({len(w)},), one for each row")
    names = np.unique(fold)
    if len(names) < 2:
        raise DataError(
            f"all {len(w)} rows are in fold {names[0]}; a calibrator needs at least one other fold to learn from"
        )
    raw = p if forecasts is None else check_rows(targets, forecasts, weights)[1]
    cluster = None if clusters is None else np.asarray(clusters)
    out = np.empty_like(p)
    for name in names:
        here = fold == name
        try:
            calibrator = make_calibrator(method) if isinstance(method, str) else method()
            calibrator.fit(
                p[~here],
                t[~here],
                w[~here],
                clusters=None if cluster is None else cluster[~here],
                groups=_of(groups, ~here),
            )
            out[here] = calibrator.transform(raw[here], _of(groups, here))
        except (JudgeError, DataError) as error:
            raise JudgeError(f"fold {name}: the other folds do not suffice: {error}") from error
    return out


def _of(groups: Groups | None, rows: NDArray[np.bool_]) -> Groups | None:
    """The groups of some rows."""
    if groups is None:
        return None
    return {by: np.asarray(names, dtype=object)[rows].tolist() for by, names in groups.items()}
