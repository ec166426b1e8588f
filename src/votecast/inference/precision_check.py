"""Measure what a faster precision costs in log loss, on the same votes.

Users call it before they choose a precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import nn

from votecast.errors import DataError
from votecast.inference.engine import Engine, Vectors
from votecast.inference.settings import InferenceSettings
from votecast.metrics import log_loss
from votecast.text.sequences import Sequences
from votecast.types import Probabilities


@dataclass(frozen=True)
class PrecisionCheck:
    """Log loss in fp32 and in a faster mode.

    Args:
        exact: Log loss in fp32.
        found: Log loss in the faster mode.
        largest: Largest change of a probability.
    """

    exact: float
    found: float
    largest: float

    @property
    def shift(self) -> float:
        """Change of the log loss."""
        return self.found - self.exact

    @property
    def kept(self) -> bool:
        """Whether the log loss changes by at most 0.001."""
        return abs(self.shift) <= 0.001


def check_precision(
    network: nn.Module,
    sequences: Sequences,
    targets: Probabilities,
    predict: Callable[[Vectors], Probabilities],
    settings: InferenceSettings,
    *,
    pad_id: int,
) -> PrecisionCheck:
    """Compare a precision with fp32 on votes.

    Args:
        network: As for `Engine`.
        sequences: All sequences of n battles.
        targets: Their votes, shape (n, 3).
        predict: From the network's outputs for these sequences to probabilities of shape (n, 3).
        settings: The mode to measure.
        pad_id: Token id of padding.

    Raises:
        DataError: If there are no battles.
    """
    if not len(targets):
        raise DataError("no battles to measure the precision on; give some with votes")
    modes = (settings.model_copy(update={"precision": "fp32"}), settings)
    exact, found = (predict(Engine(network, mode).encode(sequences, pad_id=pad_id)) for mode in modes)
    return PrecisionCheck(log_loss(targets, exact), log_loss(targets, found), float(np.abs(found - exact).max()))
