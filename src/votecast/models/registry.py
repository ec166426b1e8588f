"""The families of judges by name; model and settings of a family are imported at their first use."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

from votecast.config.extras import how_to_install
from votecast.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from votecast.config import Settings
    from votecast.models.base import Model

FAMILIES = {
    "baseline": "votecast.models.baseline:BaselineModel",
    "cross_encoder": "votecast.models.cross_encoder:CrossEncoderModel",
    "siamese": "votecast.models.siamese:SiameseModel",
    "decoder": "votecast.models.decoder:DecoderModel",
    "reward": "votecast.models.reward.reward_model:RewardModel",
    "keras_siamese": "votecast.models.keras_siamese:KerasSiameseModel",
    "scores": "votecast.models.scored:ScoredModel",
    "average": "votecast.models.average:AverageModel",
    "ensemble": "votecast.judges.ensemble:EnsembleModel",
    "cascade": "votecast.judges.cascade:CascadeModel",
}
"""Name of a family -> "module:Class" of its model."""

SETTINGS = {
    "cross_encoder": "votecast.models.neural.settings:CrossEncoderSettings",
    "siamese": "votecast.models.neural.settings:SiameseSettings",
    "decoder": "votecast.models.neural.settings:DecoderSettings",
    "reward": "votecast.models.reward.settings:RewardSettings",
}
"""Name of a family whose model imports an extra -> "module:Class" of its settings, in a module without it."""


def family(name: str) -> type[Model]:
    """Return the model class of a family.

    Args:
        name: Its name; hyphens count as underscores.

    Raises:
        ConfigError: If there is no such family.
        MissingExtraError: If it needs a package that is not installed; the message holds the command.

    Example:
        >>> family("baseline").__name__
        'BaselineModel'
    """
    key = name.replace("-", "_")
    if key not in FAMILIES:
        near = difflib.get_close_matches(key, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(FAMILIES)}"
        raise ConfigError(f"there is no family {name!r}; {hint}")
    try:
        return cast("type[Model]", _import(FAMILIES[key]))
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"judges of the family {key} need the package {error.name!r}; "
            f"install it with: {how_to_install(error.name or '')}"
        ) from error


def settings_type(name: str) -> type[Settings]:
    """Return the class of a family's settings; that of a family in torch needs no torch.

    Args:
        name: Name of the family; hyphens count as underscores.

    Raises:
        ConfigError: If there is no such family.

    Example:
        >>> settings_type("decoder")().name
        'smollm2'
    """
    key = name.replace("-", "_")
    return cast("type[Settings]", _import(SETTINGS[key])) if key in SETTINGS else family(key).settings_type


def _import(path: str) -> object:
    """Import "module:Class" now and not above: torch takes seconds, and `import votecast` 0.05 s."""
    module, attribute = path.split(":")
    return getattr(importlib.import_module(module), attribute)
