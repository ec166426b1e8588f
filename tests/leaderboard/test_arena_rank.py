"""Test fits against arena-rank: strengths, style coefficients, covariances."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboard.arenas import arena

from votecast.leaderboard import fit_ranking


def as_frame(games):
    pd = pytest.importorskip("pandas")
    names = np.array(games.models)
    words = np.array(["model_a", "model_b", "tie"])[games.outcome.argmax(axis=1)]
    return pd.DataFrame({"model_a": names[games.a], "model_b": names[games.b], "winner": words})


def sandwich(hessian, scores):
    inverse = np.linalg.pinv(np.array(hessian), hermitian=True)
    return inverse @ np.array(scores) @ inverse


def test_bradley_terry_is_that_of_arena_rank_with_its_variances():
    models = pytest.importorskip("arena_rank.models.bradley_terry")
    from arena_rank.utils.data_utils import PairDataset

    games = arena(8, 700)
    data = PairDataset.from_pandas(as_frame(games))
    theirs = models.BradleyTerry(8, ftol=0.0, gtol=1e-12).fit(data)
    ours, order = fit_ranking(games), [games.models.index(name) for name in data.competitors]
    assert ours.strengths[order] == pytest.approx(np.array(theirs.params["ratings"]), abs=1e-6)
    parts = (theirs.params["ratings"], data.pairs, data.outcomes, data.counts, data.opt_weights, 0.0, 8)
    covariance = sandwich(*theirs.compute_hessian_and_covariance(*parts)) * 700 / 699
    assert ours.covariance[np.ix_(order, order)] == pytest.approx(covariance, abs=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_style_control_is_that_of_arena_rank(ridge):
    models = pytest.importorskip("arena_rank.models.contextual_bradley_terry")
    from arena_rank.utils.data_utils import ContextualPairDataset

    games, names = arena(6, 700, style=[0.5, -0.2]), ["s0", "s1"]
    ours = fit_ranking(games, style_ridge=ridge)
    frame = as_frame(games)
    frame[names] = games.style / ours.style_units
    data = ContextualPairDataset.from_pandas(frame, names, reweighted=False, normalize_features=False)
    theirs = models.ContextualBradleyTerry(6, 2, reg=ridge, ftol=0.0, gtol=1e-12).fit(data)
    order = [games.models.index(name) for name in data.competitors]
    assert ours.strengths[order] == pytest.approx(np.array(theirs.params["ratings"]), abs=1e-6)
    assert ours.style == pytest.approx(np.array(theirs.params["coeffs"]), abs=1e-6)
    if not ridge:  # its covariance leaves the ridge out of the Hessian
        both = (theirs.params["ratings"], theirs.params["coeffs"], data.pairs, data.features, data.outcomes)
        parts = theirs.compute_hessian_and_covariance(*both, data.weights, 0.0, 0.0, 6, 2, 700)
        where = np.ix_([*order, 6, 7], [*order, 6, 7])
        assert ours.covariance[where] == pytest.approx(sandwich(*parts) / 699, abs=1e-6)
