"""A recipe: all settings of a training run, found by name and checked before any work begins.

Judges are made of recipes; the command line and the reference of the docs list their settings.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, cast

from pydantic import Field, create_model

from votecast.config import Settings, merge_settings, nest_overrides, read_yaml
from votecast.data.clean import CleaningSettings
from votecast.errors import ConfigError
from votecast.models.registry import FAMILIES, settings_type
from votecast.recipes import recipe_names, recipe_path
from votecast.splits import FoldSettings

logger = logging.getLogger(__name__)

RANDOM_WEIGHTS = (
    "its network, {name}, is a tiny one of random weights, as in small forms: it shows that all steps run and predicts "
    "little; name pretrained weights with model.name"
)
FinalMode = Literal["refit", "average", "average_weights"]
"""Which members a judge keeps."""


class CalibrationSettings(Settings):
    """How raw probabilities are calibrated.

    Args:
        method: temperature, vector, matrix, isotonic, dirichlet, tie_link, shift (for few votes), auto (the best of
            these by cross-validated log loss) or none; fitted on out-of-fold predictions only.
    """

    method: Literal["temperature", "vector", "matrix", "isotonic", "dirichlet", "tie_link", "shift", "auto", "none"] = (
        "temperature"
    )


class Recipe(Settings):
    """All settings of one training run.

    Args:
        name: Name of the judge.
        family: Family of models it belongs to.
        description: One line for `votecast recipes`.
        seed: Seed of everything random.
        cleaning: Which rows are dropped or merged before training.
        rows: Train on at most this many rows, stratified by label; None trains on all.
        folds: How rows are divided into folds.
        model: The family's own settings.
        calibration: How raw probabilities are calibrated.
        final: "refit" trains once more on all rows; "average" keeps the members of all folds and averages their
            predictions; "average_weights" averages their weights into one model, where the family can.
    """

    name: str = Field(min_length=1, max_length=100)
    family: str
    description: str = ""
    seed: int = Field(default=42, ge=0, lt=2**31)
    cleaning: CleaningSettings = CleaningSettings()
    rows: int | None = Field(default=None, ge=2)
    folds: FoldSettings = FoldSettings()
    model: Settings
    calibration: CalibrationSettings = CalibrationSettings()
    final: FinalMode = "refit"


def load_recipe(
    recipe: str | Path | Mapping[str, object] | Recipe,
    overrides: Mapping[str, object] | None = None,
    *,
    small: bool = False,
) -> Recipe:
    """Find a recipe, apply overrides and check the result.

    Args:
        recipe: Name of a shipped recipe or family (hyphens count as underscores), path of a YAML file, or settings.
        overrides: Settings by dotted key, such as {"folds.n": 3}.
        small: Apply the recipe's block `small` first: a form that trains in a minute or two on any machine.

    Raises:
        ConfigError: With every unknown or invalid setting at once; or if there is no small form.

    Example:
        >>> load_recipe("baseline", {"folds.n": 3}).folds.n
        3
        >>> load_recipe("baseline", small=True).rows
        2000
    """
    if isinstance(recipe, Recipe):
        return load_recipe(recipe.dump(), overrides, small=small) if overrides or small else recipe
    values, origin = _find_recipe(recipe)
    block = values.pop("small", None)
    if block is None:
        if small:
            raise ConfigError(f"{origin} has no small form; give it a block 'small:' of settings, or leave --small out")
    elif not isinstance(block, Mapping):
        raise ConfigError(f"{origin}: small holds {type(block).__name__}; allowed is a block of settings")
    else:
        reduced = merge_settings(values, block)
        _check(reduced, {}, f"{origin}, small form")  # a fault in it is reported whichever form is asked for
        values = reduced if small else values
    return _check(values, nest_overrides(overrides or {}), origin)


def _check(values: Mapping[str, object], overrides: Mapping[str, object], origin: str) -> Recipe:
    """Merge overrides into settings, set what depends on other settings, and validate the recipe."""
    merged = merge_settings(values, overrides)
    name = merged.get("family")
    if not isinstance(name, str):
        raise ConfigError(f"{origin}: the setting 'family' is missing; allowed are {', '.join(FAMILIES)}")
    merged["family"] = name = name.replace("-", "_")
    merged = {"name": name, "model": {}} | merged
    folds, given = merged.get("folds", {}), overrides.get("folds", {})
    if isinstance(folds, Mapping) and isinstance(given, Mapping):
        # the seed is also that of the folds, unless these have one of their own
        if "seed" in merged and ("seed" not in folds or ("seed" in overrides and "seed" not in given)):
            merged = merge_settings(merged, {"folds": {"seed": merged["seed"]}})
        # a single fold is kept itself: there is no refit on all rows
        if folds.get("only") is not None and merged.get("final", "refit") == "refit":
            if overrides.get("final") == "refit":
                raise ConfigError(
                    "folds.only trains a single fold, and final refit trains on all rows; set one of them, or final "
                    "average"
                )
            merged["final"] = "average"
    return recipe_type(name).parse(merged, origin=origin)


def _find_recipe(recipe: str | Path | Mapping[str, object]) -> tuple[dict[str, object], str]:
    """Return the settings of a recipe, and where they come from for messages."""
    if isinstance(recipe, Mapping):
        return dict(recipe), "recipe"
    if Path(recipe).suffix in {".yaml", ".yml"}:
        return read_yaml(recipe), str(recipe)
    name = str(recipe).replace("-", "_")
    shipped = set(recipe_names())
    if name in shipped:
        return read_yaml(recipe_path(name)), f"recipe {name}"
    if name in FAMILIES:
        return {"family": name}, f"family {name}"
    known = sorted(shipped | set(FAMILIES))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(known)}"
    raise ConfigError(f"there is no recipe {str(recipe)!r}; {hint} A file of your own ends in .yaml")


@cache
def recipe_type(name: str) -> type[Recipe]:
    """Return the class of the recipes of a family, the family's own settings under `model`.

    Example:
        >>> recipe_type("baseline")(name="mine", family="baseline").model.trees.leaves
        8
    """
    model = settings_type(name)
    made = create_model("Recipe", __base__=Recipe, model=(model, model()))
    return cast("type[Recipe]", made)


def warn_of_random_weights(model: Settings) -> str:
    """Log a warning if settings of a model name a tiny network of random weights, and return it; "" otherwise."""
    name = str(getattr(model, "name", ""))
    if not name.startswith("tiny:"):
        return ""
    remark = RANDOM_WEIGHTS.format(name=name)
    logger.warning("%s", remark)
    return remark
