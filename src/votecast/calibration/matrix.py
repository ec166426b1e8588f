"""Matrix scaling: every logit sees all three probabilities, tied between a and b."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from votecast.calibration.logits import Logits, least_log_loss
from votecast.metrics.checks import Checked
from votecast.types import Floats

_WIDE: Final = np.array([30.0, 30.0, 30.0, 30.0])
"""A prior that moves nothing which votes can tell, and keeps the numbers finite where forecasts divide the votes."""


class Matrix(Logits):
    """A matrix on the log-probabilities and a bias for each class (Guo et al. 2017, matrix scaling), tied.

    The matrix does not care which answer is called a; four numbers are left of it (see `votecast.calibration.logits`):
    those of vector scaling, and how far the tie depends on both answers together. Least log loss, which is convex.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 5]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 5)
        >>> float(Matrix().fit(rare, votes).transform(rare)[:, 2].mean().round(2))
        0.5
    """

    method: ClassVar[str] = "matrix"

    def _fitted(self, rows: Checked) -> Floats:
        return least_log_loss(rows, _WIDE)
