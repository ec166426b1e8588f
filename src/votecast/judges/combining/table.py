"""The ways to combine judges, by name."""

from __future__ import annotations

import importlib
from typing import Literal, cast

from votecast.judges.combining.base import Combiner

Method = Literal["mean", "weights", "stack", "greedy"]
Stacker = Literal["logistic", "lightgbm"]

COMBINERS = {
    "mean": "votecast.judges.combining.pool:Mean",
    "weights": "votecast.judges.combining.pool:Weights",
    "greedy": "votecast.judges.combining.pool:Greedy",
    "stack/logistic": "votecast.judges.combining.logistic:LogisticStack",
    "stack/lightgbm": "votecast.judges.combining.trees:TreeStack",
}
"""Method, and for stack the model that is stacked on top, to the class behind it."""


def combiner(method: Method, stacker: Stacker = "logistic") -> type[Combiner]:
    """The class of a method.

    Example:
        >>> combiner("stack", "lightgbm").__name__
        'TreeStack'
    """
    return class_of(f"stack/{stacker}" if method == "stack" else method)


def class_of(name: str) -> type[Combiner]:
    """The class of a name in `COMBINERS`."""
    module, attribute = COMBINERS[name].split(":")
    return cast("type[Combiner]", getattr(importlib.import_module(module), attribute))
