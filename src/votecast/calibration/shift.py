"""Few votes: how often ties are called and how bold to be, as far as the votes ask for a change at all."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from votecast.calibration.logits import UNCHANGED, LeastLogLoss, Logits
from votecast.metrics.checks import Checked
from votecast.types import Floats

SPREAD: Final = np.array([0.7, 1.0, 0.7, 0.7])
"""Standard deviation of the prior of each number around no change.

Chosen, as the models are, on sources of votes that were taken for new crowds in turn: see benchmarks/recalibration.py.
"""

MODELS: Final = (0, 3, 4)
"""How many of the numbers each model has."""

_TIES: Final = np.array([[1.0, 0, 0, 0], [1, 0, -1, 1], [0, 1, 0, 0], [0, 0, 0.5, 0]])
"""How scale, tie_scale, tie_bias and cross follow from the numbers: inverse temperature, tie bias, closeness (how far
a tie follows from how close the answers are, not from the tie forecast), and a scale of the tie forecast."""


class Shift(Logits):
    """Prior shift and temperature, shrunk towards no change; the more votes there are, the more of them may differ.

    Three models are averaged by how likely each makes the votes (Bayesian model averaging; Hoeting et al. 1999, eq. 1).
    The first changes nothing. The second has an inverse temperature, a shift of the tie's logit (Saerens et al. 2002,
    eq. 4), and a number for how far a tie follows from how close the answers are, as on Davidson's curve, rather than
    from the tie forecast: what makes people call a tie is what travels worst. The third also scales the tie forecast.
    Every number has a normal prior around no change. Votes that ask for nothing are hardly followed, votes that ask for
    much are; a hundred tell.

    Example:
        >>> votes = np.eye(3)[[0, 1, 2, 2] * 25]
        >>> rare = np.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1]] * 25)
        >>> 0.4 < float(Shift().fit(rare, votes).transform(rare)[:, 2].mean()) < 0.5
        True
    """

    method: ClassVar[str] = "shift"
    parameters: ClassVar[int] = 3

    def _fitted(self, rows: Checked) -> Floats:
        return _numbers(rows)


def shifted(rows: Checked, no_change: float = 1.0) -> Shift:
    """The calibrator of these rows, whatever was voted: without a vote for a tie, ties become rare, not impossible.

    Args:
        rows: Forecasts, votes and weights.
        no_change: How much likelier than any other model "no change" is before a vote is seen.
    """
    return Shift(_numbers(rows, no_change))


def _numbers(rows: Checked, no_change: float = 1.0) -> Floats:
    theta, evidence = np.zeros((len(MODELS), len(SPREAD))), np.empty(len(MODELS))
    for place, free in enumerate(MODELS):
        found = LeastLogLoss(rows, _TIES[:, :free]).find(SPREAD[:free])
        theta[place, :free], evidence[place] = found.theta, found.evidence
    evidence[0] += np.log(no_change)
    likely = np.exp(evidence - evidence.max())
    mean = np.einsum("m,mk->k", likely / likely.sum(), theta)
    return np.asarray(UNCHANGED + np.einsum("jk,k->j", _TIES, mean))
