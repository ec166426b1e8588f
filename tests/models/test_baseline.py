"""Test the baseline: swap symmetry, row independence, saving and loading."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.models.baseline import BaselineModel, BaselineSettings
from votecast.models.linear import LinearWeights

TEXT = st.text(st.characters(codec="utf-8"), max_size=80)
TURNS = st.lists(st.none() | TEXT, max_size=3)
ROW = st.fixed_dictionaries({"prompt": TURNS, "response_a": TURNS, "response_b": TURNS})
ODD: list[dict[str, Any]] = [
    {"prompt": [], "response_a": [], "response_b": []},
    {"prompt": "\x00", "response_a": "😀" * 50, "response_b": [None]},
    {"prompt": "1+1=3", "response_a": "```\n" * 9, "response_b": "x" * 40_000},
]


@pytest.fixture(scope="module")
def model(arena: Battles) -> BaselineModel:
    return BaselineModel(seed=1).fit(arena[:500], arena[:500].targets(), arena[:500].weights())


@settings(max_examples=80)
@given(st.lists(ROW, min_size=1, max_size=4))
@example(ODD)
def test_swapping_responses_swaps_the_columns_exactly(model: BaselineModel, rows: list[dict[str, Any]]) -> None:
    battles = Battles.from_rows(rows)
    p = model.predict(battles)
    assert np.array_equal(model.predict(battles.swapped())[:, [1, 0, 2]], p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p > 0).all()


@settings(max_examples=40)
@given(TURNS, TURNS)
@example(["?"], ["y" * 5000])
def test_identical_answers_are_equally_likely_to_win(
    model: BaselineModel, prompt: list[str | None], answer: list[str | None]
) -> None:
    p = model.predict(Battles.from_rows([{"prompt": prompt, "response_a": answer, "response_b": answer}]))
    assert p[0, 0] == p[0, 1]


def test_a_row_does_not_see_the_others(model: BaselineModel, arena: Battles) -> None:
    battles = Battles.concat([arena[500:540], Battles.from_rows(ODD)])
    p = model.predict(battles)
    alone = [model.predict(battles[i : i + 1])[0] for i in range(len(battles))]
    assert np.array_equal(p, np.array(alone))
    assert np.array_equal(model.predict(battles.take([7, 3]))[1], p[3])


def test_saving_and_loading_keeps_every_bit(model: BaselineModel, arena: Battles, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = BaselineModel.load(tmp_path)
    assert np.array_equal(again.predict(arena), model.predict(arena))
    assert {path.suffix for path in tmp_path.iterdir()} == {".txt", ".safetensors", ".json"}


def test_the_same_seed_gives_the_same_model(model: BaselineModel, arena: Battles, tmp_path: Path) -> None:
    prepared = model.prepare(arena)
    settings = BaselineSettings(threads=3)
    again = BaselineModel(settings, seed=1)
    again.fit(prepared.take(np.arange(500)), arena[:500].targets(), arena[:500].weights())
    assert np.array_equal(again.predict(prepared), model.predict(arena))


def test_it_learns_what_the_arena_rewards(model: BaselineModel, arena: Battles) -> None:
    held = arena[500:]
    p, votes = model.predict(held), held.targets()
    prior = arena[:500].targets().mean(axis=0)
    assert -(votes * np.log(p)).sum(axis=1).mean() < -(votes * np.log(prior)).sum(axis=1).mean() - 0.02


def test_soft_labels_and_weights_count(arena: Battles) -> None:
    part, n = arena[:200], 200
    soft = np.tile([0.2, 0.2, 0.6], (n, 1))
    tied = BaselineModel().fit(part, soft, np.ones(n)).predict(part)
    assert tied[:, 2].mean() == pytest.approx(0.6, abs=0.05)
    targets, weights = np.eye(3)[np.arange(n) % 2 * 2], np.where(np.arange(n) % 2, 9.0, 1.0)
    weighted = BaselineModel().fit(part, targets, weights).predict(part)
    assert weighted[:, 2].mean() == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_handful_of_rows_is_enough_to_answer(arena: Battles, n: int) -> None:
    p = BaselineModel().fit(arena[:n], arena[:n].targets(), np.ones(n)).predict(arena[:20])
    assert np.isfinite(p).all()


def test_rows_that_share_a_prompt_stay_in_one_inner_fold(arena: Battles) -> None:
    part = arena[:60]
    one = BaselineModel().fit(part, part.targets(), part.weights(), np.zeros(60, dtype=np.int64))
    assert np.isfinite(one.predict(part)).all()


@pytest.mark.parametrize(("held_rows", "fits"), [(1, 2), (25, 3), (1000, 4)])
def test_no_more_inner_folds_are_run_than_needed(
    arena: Battles, monkeypatch: pytest.MonkeyPatch, held_rows: int, fits: int
) -> None:
    fitted: list[int] = []
    fit = LinearWeights.fit
    monkeypatch.setattr(
        LinearWeights, "fit", lambda design, *rest: fitted.append(len(design.gap)) or fit(design, *rest)
    )
    part = arena[:60]
    BaselineModel(BaselineSettings(held_rows=held_rows)).fit(part, part.targets(), part.weights())
    assert fitted == [40] * (fits - 1) + [60]


def test_no_rows_in_no_rows_out(model: BaselineModel, arena: Battles) -> None:
    assert model.predict(arena[:0]).shape == (0, 3)


@pytest.mark.parametrize(("n", "weight"), [(0, 1.0), (3, 0.0)])
def test_nothing_to_learn_from_is_refused(arena: Battles, n: int, weight: float) -> None:
    with pytest.raises(JudgeError, match="at least one battle with a weight above 0"):
        BaselineModel().fit(arena[:n], arena[:n].targets(), np.full(n, weight))


def test_before_the_first_fit_there_is_nothing(arena: Battles, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="not been fitted"):
        BaselineModel().predict(arena[:1])
    with pytest.raises(JudgeError, match="not been fitted"):
        BaselineModel().save(tmp_path)


@pytest.mark.parametrize("name", ["trees.txt", "linear.safetensors", "reduction.safetensors", "model.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_files_are_one_clear_error(model: BaselineModel, tmp_path: Path, name: str, damage: str) -> None:
    model.save(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:40]) if damage == "cut" else file.unlink()
    with pytest.raises(ArtifactError):
        BaselineModel.load(tmp_path)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match=r"trees\.leaves.*inner_fold"):
        BaselineSettings.parse({"trees": {"leaves": 1}, "inner_fold": 3})


ARRAYS = ("terms", "apart", "gap", "level", "gap_scale", "level_scale", "centre", "base")
CHANGES = {
    "one value": lambda a: a[:1] if len(a) > 1 else a[:0],  # numpy would spread it over all columns
    "two dimensions": lambda a: a.reshape(-1, 1),
    "int8": lambda a: a.astype(np.int8),
    "NaN": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.full_like(a, np.inf),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("change", CHANGES)
def test_linear_weights_of_another_shape_or_value_are_refused(
    model: BaselineModel, tmp_path: Path, name: str, change: str
) -> None:
    model.save(tmp_path)
    arrays = load_file(tmp_path / "linear.safetensors")
    save_file(arrays | {name: np.ascontiguousarray(CHANGES[change](arrays[name]))}, tmp_path / "linear.safetensors")
    with pytest.raises(ArtifactError, match=rf"{name} of linear\.safetensors"):
        BaselineModel.load(tmp_path)


@pytest.mark.parametrize(
    "change", [{"strength": [1, 2, 3]}, {"strength": ["1", 2]}, {"base": [1]}, {"base": 10**400}, {"trees_base": "x"}]
)
def test_a_blend_of_other_numbers_is_refused(model: BaselineModel, tmp_path: Path, change: dict[str, object]) -> None:
    model.save(tmp_path)
    facts = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(facts | change))
    with pytest.raises(ArtifactError, match="damaged"):
        BaselineModel.load(tmp_path)
