import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from votecast.data.simulation import Truth, simulate
from votecast.data.simulation.votes import GUESSES, LEANS, MOODS, Rater, cast_votes, davidson, vote_probabilities
from votecast.types import CLASSES

worth = st.floats(-30, 30)


@given(st.floats(-20, 20), st.floats(0.05, 5))
def test_davidson_follows_its_definition(difference, ties):
    a, b, tie = davidson([difference], ties)[0]
    assert a + b + tie == pytest.approx(1, abs=1e-12)
    assert np.log(a / b) == pytest.approx(difference, abs=1e-6)
    assert tie == pytest.approx(ties * np.sqrt(a * b), rel=1e-9)


@given(worth, worth)
def test_swapping_responses_swaps_the_truth(a, b):
    forth, back = vote_probabilities([a], [b])[0], vote_probabilities([b], [a])[0]
    np.testing.assert_allclose(forth, back[[1, 0, 2]], atol=1e-14)


@given(worth, worth)
def test_truth_is_a_distribution_that_leaves_nothing_out(a, b):
    p = vote_probabilities([a], [b])[0]
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.min() >= GUESSES / 3 - 1e-12


def test_both_noises_are_symmetric_distributions():
    for noise in (LEANS, MOODS):
        assert sum(share for _, share in noise) == pytest.approx(1)
        assert sum(value * share for value, share in noise) == pytest.approx(0)
        assert dict(noise) == {-value: share for value, share in noise}


def test_the_better_answer_wins_more_and_ties_are_most_likely_between_equals():
    p = vote_probabilities([0, 1, 2, 4], [0, 0, 0, 0])
    assert (np.diff(p[:, 0]) > 0).all()
    assert (np.diff(p[:, 2]) < 0).all()


def test_a_draw_decides_the_vote():
    raters = [Rater(guesses=True, shift=0.0, draw=draw) for draw in (0.0, 0.34, 0.99)]
    assert cast_votes([5.0, 5.0, 5.0], raters) == list(CLASSES)
    assert cast_votes([50.0], [Rater(guesses=False, shift=0.8, draw=0.99)]) == ["a"]


def test_votes_are_drawn_from_the_truth():
    parts = list(simulate(6000, seed=5))
    p = np.concatenate([truth.probabilities for _, truth in parts])
    seen = np.concatenate([battles.targets() for battles, _ in parts])
    for column in range(3):
        order = np.argsort(p[:, column])
        expected, found = (np.add.reduceat(x[order, column], np.arange(0, 6000, 600)) for x in (p, seen))
        spread = np.add.reduceat((p * (1 - p))[order, column], np.arange(0, 6000, 600))
        assert (((found - expected) ** 2) / spread).sum() < 29.6  # chi-square, 10 degrees of freedom, 0.1 %
    assert chisquare(seen.sum(axis=0), p.sum(axis=0)).pvalue > 0.01


def test_no_prediction_beats_the_truth_in_expectation():
    truth = Truth.concat([truth for _, truth in simulate(500)])
    p = truth.probabilities
    sharper = p**1.2 / (p**1.2).sum(axis=1, keepdims=True)
    assert -(p * np.log(sharper)).sum() > -(p * np.log(p)).sum()
