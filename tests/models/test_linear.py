import numpy as np
import pytest

from votecast.calibration.tie_models import davidson_loss as loss
from votecast.calibration.tie_models import davidson_probabilities as link
from votecast.data.battles import Battles
from votecast.features import extract
from votecast.models.linear import Design, LinearLoss, LinearSettings, LinearWeights

FREE = LinearSettings(term_penalty=0.01, feature_penalty=0.01, steps=200)


@pytest.fixture(scope="module")
def design(arena: Battles) -> Design:
    return Design.of(extract(arena))


def test_the_gradient_is_that_of_the_loss(design: Design, arena: Battles) -> None:
    problem = LinearLoss(design, arena.targets(), arena.weights(), LinearSettings())
    rng = np.random.default_rng(0)
    point, direction = 0.01 * rng.normal(size=problem.start.size), rng.normal(size=problem.start.size)
    slope = problem(point)[1] @ direction
    step = 1e-5
    rise = (problem(point + step * direction)[0] - problem(point - step * direction)[0]) / (2 * step)
    assert slope == pytest.approx(rise, rel=1e-4)


def test_winning_words_are_learned() -> None:
    rows = [
        {"prompt": f"q{i}", "response_a": "splendid thing", "response_b": "dreadful thing", "winner": "a"} if i % 2
        else {"prompt": f"q{i}", "response_a": "dreadful item", "response_b": "splendid item", "winner": "b"}
        for i in range(60)
    ]  # fmt: skip
    battles = Battles.from_rows(rows)
    linear = LinearWeights.fit(Design.of(extract(battles)), battles.targets(), battles.weights(), FREE)
    fresh = Battles.from_rows([{"prompt": "new", "response_a": "a splendid one", "response_b": "a dreadful one"}])
    strength, _ = linear.strength(Design.of(extract(fresh)))
    assert strength[0] > 1


def test_a_stronger_penalty_moves_less(design: Design, arena: Battles) -> None:
    votes, weights = arena.targets(), arena.weights()
    free, held = (LinearWeights.fit(design, votes, weights, LinearSettings(term_penalty=k)) for k in (1.0, 1000.0))
    assert np.abs(held.terms).max() < np.abs(free.terms).max()
    losses = [loss(link(s, t + one.base), votes, weights) for one in (free, held) for s, t in [one.strength(design)]]
    assert losses[0] < losses[1] < np.log(3)


def test_features_far_outside_the_training_rows_stay_bounded(design: Design, arena: Battles) -> None:
    linear = LinearWeights.fit(design, arena.targets(), arena.weights(), LinearSettings())
    far = Battles.from_rows([{"prompt": "x", "response_a": "!?" * 30_000, "response_b": ""}])
    s, t = linear.strength(Design.of(extract(far)))
    assert np.abs(np.concatenate([s, t])).max() < 50


def test_weights_of_terms_are_kept_in_half_precision(design: Design, arena: Battles) -> None:
    linear = LinearWeights.fit(design, arena.targets(), arena.weights(), LinearSettings(steps=3))
    assert np.array_equal(linear.terms.astype(np.float16).astype(np.float32), linear.terms)
    assert np.array_equal(linear.apart.astype(np.float16).astype(np.float32), linear.apart)
