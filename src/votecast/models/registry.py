"""The families of judges by name; the module of a family is imported at its first use."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

from votecast.config.extras import how_to_install
from votecast.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from votecast.models.base import Model

FAMILIES = {
    "baseline": "votecast.models.baseline:BaselineModel",
    "cross_encoder": "votecast.models.cross_encoder:CrossEncoderModel",
    "siamese": "votecast.models.siamese:SiameseModel",
    "decoder": "votecast.models.decoder:DecoderModel",
    "reward": "votecast.models.reward:RewardModel",
    "keras_siamese": "votecast.models.keras_siamese:KerasSiameseModel",
    "scores": "votecast.models.scored:ScoredModel",
    "average": "votecast.models.average:AverageModel",
    "ensemble": "votecast.judges.ensemble:EnsembleModel",
    "cascade": "votecast.judges.cascade:CascadeModel",
}
"""Name of a family -> "module:Class" of its model."""


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
    # imported now and not above: torch takes seconds, and `import votecast` 0.05 s
    module, attribute = FAMILIES[key].split(":")
    try:
        return cast("type[Model]", getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"judges of the family {key} need the package {error.name!r}; "
            f"install it with: {how_to_install(error.name or '')}"
        ) from error
