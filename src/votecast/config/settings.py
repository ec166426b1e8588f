"""Frozen settings: read from YAML, overridden by dotted keys, checked all at once, dumped and hashed.

Every package derives its settings from `Settings`; recipes and the command line lay overrides over them.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from votecast.errors import ConfigError


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown keys, every fault reported in one error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Mapping[str, object], *, origin: str = "settings", options: bool = False) -> Self:
        """Check plain values and make settings of them.

        Args:
            values: Nested mapping of settings.
            origin: Where they come from, for the message.
            options: Whether the message names them as options of a command: --in-flight.

        Raises:
            ConfigError: With every fault: what was given, what is allowed, the nearest known key.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = ["--" * options + _explain(cls, fault, options=options) for fault in error.errors()]
            raise ConfigError(f"{origin}: " + "; ".join(lines)) from error

    def dump(self) -> dict[str, Any]:
        """Return the settings as JSON-able values, defaults included."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """SHA-256 of the settings."""
        return hashlib.sha256(json.dumps(self.dump(), sort_keys=True).encode()).hexdigest()


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of settings.

    Raises:
        ConfigError: If it cannot be read or does not hold a mapping.
    """
    try:
        values = yaml.safe_load(Path(path).read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} not found; check the path of the settings") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if values is None:
        raise ConfigError(f"{path} is empty; allowed is a mapping of settings")
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}; allowed is a mapping of settings")
    return values


def merge_settings(base: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, Any]:
    """Merge nested overrides into nested settings.

    Example:
        >>> merge_settings({"folds": {"n": 5, "seed": 1}}, {"folds": {"n": 3}})
        {'folds': {'n': 3, 'seed': 1}}
    """
    out = dict(base)
    for key, value in overrides.items():
        below = out.get(key)
        out[key] = merge_settings(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def nest_overrides(overrides: Mapping[str, object]) -> dict[str, Any]:
    """Turn dotted keys into nested settings.

    Text is read as YAML, so that `3`, `true` and `[1, 2]` keep their types.

    Raises:
        ConfigError: If two keys contradict each other, or a text is not YAML.

    Example:
        >>> nest_overrides({"folds.n": "3", "calibration.method": "isotonic"})
        {'folds': {'n': 3}, 'calibration': {'method': 'isotonic'}}
    """
    out: dict[str, Any] = {}
    for key, value in overrides.items():
        *path, last = key.replace("-", "_").split(".")
        level = out
        for name in path:
            level = level.setdefault(name, {})
            if not isinstance(level, dict):
                raise ConfigError(f"--{key} contradicts another override of {name!r}; give one of them")
        try:
            # an empty text stays one: YAML would make it None
            level[last] = yaml.safe_load(value) if isinstance(value, str) and value else value
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"--{key} {value!r} cannot be read: {error}") from error
    return out


class UserSettings(Settings):
    """Settings of a user for all commands.

    Args:
        default_judge: The judge that `default` stands for.
    """

    default_judge: str = "bundled:baseline"


def user_settings() -> UserSettings:
    """Read the file in `VOTECAST_CONFIG`, else `config.yaml` in the user's configuration folder if there is one."""
    named = os.environ.get("VOTECAST_CONFIG")
    path = Path(named).expanduser() if named else user_config_path("votecast") / "config.yaml"
    if not named and not path.exists():
        return UserSettings()
    return UserSettings.parse(read_yaml(path), origin=str(path))


def _explain(model: type[BaseModel], fault: ErrorDetails, *, options: bool = False) -> str:
    """Describe a fault: what was given and what is allowed; for an unknown key the nearest known one."""
    where = ".".join(str(part) for part in fault["loc"])
    where = where.replace("_", "-") if options else where
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    if fault["type"] != "extra_forbidden":
        if fault["type"] == "missing":
            return f"{where} is missing"
        return f"{where} is {fault['input']!r}; {fault['msg'].replace('Input should', 'it must', 1)}"
    for part in fault["loc"][:-1]:  # the model that was given the key
        field = model.model_fields.get(str(part))
        if field is None:
            break
        kinds = (field.annotation, *get_args(field.annotation))
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    near = difflib.get_close_matches(str(fault["loc"][-1]), model.model_fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(model.model_fields)}"
    return f"{where}: unknown setting; {hint}"
