"""Dirichlet calibration: matrix scaling whose off-diagonal part and biases are kept small."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from votecast.calibration.logits import Logits, least_log_loss
from votecast.metrics.checks import Checked
from votecast.types import Floats

SPREAD: Final = np.array([1.0, 1.0, 1.0, 0.2])
"""Standard deviations of the priors around no change: diagonal, tie's bias, off-diagonal part.

Chosen on sources of votes that were taken for new crowds in turn; see benchmarks/recalibration.py.
"""


class Dirichlet(Logits):
    """Linear in the log-probabilities (Kull et al. 2019, eq. 2), with their off-diagonal and intercept penalty, ODIR.

    Where a and b share what they learn, that penalty comes down to the square of the tie's bias and the square of the
    off-diagonal part `cross`. The diagonal, which ODIR leaves free, is held loosely around no change. The penalties
    have the size of priors: two hundred votes begin to outweigh them.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 50]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 50)
        >>> float(Dirichlet().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "dirichlet"

    def _fitted(self, rows: Checked) -> Floats:
        return least_log_loss(rows, SPREAD)
