import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast.calibration.tie_models import davidson_loss as loss
from votecast.calibration.tie_models import davidson_probabilities as link
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, MissingExtraError
from votecast.features import extract
from votecast.models.boosting import Held, Trees, TreeSettings, Views, load_lightgbm
from votecast.models.reduction import Reduction, ReductionSettings

SMALL = TreeSettings(rounds=60, min_rows=5, leaves=4)


def views_of(battles: Battles) -> Views:
    features = extract(battles)
    return Views.of(features, Reduction.fit(features, ReductionSettings(words=2, characters=2)))


@pytest.fixture(scope="module")
def views(arena: Battles) -> Views:
    return views_of(arena)


def fit(views: Views, arena: Battles, threads: int = 1, held: Held | None = None, rounds: int = 20) -> Trees:
    return Trees.fit(views, arena.targets(), arena.weights(), SMALL, rounds=rounds, seed=0, threads=threads, held=held)


def test_trees_learn_and_do_not_depend_on_threads(views: Views, arena: Battles) -> None:
    trees = fit(views, arena)
    s, t = trees.strength(views)
    votes, ones = arena.targets(), arena.weights()
    assert loss(link(s, t + trees.base), votes, ones) < loss(link(0 * s, 0 * t + trees.base), votes, ones) - 0.02
    texts = [made.booster.model_to_string() for made in (trees, fit(views, arena, threads=3)) if made.booster]
    assert texts[0].split("\nparameters:")[0] == texts[1].split("\nparameters:")[0]


def test_boosting_stops_when_held_out_battles_gain_no_more(views: Views, arena: Battles) -> None:
    nonsense = np.eye(3)[np.random.default_rng(0).integers(0, 3, len(arena))]
    held = Held(views, nonsense, arena.weights(), patience=3)
    trees = fit(views, arena, held=held, rounds=60)
    assert len(held.losses) < 60
    assert trees.booster.current_iteration() == len(held.losses) == int(np.argmin(held.losses)) + 4


def test_held_out_losses_match_the_predictions(views: Views, arena: Battles) -> None:
    held = Held(views, arena.targets(), arena.weights(), patience=60)
    trees = fit(views, arena, held=held, rounds=5)
    s, t = trees.strength(views, rounds=3)
    assert held.losses[2] == pytest.approx(loss(link(s, t + trees.base), arena.targets(), arena.weights()), abs=1e-9)


@pytest.mark.parametrize("b", ["y", "z z z"])
def test_uninformative_rows_grow_no_tree_without_error(b: str) -> None:
    battles = Battles.from_rows([{"prompt": "x", "response_a": "y", "response_b": b, "winner": "a"}] * 100)
    views = views_of(battles)
    s, t = fit(views, battles).strength(views)
    assert np.isfinite(s).all()
    assert (s == 0).all() == (b == "y")
    assert np.ptp(t) == 0


def test_too_few_rows_grow_no_tree(views: Views, arena: Battles, tmp_path: Path) -> None:
    few = views.take(np.arange(2))
    trees = Trees.fit(few, arena[:2].targets(), np.ones(2), SMALL, rounds=5, seed=0, threads=1)
    (tmp_path / "trees.txt").write_text("")
    again = Trees.read(tmp_path / "trees.txt", trees.base, 1, len(views.names))
    assert trees.booster is None
    assert again.strength(few)[0].tolist() == [0.0, 0.0]


def test_a_damaged_model_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "trees.txt").write_text("not a model")
    with pytest.raises(ArtifactError, match=r"trees\.txt cannot be read as a LightGBM model"):
        Trees.read(tmp_path / "trees.txt", 0.0, 1, 3)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OSError("libgomp.so.1: cannot open shared object file"), "libgomp1"),
        (ImportError("No module"), "pip install lightgbm"),
    ],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, fault: Exception, message: str) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **kwargs: Any) -> Any:
        if name == "lightgbm":
            raise fault
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=message):
        load_lightgbm()
