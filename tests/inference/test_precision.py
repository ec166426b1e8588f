"""Test that the loss of a faster precision is measured on votes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from tests.inference.networks import network_of, sequences

from votecast.errors import DataError
from votecast.inference.precision_check import PrecisionCheck, check_precision
from votecast.inference.settings import InferenceSettings
from votecast.text.sequences import Sequences

BF16 = InferenceSettings(precision="bf16")


def predict(outputs: np.ndarray) -> np.ndarray:
    return softmax(outputs.astype(np.float64) / 10, axis=1)


def test_rounding_moves_the_log_loss_a_little() -> None:
    rows = sequences()
    targets = np.eye(3)[np.arange(len(rows)) % 3]
    check = check_precision(network_of("bert"), rows, targets, predict, BF16, pad_id=0)
    assert 0 < check.largest < 0.05
    assert 0 < abs(check.shift) < 0.01


def test_fp32_costs_nothing() -> None:
    rows = sequences()
    targets = np.eye(3)[np.arange(len(rows)) % 3]
    check = check_precision(network_of("bert"), rows, targets, predict, InferenceSettings(), pad_id=0)
    assert (check.shift, check.largest, check.kept) == (0.0, 0.0, True)


def test_a_mode_that_gains_or_loses_too_much_is_not_kept() -> None:
    assert not PrecisionCheck(exact=1.0, found=1.0011, largest=0.1).kept
    assert not PrecisionCheck(exact=1.0, found=0.9989, largest=0.1).kept


def test_no_votes_are_refused() -> None:
    with pytest.raises(DataError, match="no battles"):
        check_precision(network_of("bert"), Sequences.from_lists([]), np.zeros((0, 3)), predict, BF16, pad_id=0)
