"""Dirichlet calibration: matrix scaling whose off-diagonal part and biases are kept small."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from votecast.calibration.logits import Logits, least_log_loss
from votecast.metrics.checks import Checked
from votecast.metrics.rows import Floats

SPREAD: Final = np.array([30.0, 30.0, 0.5, 0.1])
"""Standard deviations of the priors: the diagonal is free, the tie's bias and the off-diagonal part are kept small."""


class Dirichlet(Logits):
    """Linear in the log-probabilities (Kull et al. 2019, eq. 2), with their off-diagonal and intercept penalty, ODIR.

    Of the matrices and biases that give the same forecasts whichever answer is called a, ODIR prefers one; its penalty
    is then a square of the tie's bias and a square of the off-diagonal part `cross`, around vector scaling without a
    bias. The penalty has the size of a prior, which many votes outweigh.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 50]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 50)
        >>> float(Dirichlet().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "dirichlet"

    def _fitted(self, rows: Checked) -> Floats:
        return least_log_loss(rows, SPREAD)
