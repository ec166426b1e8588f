"""What rounding costs: the log loss of a faster mode beside that of fp32, on the same votes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from votecast.errors import DataError
from votecast.inference.engine import Floats, encode_sequences
from votecast.inference.settings import InferenceSettings
from votecast.metrics import log_loss
from votecast.text.sequences import Sequences
from votecast.types import Probabilities

TOLERANCE = 0.001


@dataclass(frozen=True)
class PrecisionCheck:
    """Log loss in fp32 and in a faster mode.

    Args:
        exact: Log loss in fp32.
        found: Log loss in the faster mode.
        largest: The furthest that a probability moved.

    Example:
        >>> check = PrecisionCheck(exact=1.0312, found=1.0315, largest=0.02)
        >>> round(check.shift, 4), check.kept
        (0.0003, True)
    """

    exact: float
    found: float
    largest: float

    @property
    def shift(self) -> float:
        """How far the log loss moved."""
        return self.found - self.exact

    @property
    def kept(self) -> bool:
        """Whether it moved by at most 0.001."""
        return abs(self.shift) <= TOLERANCE


def check_precision(
    network: Any,
    sequences: Sequences,
    targets: Probabilities,
    forecast: Callable[[Floats], Probabilities],
    settings: InferenceSettings,
    *,
    pad_id: int,
) -> PrecisionCheck:
    """Measure a mode on votes before using it.

    Args:
        network: As for `encode_sequences`.
        sequences: All sequences of n battles.
        targets: Their votes, shape (n, 3).
        forecast: From the network's outputs for these sequences to probabilities of shape (n, 3).
        settings: The mode.
        pad_id: Token id that fills shorter sequences up.

    Raises:
        DataError: If there are no battles.
    """
    if not len(targets):
        raise DataError("no battles to measure the precision on; give some with votes")
    exact_settings = settings.model_copy(update={"precision": "fp32"})
    exact, found = (
        forecast(encode_sequences(network, sequences, mode, pad_id=pad_id)) for mode in (exact_settings, settings)
    )
    return PrecisionCheck(log_loss(targets, exact), log_loss(targets, found), float(np.abs(found - exact).max()))
