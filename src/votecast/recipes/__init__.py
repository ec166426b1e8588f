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
    """Name, family and description of every shipped recipe, by name.

    Example:
        >>> [entry["name"] for entry in list_recipes()]
        ['baseline']
    """
    paths = sorted(recipe_path("x").parent.glob("*.yaml"))
    return [{"name": path.stem} | {key: read_yaml(path)[key] for key in ("family", "description")} for path in paths]
