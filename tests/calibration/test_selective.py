"""Test that thresholds keep the target error at the target confidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from votecast.calibration.selective import (
    Selection,
    fewest_rows,
    learn_then_test,
    selection_with_guaranteed_risk,
)

METHODS: dict[str, Callable[..., Selection]] = {"ltt": learn_then_test, "sgr": selection_with_guaranteed_risk}


@pytest.mark.parametrize(("method", "share"), [("ltt", 0.8), ("sgr", 0.75)])
def test_the_error_is_controlled_and_most_decidable_rows_are_decided(method: str, share: float) -> None:
    rng, kept, decided = np.random.default_rng(0), [], []
    for _ in range(200):
        scores = rng.random(3000)
        found = METHODS[method](scores, rng.random(3000) < 0.4 * (1 - scores), error=0.1, confidence=0.9)
        threshold = 1.0 if found.threshold is None else found.threshold
        kept.append(0.4 * (1 - threshold) / 2 <= 0.1)  # the true error above a threshold
        decided.append((1 - threshold) / 0.5)  # with the threshold at 0.5 the error is 0.1
    assert np.mean(kept) >= 0.9
    assert np.mean(decided) >= share


@pytest.mark.parametrize("method", METHODS)
def test_an_error_above_the_allowed_one_everywhere_is_seldom_accepted(method: str) -> None:
    rng = np.random.default_rng(1)
    draws = [(rng.random(300), rng.random(300) < 0.11) for _ in range(200)]
    found = [METHODS[method](*draw, error=0.1, confidence=0.9).threshold for draw in draws]
    assert sum(threshold is not None for threshold in found) <= 20


def test_the_test_is_the_exact_binomial_one() -> None:
    scores, wrong = np.full(100, 0.7), np.arange(100) < 3
    for error in np.linspace(0.05, 0.2, 16):
        passes = binom.cdf(3, 100, error) <= 0.1 / 2  # one score: a search of two steps
        found = selection_with_guaranteed_risk(scores, wrong, error=float(error), confidence=0.9)
        assert (found.threshold is not None) == passes
        assert (found.decided, found.wrong) == (100, 3)


def test_fewest_rows_is_where_faultless_decisions_begin_to_pass() -> None:
    for error, confidence in ((0.1, 0.9), (0.05, 0.95), (0.3, 0.5)):
        fewest = fewest_rows(error, confidence)
        assert binom.cdf(0, fewest, error) <= 1 - confidence < binom.cdf(0, fewest - 1, error)
    scores = np.linspace(0.5, 1, 40)  # 32 of them test
    assert learn_then_test(scores, scores < 0, error=0.1, confidence=0.9).threshold is not None
    assert learn_then_test(scores, scores < 0, error=0.05, confidence=0.9).threshold is None


@pytest.mark.parametrize("method", METHODS)
@given(
    scores=st.lists(st.sampled_from([-np.inf, 0.4, 0.5, 0.6, 0.9]), max_size=60),
    share=st.floats(0, 1),
    error=st.floats(0.01, 0.99),
    confidence=st.floats(0.01, 0.99),
)
def test_whatever_is_given_a_threshold_passes_its_own_test(
    method: str, scores: list[float], share: float, error: float, confidence: float
) -> None:
    known = np.array(scores, dtype=np.float64)
    wrong = np.random.default_rng(0).random(len(known)) < share
    found = METHODS[method](known, wrong, error=error, confidence=confidence)
    assert 0 <= found.wrong <= found.decided <= found.rows <= len(known)
    if found.threshold is not None:
        assert np.isfinite(found.threshold)
        assert binom.cdf(found.wrong, found.decided, error) <= 1 - confidence + 1e-9
