"""Text that LightGBM's own parser would abort, read beyond its memory, or loop on never reaches it."""

import re
from pathlib import Path

import numpy as np
import pytest

from votecast.errors import ArtifactError
from votecast.models.boosting import load_lightgbm, read_booster
from votecast.models.tree_text import check_trees

COLUMNS = 5


@pytest.fixture(scope="module")
def text() -> str:
    """Return what LightGBM writes of two rounds of trees with four leaves, on columns with missing values."""
    lightgbm, dice = load_lightgbm(), np.random.default_rng(0)
    rows = dice.normal(size=(400, COLUMNS))
    rows[::7, 1] = np.nan
    parameters = {"objective": "none", "num_class": 2, "num_leaves": 4, "min_data_in_leaf": 5, "verbosity": -1}
    booster = lightgbm.Booster(parameters, lightgbm.Dataset(rows, params={"verbosity": -1}))
    target = np.stack([rows[:, 0], np.abs(rows[:, 2])], axis=1)
    for _ in range(2):
        booster.update(fobj=lambda raw, _: (raw.reshape(-1, 2) - target, np.ones((400, 2))))
    return str(booster.model_to_string())


def test_what_is_kept_predicts_to_the_last_bit(text: str) -> None:
    lightgbm, rows = load_lightgbm(), np.random.default_rng(1).normal(size=(300, COLUMNS))
    rows[::5, 1] = np.nan
    kept = check_trees(text, COLUMNS)
    whole, checked = (lightgbm.Booster(model_str=one) for one in (text, kept))
    for options in ({"raw_score": True}, {"pred_contrib": True}):
        assert np.array_equal(whole.predict(rows, **options), checked.predict(rows, **options))
    assert "parameters" not in kept
    assert check_trees(str(checked.model_to_string()), COLUMNS) == kept


def first(key: str, value: str) -> tuple[str, str]:
    """Replace the first number of a key's first line."""
    return rf"(\n{key}=)[^ \n]+", rf"\g<1>{value}"


CHANGES = {
    "classes": (r"num_class=2", "num_class=2000000000"),
    "no classes": (r"num_tree_per_iteration=2", "num_tree_per_iteration=0"),
    "columns": (r"max_feature_idx=4", "max_feature_idx=2147483647"),
    "fewer columns": (r"max_feature_idx=4", "max_feature_idx=3"),
    "column beyond": first("split_feature", "5"),
    "column below": first("split_feature", "-1"),
    "child beyond": first("left_child", "1000"),
    "leaf beyond": first("right_child", "-1000"),
    "child is its parent": first("left_child", "0"),
    "child twice": (r"\nright_child=[^\n]+", r"\nright_child=1 1 1"),
    "fewer leaves": (r"num_leaves=4", "num_leaves=3"),
    "no leaves": (r"num_leaves=4", "num_leaves=0"),
    "many leaves": (r"num_leaves=4", "num_leaves=1000000"),
    "categories": (r"num_cat=0", "num_cat=1"),
    "categorical split": first("decision_type", "1"),
    "linear leaves": (r"is_linear=0", "is_linear=1"),
    "threshold is NaN": first("threshold", "nan"),
    "leaf is NaN": first("leaf_value", "nan"),
    "leaf is infinite": first("leaf_value", "1e400"),
    "leaf too large": first("leaf_value", "1e308"),
    "fewer thresholds": (r"\nthreshold=[^\n]+", r"\nthreshold=1"),
    "no rows in a node": first("internal_count", "0"),
    "negative count": first("leaf_count", "-3"),
    "number of 5,000 digits": first("split_feature", "9" * 5000),
    "mean of trees": (r"label_index=0", "label_index=0\naverage_output"),
    "forest": (r"\Atree\n", "dart\n"),
    "names": (r"feature_names=[^\n]+", "feature_names=a b"),
    "names of JSON": (r"Column_1", 'Column"1'),
    "line twice": (r"(\nnum_cat=0)", r"\1\1"),
    "tree missing": (r"(?s)Tree=1\n.*?Tree=2\n", "Tree=1\n"),
    "other number of a tree": (r"Tree=1\n", "Tree=7\n"),
    "cut": (r"(?s)end of trees.*", ""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_impossible_model_is_one_error(text: str, name: str, tmp_path: Path) -> None:
    pattern, replacement = CHANGES[name]
    changed, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    (tmp_path / "trees.txt").write_text(changed)
    with pytest.raises(ArtifactError, match=r"trees\.txt cannot be read as a LightGBM model"):
        read_booster(tmp_path / "trees.txt", COLUMNS)


@pytest.mark.parametrize("seed", range(100))
def test_random_damage_is_an_error_or_a_whole_model(text: str, seed: int) -> None:
    dice, damaged = np.random.default_rng(seed), bytearray(text.encode())
    for place in dice.integers(0, text.index("end of trees"), dice.choice([1, 3, 30])):
        damaged[place] = dice.choice(list(b"0123456789-.e \n="))
    try:
        kept = check_trees(damaged.decode(), COLUMNS)
    except ValueError:
        return
    raw = load_lightgbm().Booster(model_str=kept).predict(np.ones((3, COLUMNS)), raw_score=True)
    assert np.isfinite(raw).all()


def test_a_loop_of_nodes_is_refused(text: str) -> None:
    """Nodes 1 and 2 lead to each other: LightGBM would follow them for ever."""
    tree = "num_leaves=4\nnum_cat=0\nsplit_feature=0 0 0\nthreshold=0 0 0\ndecision_type=2 2 2\n"
    tree += "left_child=-1 2 1\nright_child=-2 -3 -4\nleaf_value=1 2 3 4\nleaf_count=1 1 1 1\ninternal_count=3 2 1\n"
    looped = re.sub(r"(?s)(Tree=0\n).*?(\nTree=1\n)", lambda found: found[1] + tree + found[2], text, count=1)
    with pytest.raises(ValueError, match="tree 0: left_child or right_child leads back"):
        check_trees(looped, COLUMNS)
