"""Few votes: how often ties are called and how bold to be, each shrunk towards no change."""

from __future__ import annotations

import itertools
from typing import ClassVar, Final

import numpy as np

from votecast.calibration.logits import UNCHANGED, LeastLogLoss, Logits
from votecast.metrics.checks import Checked
from votecast.metrics.rows import Floats

WIDTHS: Final = (0.03, 0.3, 1.0)
"""Standard deviations of the priors: about no change, a change as between like crowds, a change as between unlike ones.

Chosen on sources of votes that were taken for new crowds in turn; see benchmarks/recalibration.py.
"""

_TIES: Final = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


class Shift(Logits):
    """Two numbers: an inverse temperature on all logits, and a shift of the tie's (Saerens et al. 2002, eq. 4).

    Each has a normal prior around no change whose width is not known either: of three widths each, the nine estimates
    are averaged by how likely they make the votes (MacKay 1992, section 5). Votes that ask for nothing are hardly
    followed, votes that ask for much are followed all the way; a hundred are enough to tell.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 25]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 25)
        >>> 0.4 < float(Shift().fit(rare, votes).transform(rare)[:, 2].mean()) < 0.5
        True
    """

    method: ClassVar[str] = "shift"
    parameters: ClassVar[int] = 2

    def _fitted(self, rows: Checked) -> Floats:
        return _numbers(rows)


def shifted(rows: Checked) -> Shift:
    """The calibrator of these rows, whatever was voted: without a vote for a tie, ties become rare, not impossible."""
    return Shift(_numbers(rows))


def _numbers(rows: Checked) -> Floats:
    problem = LeastLogLoss(rows, _TIES)
    free = problem.find(np.full(2, WIDTHS[-1])).theta
    found = [problem.find(np.array(pair), free) for pair in itertools.product(WIDTHS, repeat=2)]
    evidence = np.array([one.evidence for one in found])
    likely = np.exp(evidence - evidence.max())
    mean = np.einsum("m,mk->k", likely / likely.sum(), np.stack([one.theta for one in found]))
    return np.asarray(UNCHANGED + np.einsum("jk,k->j", _TIES, mean))
