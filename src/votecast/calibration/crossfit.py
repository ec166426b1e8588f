"""Out-of-fold calibration: each fold is calibrated by a calibrator fitted on the other folds.

Called by training, recalibration and the automatic choice, for honest figures of a calibrated judge.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from votecast.calibration.base import Calibrator, Groups, make_calibrator
from votecast.errors import DataError, JudgeError
from votecast.metrics.checks import check_rows
from votecast.types import Probabilities


def crossfit_calibrate(
    method: str | Callable[[], Calibrator],
    probabilities: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    folds: ArrayLike,
    predictions: ArrayLike | None = None,
    *,
    clusters: ArrayLike | None = None,
    groups: Groups | None = None,
) -> Probabilities:
    """Calibrate each fold by a calibrator fitted on the other folds.

    Args:
        method: A name in `CALIBRATORS`, or a function that returns an unfitted calibrator.
        probabilities: Out-of-fold predictions, shape (n, 3).
        targets: Their votes, shape (n, 3).
        weights: How much each row counts, shape (n,); every row once where None.
        folds: Fold of each row, any numbers, shape (n,), such as `votecast.metrics.group_folds` makes from prompts.
        predictions: Other predictions of the same rows to calibrate instead of those fitted on, shape (n, 3), such as
            those of the battles with their responses swapped.
        clusters: Cluster of prompts of each row, shape (n,), for methods that cross-validate within.
        groups: What the rows are grouped by, for calibrators that group.

    Raises:
        ConfigError: If there is no such method.
        DataError: If these are not probabilities of the same rows, or there is a single fold.
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
        raise DataError(f"all {len(w)} rows are in fold {names[0]}; a calibrator needs at least one other fold")
    raw = p if predictions is None else check_rows(targets, predictions, weights).probabilities
    cluster = np.arange(len(w)) if clusters is None else np.asarray(clusters)
    columns = {by: np.asarray(each, dtype=object) for by, each in (groups or {}).items()}
    out = np.empty_like(p)
    for name in names:
        here = fold == name
        calibrator = make_calibrator(method) if isinstance(method, str) else method()
        known, held = ({by: each[rows] for by, each in columns.items()} for rows in (~here, here))
        try:
            calibrator.fit(p[~here], t[~here], w[~here], clusters=cluster[~here], groups=known)
            out[here] = calibrator.transform(raw[here], held)
        except (JudgeError, DataError) as error:
            raise JudgeError(f"fold {name}: the other folds are not enough: {error}") from error
    return out
