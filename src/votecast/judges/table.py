"""The families of judges, by name; a family's module is imported when it is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.judges.model import Model

FAMILIES = {
    "baseline": "votecast.judges.baseline:BaselineModel",
    "cross_encoder": "votecast.judges.cross_encoder:CrossEncoderModel",
    "siamese": "votecast.judges.siamese:SiameseModel",
    "average": "votecast.judges.average:AverageModel",
}
"""Name of a family -> "module:Class" of its model."""


def family(name: str) -> type[Model]:
    """The model class of a family.

    Args:
        name: Its name; hyphens count as underscores.

    Raises:
        ConfigError: If there is no such family.

    Example:
        >>> family("baseline").__name__
        'BaselineModel'
    """
    key = name.replace("-", "_")
    if key not in FAMILIES:
        near = difflib.get_close_matches(key, FAMILIES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed are {', '.join(FAMILIES)}"
        raise ConfigError(f"there is no family {name!r}; {hint}")
    module, attribute = FAMILIES[key].split(":")
    return cast("type[Model]", getattr(importlib.import_module(module), attribute))
