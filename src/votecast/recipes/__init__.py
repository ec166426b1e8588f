"""The shipped recipes: one YAML file each, inside the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from votecast.config import read_yaml


def recipe_path(name: str) -> Path:
    """Where the YAML file of a shipped recipe lies."""
    return Path(str(resources.files("votecast.recipes") / f"{name}.yaml"))


def list_recipes() -> list[dict[str, Any]]:
    """Name, family and description of every shipped recipe, and whether it has a small form, by name.

    Example:
        >>> "baseline" in [entry["name"] for entry in list_recipes()]
        True
    """
    paths = sorted(recipe_path("x").parent.glob("*.yaml"))
    return [_entry(path.stem, read_yaml(path)) for path in paths]


def _entry(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"name": name} | {key: values[key] for key in ("family", "description")} | {"small": "small" in values}
