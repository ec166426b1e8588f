"""A recipe: everything that decides how a judge is trained, checked before any work begins."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, create_model

from votecast.config import Settings, dotted, merge, read_yaml
from votecast.data.cleaning import CleaningSettings
from votecast.errors import ConfigError
from votecast.judges.table import FAMILIES, family
from votecast.recipes import list_recipes, recipe_path
from votecast.splits import FoldSettings


class CalibrationSettings(Settings):
    """How raw probabilities are made true.

    Args:
        method: temperature, vector, isotonic or none; fitted on out-of-fold predictions only.
    """

    method: Literal["temperature", "vector", "isotonic", "none"] = "temperature"


class Recipe(Settings):
    """All settings of one training run.

    Args:
        name: What the judge is called.
        family: The family of judges it belongs to.
        description: One line for `votecast recipes`.
        seed: Seed of everything random.
        cleaning: Which rows are dropped or joined before training.
        folds: How rows are dealt into folds.
        model: The family's own settings.
        calibration: How raw probabilities are made true.
        final: "refit" trains once more on all rows; "average" keeps the members of all folds and averages them.
    """

    name: str = Field(min_length=1, max_length=100)
    family: str
    description: str = ""
    seed: int = Field(default=42, ge=0, lt=2**31)
    cleaning: CleaningSettings = CleaningSettings()
    folds: FoldSettings = FoldSettings()
    model: Settings
    calibration: CalibrationSettings = CalibrationSettings()
    final: Literal["refit", "average"] = "refit"


def load_recipe(recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Find a recipe, lay overrides over it and check the whole.

    Args:
        recipe: Name of a shipped recipe or family (hyphens count as underscores), path of a YAML file, or settings.
        overrides: Settings by dotted key, such as {"folds.n": 3}.

    Raises:
        ConfigError: With every unknown or unfit setting at once.

    Example:
        >>> load_recipe("baseline", {"folds.n": 3}).folds.n
        3
    """
    if isinstance(recipe, Recipe):
        return load_recipe(recipe.dump(), overrides) if overrides else recipe
    values, origin = _values(recipe)
    values = _with_one_seed(values, dotted(overrides or {}))
    if not isinstance(values.get("family"), str):
        raise ConfigError(f"{origin}: the setting 'family' is missing; allowed are {', '.join(FAMILIES)}")
    values["family"] = values["family"].replace("-", "_")
    values.setdefault("name", values["family"])
    values.setdefault("model", {})
    return _recipe_type(values["family"]).parse(values, origin=origin)


def _with_one_seed(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under overrides; the seed is also that of the folds, unless these are given one of their own."""
    merged = merge(values, overrides)
    folds, given = merged.get("folds", {}), overrides.get("folds", {})
    if "seed" not in merged or not isinstance(folds, Mapping) or not isinstance(given, Mapping):
        return merged
    handed_down = "seed" not in folds or ("seed" in overrides and "seed" not in given)
    return merge(merged, {"folds": {"seed": merged["seed"]}}) if handed_down else merged


def _values(recipe: str | Path | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    if isinstance(recipe, Mapping):
        return dict(recipe), "recipe"
    if Path(recipe).suffix in {".yaml", ".yml"}:
        return read_yaml(recipe), str(recipe)
    name = str(recipe).replace("-", "_")
    shipped = {entry["name"] for entry in list_recipes()}
    if name in shipped:
        return read_yaml(recipe_path(name)), f"recipe {name}"
    if name in FAMILIES:
        return {"family": name}, f"family {name}"
    known = sorted(shipped | set(FAMILIES))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
    raise ConfigError(f"there is no recipe {str(recipe)!r}; {hint} A file of your own ends in .yaml")


@cache
def _recipe_type(name: str) -> type[Recipe]:
    settings_type = family(name).settings_type
    made = create_model("Recipe", __base__=Recipe, model=(settings_type, settings_type()))
    return cast("type[Recipe]", made)
