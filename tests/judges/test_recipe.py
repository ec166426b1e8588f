"""Test recipes: lookup, overrides and early checks."""

import pytest

from votecast.errors import ConfigError
from votecast.judges.recipe import load_recipe, warn_of_random_weights
from votecast.models.registry import FAMILIES, family, settings_type
from votecast.recipes import list_recipes, recipe_path


def test_every_shipped_recipe_is_whole():
    for entry in list_recipes():
        recipe = load_recipe(entry["name"])
        assert recipe.name == entry["name"] == recipe_path(entry["name"]).stem
        assert recipe.description == entry["description"]
        assert load_recipe(recipe.dump()) == recipe
        assert entry["small"]
        assert load_recipe(entry["name"], small=True) != recipe


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_a_recipe_of_its_own(name):
    assert load_recipe(name).family == name
    assert family(name.replace("_", "-")) is family(name)
    assert settings_type(name.replace("_", "-")) is family(name).settings_type


def test_overrides_reach_every_level():
    recipe = load_recipe("baseline", {"seed": "7", "folds.n": "3", "folds.method": "stratified", "final": "average"})
    assert (recipe.seed, recipe.folds.n, recipe.folds.method, recipe.final) == (7, 3, "stratified", "average")
    assert load_recipe(recipe, {"seed": 8}).folds.n == 3


def test_the_folds_follow_the_seed_unless_they_have_their_own():
    assert load_recipe("baseline").folds.seed == 42
    assert load_recipe("baseline", {"seed": 7}).folds.seed == 7
    assert load_recipe("baseline", {"seed": 7, "folds.seed": 1}).folds.seed == 1
    assert load_recipe({"family": "baseline", "seed": 5}).folds.seed == 5
    assert load_recipe(load_recipe("baseline", {"seed": 7}), {"seed": 8}).folds.seed == 8
    with pytest.raises(ConfigError, match="folds is .*; it must be"):
        load_recipe("baseline", {"seed": 7, "folds": "3"})


def test_all_faults_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        load_recipe(
            "baseline", {"fold.n": "3", "folds.method": "grupped", "calibration.metod": "isotonic", "model.xyz": 1}
        )
    message = str(caught.value)
    assert "did you mean folds?" in message
    assert "'grouped'" in message and "'grupped'" in message
    assert "did you mean method?" in message
    assert "model.xyz" in message


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean baseline"):
        load_recipe("base-line")
    with pytest.raises(ConfigError, match="allowed are"):
        load_recipe("zzz")
    with pytest.raises(ConfigError, match="there is no family 'baselin'"):
        load_recipe({"family": "baselin"})


def test_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").write_text("name: mine\nfamily: baseline\nfolds: {n: 2}\n")
    recipe = load_recipe(tmp_path / "mine.yaml", {"seed": 1})
    assert (recipe.name, recipe.folds.n, recipe.seed) == ("mine", 2, 1)
    (tmp_path / "no_family.yaml").write_text("name: mine\n")
    with pytest.raises(ConfigError, match=r"no_family\.yaml.*'family' is missing"):
        load_recipe(str(tmp_path / "no_family.yaml"))
    with pytest.raises(ConfigError, match="not found"):
        load_recipe("absent.yaml")


def test_a_small_form_lies_between_the_recipe_and_the_overrides(tmp_path):
    (tmp_path / "mine.yaml").write_text("family: baseline\nfolds: {n: 4}\nsmall: {rows: 50, folds: {n: 2}}\n")
    whole, small = load_recipe(tmp_path / "mine.yaml"), load_recipe(tmp_path / "mine.yaml", small=True)
    assert (whole.rows, whole.folds.n) == (None, 4)
    assert (small.rows, small.folds.n) == (50, 2)
    assert load_recipe(tmp_path / "mine.yaml", {"folds.n": 3}, small=True).folds.n == 3
    with pytest.raises(ConfigError, match="recipe has no small form"):
        load_recipe({"family": "baseline"}, small=True)


@pytest.mark.parametrize(
    ("block", "message"),
    [("small: 3", "small holds int"), ("small: {fols: {n: 2}}", r"mine\.yaml, small form: fols.*did you mean folds")],
)
def test_errors_of_a_small_form_are_always_found(tmp_path, block, message):
    (tmp_path / "mine.yaml").write_text(f"family: baseline\n{block}\n")
    for small in (False, True):
        with pytest.raises(ConfigError, match=message):
            load_recipe(tmp_path / "mine.yaml", small=small)


def test_a_single_fold_is_kept_itself():
    assert load_recipe("baseline").final == "refit"
    assert load_recipe("baseline", {"folds.only": 0}).final == "average"
    assert load_recipe({"family": "baseline", "folds": {"n": 10, "only": 9}, "final": "refit"}).final == "average"
    with pytest.raises(ConfigError, match="final refit trains on all rows"):
        load_recipe("baseline", {"folds.only": 0, "final": "refit"})
    with pytest.raises(ConfigError, match="folds.only is 5, and there are 5 folds, numbered from 0; allowed is 0 to 4"):
        load_recipe("baseline", {"folds.only": 5})
    with pytest.raises(ConfigError, match="allowed is 0 to 0"):
        load_recipe("baseline", {"folds.only": 1, "folds.method": "single"})
    with pytest.raises(ConfigError, match="greater than or equal to 0"):
        load_recipe("baseline", {"folds.only": -1})


@pytest.mark.parametrize(("name", "is_random"), [("cross_encoder", True), ("smollm2_lora", True), ("minilm", False)])
def test_a_small_form_of_random_weights_is_a_warning(
    caplog: pytest.LogCaptureFixture, name: str, is_random: bool
) -> None:
    remark = warn_of_random_weights(load_recipe(name, small=True).model)
    assert ("a tiny one of random weights" in remark) == is_random == ("random weights" in caplog.text)
