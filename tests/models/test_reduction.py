"""Test reduced differences: swap symmetry, batch independence, reproducibility."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from votecast.data.battles import Battles
from votecast.features import BUCKETS, PairFeatures, extract
from votecast.models.boosting import Views
from votecast.models.reduction import FOLDED, Reduction, ReductionSettings, folded

SETTINGS = ReductionSettings(words=5, characters=3)


@pytest.fixture(scope="module")
def features(arena: Battles) -> PairFeatures:
    return extract(arena)


@pytest.fixture(scope="module")
def reduction(features: PairFeatures) -> Reduction:
    return Reduction.fit(features, SETTINGS)


def test_swapping_responses_changes_only_the_sign(reduction: Reduction, arena: Battles) -> None:
    there, back = (reduction.components(extract(battles)) for battles in (arena, arena.swapped()))
    assert np.array_equal(there, -back)
    assert (there.std(axis=0) > 0).all()


@pytest.mark.parametrize("rows", [1, 2, 7, 33])
def test_a_row_has_the_same_components_in_any_company(reduction: Reduction, features: PairFeatures, rows: int) -> None:
    some = np.random.default_rng(rows).permutation(len(features))[:rows]
    assert np.array_equal(reduction.components(features.take(some)), reduction.components(features)[some])


def test_no_order_of_summation_changes_a_bit(reduction: Reduction, features: PairFeatures) -> None:
    order = np.random.default_rng(0).permutation(BUCKETS)
    shuffled = features.characters[:, order].astype(np.float64) @ reduction.characters[order].astype(np.float64)
    assert np.array_equal(shuffled.astype(np.float32), reduction.components(features)[:, SETTINGS.words :])


def test_the_first_component_separates_most_rows() -> None:
    rows = [{"prompt": "x", "response_a": "splendid whales", "response_b": "dreadful birds"}] * 30
    rows += [{"prompt": "x", "response_a": "dreadful birds", "response_b": "splendid whales"}] * 30
    rows += [{"prompt": "x", "response_a": f"q{i}", "response_b": "z"} for i in range(5)]
    features = extract(Battles.from_rows(rows))
    found = Reduction.fit(features, ReductionSettings(words=1, characters=1))
    values = found.components(features)
    assert {"gap_words_0", "gap_characters_0"} < set(Views.of(features, found).names)
    assert (np.sign(values[:30]) == -np.sign(values[30:60])).all()
    assert np.abs(values[:60]).min() > np.abs(values[60:]).max()


def test_the_same_rows_give_the_same_directions(reduction: Reduction, features: PairFeatures) -> None:
    again = Reduction.fit(features, SETTINGS)
    assert all(np.array_equal(array, vars(again)[name]) for name, array in vars(reduction).items())
    fewer = Reduction.fit(features, ReductionSettings(words=2, characters=0, rows=100))
    assert fewer.components(features).shape == (len(features), 2)


def test_one_row_and_empty_answers_give_numbers() -> None:
    features = extract(Battles.from_rows([{"prompt": "", "response_a": "", "response_b": ""}]))
    assert not Reduction.fit(features, SETTINGS).components(features).any()


def test_the_heaviest_text_stays_within_exact_numbers() -> None:
    rows = [{"prompt": "", "response_a": "why " * 9000, "response_b": " ".join(map(str, range(6000)))}]
    assert np.linalg.norm(folded(extract(Battles.from_rows(rows)).terms).astype(np.float64)) < 16


@pytest.mark.parametrize(
    "change",
    [
        {"words": np.zeros((FOLDED, 2), np.float32)},
        {"characters": np.zeros((3, 2), np.float16)},
        {"words": np.zeros(FOLDED, np.float16)},
        {"words": np.full((FOLDED, 2), np.nan, np.float16)},
        {"characters": np.zeros((BUCKETS, BUCKETS + 1), np.float16)},
    ],
)
def test_arrays_of_another_shape_are_refused(reduction: Reduction, change: dict[str, Any], tmp_path: Path) -> None:
    save_file(vars(reduction) | change, tmp_path / "reduction.safetensors")
    with pytest.raises(ValueError, match=next(iter(change))):
        Reduction.read(tmp_path / "reduction.safetensors")
