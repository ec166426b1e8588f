"""What cannot be linked: each fault has a message of its own."""

from __future__ import annotations

import numpy as np
import pytest

from votecast.calibration.link import crossfit_link, fit_link
from votecast.errors import ConfigError, DataError

ROWS = 60
RNG = np.random.default_rng(0)
GAP, VOTES = RNG.normal(size=ROWS), np.eye(3)[RNG.integers(0, 3, ROWS)]


def changed(values, **rows):
    out = np.array(values, dtype=float)
    for row, value in rows.items():
        out[int(row.removeprefix("row"))] = value
    return out


@pytest.mark.parametrize(
    ("gap", "votes", "options", "said"),
    [
        (changed(GAP, row3=np.nan), VOTES, {}, r"gap of row 4 is nan \(rows like it: 1\).*leave out the rows"),
        (changed(GAP, row3=np.inf, row5=-np.inf), VOTES, {}, r"gap of row 4 is inf \(rows like it: 2\)"),
        (["x"] * ROWS, VOTES, {}, "gap does not hold numbers"),
        (GAP[:, None], VOTES, {}, r"gap has shape \(60, 1\)"),
        (np.zeros(ROWS), VOTES, {}, "gap is 0 in all 60 rows.*give scores that differ"),
        (np.full(ROWS, 1.5), VOTES, {}, "gap is 1.5 in all 60 rows"),
        (GAP[:29], VOTES[:29], {}, "on 29 votes that have scores.*at least 30"),
        (GAP[:0], VOTES[:0], {}, "on 0 votes that have scores"),
        (GAP, VOTES, {"weights": np.arange(ROWS) < 29}, "on 29 votes that have scores"),
        (GAP, np.eye(3)[[0] * ROWS], {}, "every one of the 60 votes is for a"),
        (GAP, np.eye(3)[[2] * ROWS], {}, "every one of the 60 votes calls a tie"),
        (GAP, VOTES[:-1], {}, "60 gaps are given for 59 votes"),
        (GAP, VOTES * 2, {}, r"votes.*must lie in \[0, 1\]"),
        (GAP, VOTES, {"weights": -np.ones(ROWS)}, "weight of row 1"),
        (GAP, VOTES, {"form": np.zeros(ROWS)}, "form is 0 in all 60 rows.*leave the length out"),
        (GAP, VOTES, {"form": changed(GAP, row0=np.nan)}, "form of row 1 is nan"),
        (GAP, VOTES, {"form": GAP[:5]}, "form has shape"),
        (GAP, VOTES, {"groups": np.arange(3)}, "groups have shape"),
    ],
)
def test_what_cannot_be_linked_is_one_clear_error(gap, votes, options, said):
    with pytest.raises(DataError, match=said):
        fit_link(gap, votes, **options)


def test_an_unknown_method_names_those_there_are():
    with pytest.raises(ConfigError, match="no link 'probit'; allowed are davidson, rao_kupper, ordered_logit, fixed"):
        fit_link(GAP, VOTES, method="probit")


def test_thirty_votes_suffice_and_only_classes_that_were_voted_count():
    assert fit_link(GAP[:30], VOTES[:30]).votes == 30
    assert fit_link(GAP, np.eye(3)[RNG.integers(0, 2, ROWS)]).fitted


def test_one_group_says_nothing_of_intervals():
    assert fit_link(GAP, VOTES, groups=np.zeros(ROWS)).intervals == {}


def test_figures_need_votes_of_other_folds():
    ones = np.ones(ROWS)
    with pytest.raises(DataError, match="all 60 votes are in one fold.*two different prompts"):
        crossfit_link(GAP, VOTES, ones, np.zeros(ROWS, dtype=int))
    folds = np.arange(ROWS) % 2
    with pytest.raises(DataError, match="fold 0: the other folds do not suffice"):
        crossfit_link(np.where(folds == 1, 2.0, GAP), VOTES, ones, folds)
