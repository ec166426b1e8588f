"""The shipped recipes: one YAML file each, inside the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from votecast.config import read_yaml


def recipe_path(name: str) -> Path:
    """Where the YAML file of a shipped recipe lies."""
    return Path(str(resources.files("votecast.recipes") / f"{name}.yaml"))


def recipe_names() -> list[str]:
    """Names of the shipped recipes.

    Example:
        >>> "baseline" in recipe_names()
        True
    """
    return sorted(path.stem for path in recipe_path("x").parent.glob("*.yaml"))


def launch_names() -> list[str]:
    """Names of the shipped files for `accelerate launch`: several processes, or one network divided over them.

    Example:
        >>> launch_names()
        ['deepspeed_zero2', 'deepspeed_zero3', 'fsdp', 'multi_cpu', 'multi_gpu']
    """
    return sorted(path.stem for path in launch_path("x").parent.glob("*.yaml"))


def launch_path(name: str) -> Path:
    """Where a file for `accelerate launch --config_file` lies."""
    return Path(str(resources.files("votecast.recipes") / "accelerate" / f"{name}.yaml"))


def list_recipes() -> list[dict[str, Any]]:
    """Name, family and description of every shipped recipe, and whether it has a small form, by name.

    Example:
        >>> "baseline" in [entry["name"] for entry in list_recipes()]
        True
    """
    return [_entry(name, read_yaml(recipe_path(name))) for name in recipe_names()]


def _entry(name: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"name": name} | {key: values[key] for key in ("family", "description")} | {"small": "small" in values}
