"""Test the invariants of every combiner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.judges.worlds import world

from votecast.errors import ArtifactError, JudgeError
from votecast.judges.combiners import COMBINERS, Combiner, combiner

SWAP = [1, 0, 2]
WORLD = world()
KINDS = {name: combiner(*name.split("/")) for name in COMBINERS}  # type: ignore[arg-type]
FITTED: dict[str, Combiner] = {name: kind().fit(*WORLD.parts, 0) for name, kind in KINDS.items()}


@pytest.mark.parametrize("name", COMBINERS)
def test_swapping_the_responses_swaps_a_and_b_to_the_last_bit(name: str) -> None:
    p = FITTED[name].predict(WORLD.predictions)
    assert np.array_equal(FITTED[name].predict(WORLD.predictions[..., SWAP])[:, SWAP], p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    few = FITTED[name].predict(WORLD.predictions[:, 5:8])
    assert np.array_equal(few, p[5:8])
    assert FITTED[name].predict(WORLD.predictions[:, :0]).shape == (0, 3)


@pytest.mark.parametrize("name", COMBINERS)
def test_fits_do_not_depend_on_response_order(name: str) -> None:
    other = KINDS[name]().fit(WORLD.predictions[..., SWAP], WORLD.targets[:, SWAP], WORLD.weights, WORLD.groups, 0)
    p, q = FITTED[name].predict(WORLD.predictions), other.predict(WORLD.predictions)
    assert np.abs(p - q).max() < 1e-6


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(COMBINERS)), arrays.arrays(float, (3, 4, 3), elements=st.floats(0, 1)))
def test_any_predictions_give_distributions(name: str, raw: np.ndarray) -> None:
    predictions = (raw + 1e-12) / (raw + 1e-12).sum(axis=-1, keepdims=True)
    p = FITTED[name].predict(predictions)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-9
    assert np.array_equal(FITTED[name].predict(predictions[..., SWAP])[:, SWAP], p)


@pytest.mark.parametrize("name", COMBINERS)
def test_saving_and_loading_change_nothing(name: str, tmp_path: Path) -> None:
    FITTED[name].save(tmp_path)
    again = KINDS[name].load(tmp_path)
    assert np.array_equal(again.predict(WORLD.predictions), FITTED[name].predict(WORLD.predictions))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".txt"}
    for path in tmp_path.iterdir():
        path.write_text(path.read_text()[:-30] + "x")
    with pytest.raises(ArtifactError, match="is damaged"):
        KINDS[name].load(tmp_path)
    with pytest.raises(ArtifactError):
        KINDS[name].load(tmp_path / "absent")


@pytest.mark.parametrize("name", COMBINERS)
def test_the_same_votes_and_seed_give_the_same_combiner(name: str) -> None:
    again = KINDS[name]().fit(*WORLD.parts, 0)
    assert again.described() == FITTED[name].described()
    assert np.array_equal(again.predict(WORLD.predictions), FITTED[name].predict(WORLD.predictions))


@pytest.mark.parametrize("name", COMBINERS)
def test_nothing_is_predicted_before_fitting(name: str) -> None:
    with pytest.raises(JudgeError, match="call fit"):
        KINDS[name]().predict(WORLD.predictions)


@pytest.mark.parametrize("name", COMBINERS)
@pytest.mark.parametrize("absent", [0, 2])
def test_a_class_without_votes_keeps_some_probability(name: str, absent: int) -> None:
    kept = WORLD.targets[:, absent] == 0
    parts = WORLD.predictions[:, kept], WORLD.targets[kept], WORLD.weights[kept], WORLD.groups[kept]
    p = KINDS[name]().fit(*parts, 0).predict(WORLD.predictions)
    assert np.isfinite(p).all()
    assert p[:, absent].min() > 0
