"""Find the shipped recipes, one YAML file each, and the configuration files for `accelerate launch`.

`load_recipe` and `votecast recipes` read them.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from votecast.config import read_yaml


def recipe_path(name: str) -> Path:
    """Return the path of the YAML file of a shipped recipe."""
    return Path(str(resources.files("votecast.recipes") / f"{name}.yaml"))


def recipe_names() -> list[str]:
    """List the names of the shipped recipes.

    Example:
        >>> "baseline" in recipe_names()
        True
    """
    return sorted(path.stem for path in recipe_path("x").parent.glob("*.yaml"))


def launch_names() -> list[str]:
    """List the shipped files for `accelerate launch`: several processes, or one network divided over them.

    Example:
        >>> launch_names()
        ['deepspeed_zero2', 'deepspeed_zero3', 'fsdp', 'multi_cpu', 'multi_gpu']
    """
    return sorted(path.stem for path in launch_path("x").parent.glob("*.yaml"))


def launch_path(name: str) -> Path:
    """Return the path of a file for `accelerate launch --config_file`."""
    return Path(str(resources.files("votecast.recipes") / "accelerate" / f"{name}.yaml"))


def list_recipes() -> list[dict[str, Any]]:
    """List name, family and description of every shipped recipe, and whether it has a small form.

    Example:
        >>> "baseline" in [entry["name"] for entry in list_recipes()]
        True
    """
    found = []
    for name in recipe_names():
        values = read_yaml(recipe_path(name))
        about = {key: values[key] for key in ("family", "description")}
        found.append({"name": name} | about | {"small": "small" in values})
    return found
