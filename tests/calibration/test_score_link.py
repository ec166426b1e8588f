"""Test links: swap symmetry, monotonicity, maximum likelihood, interval coverage."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import logistic
from sklearn.linear_model import LogisticRegression

from votecast.calibration.link_fit import crossfit_link, fit_link
from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK, METHODS, Link, LinkSettings
from votecast.calibration.tie_models import TIE_MODELS
from votecast.errors import ConfigError, DataError
from votecast.metrics import group_folds, log_loss
from votecast.types import swap_columns

FITTED = list(TIE_MODELS)
TIES = {"davidson": ("nu", 0.9), "rao_kupper": ("theta", 2.0), "ordered_logit": ("cut", 0.7)}
TRUE = {method: Link(method, {"scale": 0.6, name: value}) for method, (name, value) in TIES.items()}
WITH_LENGTH = {
    method: Link(method, {"scale": 0.6, "length": -0.8, name: value}) for method, (name, value) in TIES.items()
}
NUMBER = st.floats(-1e6, 1e6)


def drawn(link: Link, gap, rng, form=None):
    edges = link.predict(gap, form).cumsum(axis=1)[:, :2]
    return np.eye(3)[(rng.random(len(gap))[:, None] > edges).sum(axis=1)]


def arena(method: str, rows: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    gap = rng.normal(size=rows) * 2.5
    return gap, drawn(TRUE[method], gap, rng)


def links():
    ties = {
        "davidson": ("nu", st.floats(1e-3, 1e3)),
        "rao_kupper": ("theta", st.floats(1.001, 1e3)),
        "ordered_logit": ("cut", st.floats(1e-3, 20)),
    }

    def made(method):
        name, values = ties[method]
        slopes = {"scale": st.floats(-20, 20), name: values}
        return st.builds(
            lambda plain, length: Link(method, plain | ({} if length is None else {"length": length})),
            st.fixed_dictionaries(slopes),
            st.none() | st.floats(-20, 20),
        )

    return st.sampled_from(FITTED).flatmap(made) | st.just(FIXED_LINK) | st.just(DEFAULT_LINK)


@settings(max_examples=150)
@given(link=links(), rows=st.lists(st.tuples(NUMBER, st.floats(-15, 15)), min_size=1, max_size=20))
def test_swapping_responses_swaps_the_columns_bit_for_bit(link, rows):
    gap, form = np.array(rows).T
    p = link.predict(gap, form)
    assert np.array_equal(link.predict(-gap, -form), swap_columns(p))
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-9
    assert (p >= 0).all()


@settings(max_examples=100)
@given(link=links(), gaps=st.lists(st.floats(-300, 300), min_size=2, max_size=30))
def test_a_larger_gap_never_lowers_the_leading_response(link, gaps):
    gap = np.sort(gaps)
    p = link.predict(gap, np.zeros_like(gap))
    lead = np.diff(p[:, 0] - p[:, 1]) * np.sign(link.parameters.get("scale", 1.0))
    assert (lead >= -1e-12).all()


@given(link=links(), gap=NUMBER, seed=st.integers(0, 5))
def test_rows_do_not_depend_on_each_other_and_survive_json(link, gap, seed):
    others = np.random.default_rng(seed).normal(size=40) * 5
    gaps, forms = np.append(others, gap), np.append(others[::-1], 0.5)
    whole = link.predict(gaps, forms)
    again = Link.from_dict(json.loads(json.dumps(link.to_dict())))
    assert again == link
    assert np.array_equal(again.predict(gaps[-1:], forms[-1:]), whole[-1:])


def test_empty_input_gives_no_rows_and_large_gaps_stay_finite():
    for link in (*TRUE.values(), DEFAULT_LINK, FIXED_LINK):
        assert link.predict(np.zeros(0)).shape == (0, 3)
        p = link.predict(np.array([1e300, -1e308, 0.0]))
        assert np.isfinite(p).all() and (p > 0).all()


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("length", [False, True])
def test_the_fit_is_where_a_second_implementation_finds_the_largest_likelihood(method, length):
    """Compare with published formulas and a derivative-free search."""
    rng = np.random.default_rng(2)
    gap, form, w = rng.normal(size=250) * 20, rng.normal(size=250) * 0.7, rng.uniform(0.2, 3, 250)
    y = rng.dirichlet(np.ones(3), 250) * 0.5 + 0.5 * drawn(TRUE[method], gap / 20, rng)

    def loss(point):
        d = point[0] * gap / 20 + (point[2] * form if length else 0)
        if method == "davidson":  # strengths of Bradley and Terry, one of them 1
            strength = np.exp(d)
            tie = np.exp(point[1]) * np.sqrt(strength)
            p = np.stack([strength, np.ones_like(d), tie], axis=1) / (strength + 1 + tie)[:, None]
        elif method == "rao_kupper":
            strength, theta = np.exp(d), np.exp(np.exp(point[1]))
            a, b = strength / (strength + theta), 1 / (1 + theta * strength)
            p = np.stack([a, b, 1 - a - b], axis=1)
        else:  # cumulative probabilities
            cut = np.exp(point[1])
            a, b = logistic.sf(cut, loc=d), logistic.cdf(-cut, loc=d)
            p = np.stack([a, b, 1 - a - b], axis=1)
        return -float((w[:, None] * y * np.log(p)).sum() / w.sum())

    start = np.zeros(3 if length else 2)
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 5000}).x
    link = fit_link(gap, y, w, method=method, form=form if length else None)
    name = TIES[method][0]
    tie = {"davidson": np.exp, "rao_kupper": lambda t: np.exp(np.exp(t)), "ordered_logit": np.exp}[method](found[1])
    assert link.parameters["scale"] == pytest.approx(found[0] / 20, rel=1e-4)
    assert link.parameters[name] == pytest.approx(float(tie), rel=1e-4)
    if length:
        assert link.parameters["length"] == pytest.approx(found[2], rel=1e-4, abs=1e-5)


def test_davidson_without_ties_is_logistic_regression_on_decided_votes():
    rng = np.random.default_rng(3)
    gap = rng.normal(size=400)
    won = rng.random(400) < 1 / (1 + np.exp(-1.3 * gap))
    both = np.concatenate([gap, -gap])[:, None]  # both orders: the intercept is 0
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    reference.fit(both, np.concatenate([won, ~won]))
    link = fit_link(gap, np.eye(3)[np.where(won, 0, 1)])
    assert link.parameters["scale"] == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert 0 < link.predict(gap)[:, 2].max() < 0.01


def test_ordered_logit_and_rao_kupper_are_one_curve():
    gap, votes = arena("rao_kupper", 300)
    one, two = (fit_link(gap, votes, method=method) for method in ("rao_kupper", "ordered_logit"))
    assert one.predict(gap) == pytest.approx(two.predict(gap), abs=1e-9)
    assert np.log(one.parameters["theta"]) == pytest.approx(two.parameters["cut"], rel=1e-9)


@pytest.mark.parametrize("method", FITTED)
def test_the_fit_does_not_depend_on_response_order(method):
    gap, votes = arena(method, 200)
    form = np.random.default_rng(0).normal(size=200)
    flipped = np.random.default_rng(1).random(200) < 0.5
    sign, swapped = np.where(flipped, -1, 1), np.where(flipped[:, None], swap_columns(votes), votes)
    one = fit_link(gap, votes, method=method, form=form)
    two = fit_link(gap * sign, swapped, method=method, form=form * sign)
    assert one.parameters == pytest.approx(two.parameters, rel=1e-9)


@pytest.mark.parametrize("method", FITTED)
def test_the_fit_does_not_depend_on_the_unit_of_scores(method):
    gap, votes = arena(method, 300)
    one = fit_link(gap, votes, method=method)
    for unit in (1e-9, 1e6):
        two = fit_link(gap * unit, votes, method=method)
        assert two.parameters["scale"] * unit == pytest.approx(one.parameters["scale"], rel=1e-5)
        assert two.intervals["scale"][1] * unit == pytest.approx(one.intervals["scale"][1], rel=1e-5)


@pytest.mark.parametrize("method", FITTED)
def test_intervals_have_nominal_coverage(method):
    rng, held, draws = np.random.default_rng(6), np.zeros((2, 3)), 80
    truth = WITH_LENGTH[method].parameters
    for _ in range(draws):
        gap, form = rng.normal(size=300) * 2.5, rng.normal(size=300)
        votes = drawn(WITH_LENGTH[method], gap, rng, form)
        for at, groups in enumerate((None, np.arange(300))):
            found = fit_link(gap, votes, method=method, form=form, groups=groups).intervals
            held[at] += [low <= truth[name] <= high for name, (low, high) in found.items()]
    assert (held / draws > 0.87).all()


def test_clustered_rows_widen_intervals():
    gap, votes = arena("davidson", 200)
    many, groups = np.tile(np.arange(200), 5), np.tile(np.arange(200), 5)
    width = {name: np.ptp(ends) for name, ends in fit_link(gap, votes, groups=np.arange(200)).intervals.items()}
    repeated = fit_link(gap[many], votes[many], groups=groups)
    assert {name: np.ptp(ends) for name, ends in repeated.intervals.items()} == pytest.approx(width, rel=1e-3)
    assert np.ptp(fit_link(gap[many], votes[many]).intervals["scale"]) < 0.5 * width["scale"]


def test_a_weight_counts_as_that_many_votes_and_its_unit_does_not_count():
    gap, votes = arena("davidson", 120)
    weights = np.random.default_rng(5).integers(0, 4, 120)
    rows = np.repeat(np.arange(120), weights)
    one, two = fit_link(gap, votes, weights), fit_link(gap[rows], votes[rows])
    assert one.parameters == pytest.approx(two.parameters, rel=1e-4)
    three = fit_link(gap, votes, weights * 1e3)
    assert three.intervals["scale"] == pytest.approx(one.intervals["scale"], rel=1e-3)


def test_soft_labels_are_as_good_as_many_votes():
    gap, _ = arena("davidson", 400)
    link = fit_link(gap, TRUE["davidson"].predict(gap))
    assert link.parameters == pytest.approx(TRUE["davidson"].parameters, rel=1e-3)


@pytest.mark.parametrize("method", FITTED)
def test_separable_votes_give_a_finite_link(method):
    gap = np.random.default_rng(6).normal(size=60)
    for votes in (np.where(gap > 0, 0, 1), np.where(np.abs(gap) < 0.5, 2, np.where(gap > 0, 0, 1))):
        link = fit_link(gap, np.eye(3)[votes], method=method)
        p = link.predict(gap)
        assert np.isfinite(list(link.parameters.values())).all()
        assert log_loss(np.eye(3)[votes], p) < 0.2
        assert (p > 0).all()


def test_length_takes_a_bias_out_of_the_scores():
    rng = np.random.default_rng(7)
    quality, form = rng.normal(size=2000) * 2.5, rng.normal(size=2000) * 0.7
    votes, scored = drawn(TRUE["davidson"], quality, rng), quality + 2 * form
    link = fit_link(scored, votes, form=form)
    assert link.has_length
    assert link.parameters["length"] == pytest.approx(-1.2, abs=0.3)
    gain = log_loss(votes, fit_link(scored, votes).predict(scored)) - log_loss(votes, link.predict(scored, form))
    assert gain > 0.01


def test_the_default_link_is_bradley_terry_on_decided_votes_with_the_ties_of_an_arena():
    gap = np.array([0.0, 1.0, -3.0])
    p = DEFAULT_LINK.predict(gap)
    assert not DEFAULT_LINK.fitted
    assert p[0, 2] == pytest.approx(0.31)
    assert p[:, 0] / (p[:, 0] + p[:, 1]) == pytest.approx(1 / (1 + np.exp(-gap)))


def test_the_fixed_rule_is_that_of_the_contest_wherever_that_is_a_probability():
    gap = np.array([0.0, 0.079, 0.081, -0.081, 2.0, 9.0, 9.3, 50.0])
    p = FIXED_LINK.predict(gap)
    assert np.array_equal(p[:2], np.tile([0.00005, 0.00005, 0.9999], (2, 1)))
    softmax = 1 / (1 + np.exp(-gap))
    published = np.stack([softmax - 0.0001, 1 - softmax - 0.0001, np.full(8, 0.0002)], axis=1)
    assert p[2:6] == pytest.approx(published[2:6], abs=1e-12)
    assert (published[6:] < 0).any(axis=1).all()
    assert (p > 0).all() and p.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-12)


def test_fixed_has_nothing_to_fit_and_no_place_for_length():
    gap, votes = arena("davidson", 40)
    assert fit_link(gap, votes, method="fixed") is FIXED_LINK
    with pytest.raises(ConfigError, match="no place for the length"):
        LinkSettings.parse({"method": "fixed", "length": True})


def test_predictions_of_a_fold_do_not_depend_on_its_votes():
    gap, votes = arena("davidson", 100)
    folds = group_folds(np.arange(100) // 2)
    one = crossfit_link(gap, votes, np.ones(100), folds, form=gap**3)
    changed = np.where((folds == 0)[:, None], swap_columns(votes), votes)
    two = crossfit_link(gap, changed, np.ones(100), folds, form=gap**3)
    assert np.array_equal(one[folds == 0], two[folds == 0])
    assert not np.array_equal(one[folds == 1], two[folds == 1])


@pytest.mark.parametrize("method", METHODS)
def test_200_votes_beat_the_unfitted_links(method):
    rng = np.random.default_rng(8)
    gap, test = rng.normal(size=200) * 0.4, rng.normal(size=5000) * 0.4  # scores far too close to each other
    true = Link("davidson", {"scale": 5.0, "nu": 1.2})
    link = fit_link(gap, drawn(true, gap, rng), method=method)
    loss = {
        name: log_loss(true.predict(test), each.predict(test)) for name, each in [("it", link), ("d", DEFAULT_LINK)]
    }
    assert loss["it"] < loss["d"] if method != "fixed" else loss["it"] > 1.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "probit"}, "no link 'probit'"),
        ({"parameters": {"scale": 1.0}}, "not scale, nu"),
        ({"parameters": {"scale": 1.0, "theta": 2.0}}, "not scale, nu"),
        ({"parameters": {"scale": float("nan"), "nu": 1.0}}, "not scale, nu"),
        ({"parameters": {"scale": 1.0, "nu": -1.0}}, "nu is -1.0"),
        ({"method": "rao_kupper", "parameters": {"scale": 1.0, "theta": 0.5}}, "theta is 0.5"),
        ({"parameters": [1.0]}, "this is not a link"),
        ({"intervals": {"scale": 1.0}}, "this is not a link"),
        ({"fitted": None, "votes": None}, "this is not a link"),
    ],
)
def test_a_damaged_link_raises(values, message):
    with pytest.raises(ValueError, match=message):
        Link.from_dict(DEFAULT_LINK.to_dict() | values)


def test_a_gap_that_is_not_finite_or_a_missing_length_raises():
    with pytest.raises(DataError, match="gap of row 2 is nan"):
        DEFAULT_LINK.predict([0.0, float("nan")])
    with pytest.raises(DataError, match="no lengths are given"):
        WITH_LENGTH["davidson"].predict([0.0])
    with pytest.raises(DataError, match="form has shape"):
        WITH_LENGTH["davidson"].predict([0.0], [1.0, 2.0])


ROWS = 60
RNG = np.random.default_rng(0)
GAP, VOTES = RNG.normal(size=ROWS), np.eye(3)[RNG.integers(0, 3, ROWS)]


def changed(values, **rows):
    out = np.array(values, dtype=float)
    for row, value in rows.items():
        out[int(row.removeprefix("row"))] = value
    return out


@pytest.mark.parametrize(
    ("gap", "votes", "options", "message"),
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
def test_invalid_scores_raise_one_error(gap, votes, options, message):
    with pytest.raises(DataError, match=message):
        fit_link(gap, votes, **options)


def test_an_unknown_method_names_those_there_are():
    with pytest.raises(ConfigError, match="no link 'probit'; allowed are davidson, rao_kupper, ordered_logit, fixed"):
        fit_link(GAP, VOTES, method="probit")


def test_thirty_votes_suffice_and_only_classes_that_were_voted_count():
    assert fit_link(GAP[:30], VOTES[:30]).votes == 30
    assert fit_link(GAP, np.eye(3)[RNG.integers(0, 2, ROWS)]).fitted


def test_one_group_has_no_intervals():
    assert fit_link(GAP, VOTES, groups=np.zeros(ROWS)).intervals == {}


def test_metrics_need_votes_of_other_folds():
    ones = np.ones(ROWS)
    with pytest.raises(DataError, match="all 60 votes are in one fold.*two different prompts"):
        crossfit_link(GAP, VOTES, ones, np.zeros(ROWS, dtype=int))
    folds = np.arange(ROWS) % 2
    with pytest.raises(DataError, match="fold 0: the other folds are not enough"):
        crossfit_link(np.where(folds == 1, 2.0, GAP), VOTES, ones, folds)
