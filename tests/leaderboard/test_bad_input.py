"""Test votes that cannot be ranked: errors, or fallbacks with notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.leaderboard.arenas import arena

from votecast.errors import ConfigError, DataError
from votecast.leaderboard import METHODS, Games, fit_ranking, rank_models
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS

OWN = list(RANKING_MODELS)
A, B, TIE = [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]


def islands():
    """Return games with disconnected groups of three, two and one models."""
    a = [0, 1, 2, 0, 1, 3, 3] * 5
    b = [1, 2, 0, 2, 0, 4, 4] * 5
    return Games.of(["x", "y", "z", "left", "right", "alone"], a, b, [A, A, A, TIE, B, A, B] * 5)


@pytest.mark.parametrize("method", METHODS)
def test_models_that_were_never_compared_are_named(method):
    with pytest.raises(DataError) as caught:
        rank_models(islands(), method=method, draws=20)
    message = str(caught.value)
    assert "6 models in 3 groups" in message
    assert "(x, y, z); (left, right); (alone)" in message
    assert "--disconnected largest" in message


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_group_can_be_ranked_alone(method):
    ranking = rank_models(islands(), method=method, disconnected="largest", draws=20)
    assert sorted(ranking.models) == ["x", "y", "z"]
    assert ranking.votes == 25
    assert any("left, right, alone left out" in note and "group of 3 models" in note for note in ranking.notes)
    whole = Games.of(["x", "y", "z"], [0, 1, 2, 0, 1] * 5, [1, 2, 0, 2, 0] * 5, [A, A, A, TIE, B] * 5)
    if method in OWN:
        assert rank_models(whole, method=method).score == pytest.approx(ranking.score)


def test_models_that_won_and_lost_among_themselves_are_not_reported_to_have_only_won():
    games = Games.of(["x", "y", "a", "b"], [0, 1, 2, 3, 2, 3] * 4, [1, 0, 3, 2, 0, 1] * 4, [A] * 24)
    note = "the votes do not bound the strengths of a, b: against the largest group of models that beat each other, "
    wanted = note + "each of them never lost, or never won, not even through third models"
    assert any(each.startswith(wanted) or "strengths of x, y:" in each for each in rank_models(games).notes)


def test_of_many_groups_the_first_are_named():
    a = np.arange(0, 60, 2)
    games = Games.of([f"m{each}" for each in range(60)], np.tile(a, 2), np.tile(a + 1, 2), [A, B] * 30)
    with pytest.raises(DataError, match=r"30 groups .*\(m14, m15\) and 22 more groups"):
        rank_models(games)


@pytest.mark.parametrize("won", [True, False])
@pytest.mark.parametrize("method", OWN)
def test_a_model_that_only_won_or_only_lost_is_held_by_a_prior_and_a_note(method, won):
    games = arena(4, 300)
    a = np.append(games.a, [4] * 12)
    b = np.append(games.b, [0, 1, 2, 3] * 3)
    outcome = np.concatenate([games.outcome, np.tile(A if won else B, (12, 1))])
    more = Games.of([*games.models, "new"], a, b, outcome)
    ranking, without = rank_models(more, method=method), rank_models(games, method=method)
    assert ranking.models[0 if won else -1] == "new"
    (note,) = [each for each in ranking.notes if each.startswith("the votes do not bound the strengths of new: ")]
    assert note.endswith(": all strengths have a normal prior with standard deviation 2.5 (log odds)")
    place = ranking.models.index("new")
    assert ranking.high[place] - ranking.low[place] > 3 * np.median(without.high - without.low)
    assert 1 < abs(ranking.score[place] - 1000) / 173.7 < 6
    others = [each for each in range(5) if each != place]
    assert np.diff(ranking.score[others]) == pytest.approx(np.diff(without.score), abs=3)
    drawn = rank_models(more, method=method, intervals="bootstrap", draws=20)
    assert any("in 20 of 20 drawn files" in note for note in drawn.notes)


@pytest.mark.parametrize("method", OWN)
def test_a_chain_of_wins_is_ranked_in_its_order(method):
    games = Games.of(["x", "y", "z"], [0, 1] * 6, [1, 2] * 6, [A, A] * 5 + [A, TIE])
    ranking = rank_models(games, method=method)
    assert ranking.models == ("x", "y", "z")
    assert np.isfinite([ranking.low, ranking.high]).all()
    assert any("normal prior" in note for note in ranking.notes)


def test_wins_one_way_with_ties_leave_the_number_for_ties_finite():
    games = Games.of(["x", "y"], [0] * 8, [1] * 8, [A] * 5 + [TIE] * 3)
    assert fit_ranking(games).notes == ()  # half wins on both sides
    for method in ("davidson", "rao_kupper"):
        fit = fit_ranking(games, method=method)
        assert any("normal prior" in note for note in fit.notes)
        assert np.isfinite(fit.tie)


@pytest.mark.parametrize("method", METHODS)
def test_all_ties_raise(method):
    with pytest.raises(DataError, match="all 6 votes are ties"):
        rank_models(Games.of(["x", "y", "z"], [0, 1, 2] * 2, [1, 2, 0] * 2, [TIE] * 6), method=method)


@pytest.mark.parametrize("method", OWN)
def test_without_ties_the_fit_is_bradley_and_terrys(method):
    games = arena(4, 300, method="bradley_terry")
    ranking, plain = rank_models(games, method=method), rank_models(games)
    assert ranking.score == pytest.approx(plain.score)
    assert ranking.low == pytest.approx(plain.low)
    if method != "bradley_terry":
        assert ranking.tie.value == {"davidson": 0.0, "rao_kupper": 1.0}[method]
        assert any("no vote is a tie" in note for note in ranking.notes)


def test_a_single_model_raises():
    with pytest.raises(DataError, match="all about x; a ranking needs two models"):
        rank_models(Games.of(["x"], [0, 0], [0, 0], [A, B]))


def test_one_vote_raises():
    with pytest.raises(DataError, match="1 row of votes .* at least two"):
        rank_models(Games.of(["x", "y"], [0], [1], [A]))
    with pytest.raises(DataError, match="0 row"):
        rank_models(Games.of(["x", "y"], [0, 1], [0, 1], [A, A]))


def test_two_votes_are_ranked():
    for method in OWN:
        ranking = rank_models(Games.of(["x", "y"], [0, 1], [1, 0], [A, A]), method=method)
        assert ranking.score == pytest.approx([1000, 1000])
        assert ranking.rank.tolist() == [1, 1]


def test_rows_that_do_not_count_change_nothing():
    games = arena(4, 200)
    nothing = Games.of(
        games.models,
        [*games.a, 0, 2],
        [*games.b, 1, 2],
        [*games.outcome, A, A],
        [*games.weights, 0.0, 1.0],
    )
    ranking = rank_models(nothing)
    assert ranking.score == pytest.approx(rank_models(games).score)
    assert ranking.votes == 200
    assert "1 of 201 rows left out: a model met itself there" in ranking.notes
    with pytest.raises(DataError, match="all 200 weights are 0"):
        Games.of(games.models, games.a, games.b, games.outcome, np.zeros(200))


def test_a_model_whose_votes_all_weigh_0_was_never_compared():
    weights = np.where((arena(4, 200).a == 3) | (arena(4, 200).b == 3), 0.0, 1.0)
    games = arena(4, 200, weights=weights)
    with pytest.raises(DataError, match=r"\(m0, m1, m2\); \(m3\)"):
        rank_models(games)
    assert len(rank_models(games, disconnected="largest").models) == 3


def test_one_prompt_for_all_is_reported():
    ranking = rank_models(arena(4, 200, prompts=1))
    assert ranking.low == pytest.approx(rank_models(arena(4, 200)).low, abs=3)
    assert any("all votes are on one prompt" in note for note in ranking.notes)
    assert rank_models(arena(4, 200, prompts=1), intervals="bootstrap", draws=20).models == ranking.models


def test_style_that_follows_from_the_models_is_named():
    games = arena(4, 300, style=[0.5])
    lengths = np.array([1.0, 5.0, 2.0, 3.0])
    follows = np.column_stack([games.style, lengths[games.a] - lengths[games.b]])
    with pytest.raises(DataError, match="the effect of length cannot be separated"):
        rank_models(replace(games, style=follows, style_names=("form", "length")))
    twice = np.column_stack([games.style, 2 * games.style])
    with pytest.raises(DataError, match="the effect of one, two cannot be separated"):
        rank_models(replace(games, style=twice, style_names=("one", "two")))


def test_style_that_never_differs_is_left_out_with_a_note():
    games = arena(4, 300, style=[0.5])
    padded = replace(games, style=np.column_stack([games.style, np.zeros(300)]), style_names=("form", "lists"))
    ranking = rank_models(padded)
    assert [each.name for each in ranking.style] == ["form"]
    assert any("style lists left out" in note for note in ranking.notes)
    bare = rank_models(replace(padded, style=np.zeros((300, 2))))
    assert bare.style == ()
    assert bare.score == pytest.approx(rank_models(replace(games, style=None, style_names=())).score)


def test_style_that_gives_every_vote_away_is_held():
    games = arena(4, 200, method="bradley_terry")
    gives = (games.outcome[:, 0] - games.outcome[:, 1])[:, None]
    leaking = replace(games, style=gives, style_names=("leak",))
    with pytest.raises(DataError, match="style_ridge above 0"):
        rank_models(leaking)
    assert rank_models(leaking, style_ridge=0.1).style[0].value > 1


def test_games_that_are_none_raise():
    good = {"models": ["x", "y"], "a": [0, 1], "b": [1, 0], "outcome": [A, B]}
    for wrong, message in (
        ({"models": ["x", "x"]}, "'x' is named twice"),
        ({"a": [0, 2]}, "side a names models 0 to 2; allowed are 0 to 1"),
        ({"b": [-1, 0]}, "side b names models -1 to 0"),
        ({"a": [0.0, 1.0]}, "whole numbers"),
        ({"b": [1]}, r"shape \(1,\)"),
        ({"outcome": [[1, 1, 0], B]}, "must sum to 1"),
        ({"outcome": [[np.nan, 1, 0], B]}, "finite"),
        ({"weights": [1, -1]}, "weight of row 2"),
        ({"clusters": [1]}, "groups have shape"),
        ({"style": [[1.0], [np.inf]], "style_names": ["s"]}, "style of row 2"),
        ({"style": [[1.0], [2.0]], "style_names": ["s", "t"]}, "2 names"),
        ({"style": [["long"], ["short"]], "style_names": ["s"]}, "does not hold numbers"),
    ):
        with pytest.raises(DataError, match=message):
            Games.of(**(good | wrong))


def test_fits_of_evalica_refuse_unsupported_options():
    with pytest.raises(ConfigError, match="no style control"):
        rank_models(arena(4, 100, style=[0.1]), method="newman")
    with pytest.raises(DataError, match="one vote a row"):
        rank_models(arena(4, 100, weights=np.full(100, 2.0)), method="elo")
