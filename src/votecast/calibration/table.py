"""The table of calibrators: a new method is one module and one line here."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.base import Calibrator
from votecast.errors import ConfigError

CALIBRATORS = {
    "temperature": "votecast.calibration.temperature:Temperature",
    "vector": "votecast.calibration.vector:Vector",
    "matrix": "votecast.calibration.matrix:Matrix",
    "isotonic": "votecast.calibration.isotonic:Isotonic",
    "dirichlet": "votecast.calibration.dirichlet:Dirichlet",
    "tie_link": "votecast.calibration.tie_link:TieLink",
    "shift": "votecast.calibration.shift:Shift",
    "auto": "votecast.calibration.auto:Auto",
    "none": "votecast.calibration.identity:Identity",
}
"""Name of a method to the class behind it, imported when it is asked for."""

COMPOSED: Final = {
    "chain": "votecast.calibration.chain:Chain",
    "grouped": "votecast.calibration.grouped:Grouped",
}
"""Calibrators that are made of others: found in judge folders, never asked for by name."""


def make_calibrator(method: str) -> Calibrator:
    """A calibrator that has learnt nothing yet.

    Args:
        method: A name in `CALIBRATORS`.

    Raises:
        ConfigError: If there is no such method.

    Example:
        >>> make_calibrator("temperature").method
        'temperature'
    """
    if method not in CALIBRATORS:
        near = difflib.get_close_matches(str(method), CALIBRATORS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"there is no calibration method {method!r}; allowed are {', '.join(CALIBRATORS)}{hint}")
    made: Calibrator = _class(CALIBRATORS[method])()
    return made


def read_calibrator(config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> Calibrator:
    """The calibrator whose `state` this is, whatever its kind.

    Raises:
        ConfigError: If there is no such kind.
        KeyError: If something is missing.
        ValueError: If something is not what it must be.

    Example:
        >>> read_calibrator({"method": "temperature", "temperature": 2.0}, {}).transform([[0.8, 0.1, 0.1]]).round(3)
        array([[0.586, 0.207, 0.207]])
    """
    method = config["method"]
    if method not in COMPOSED:
        return make_calibrator(method).from_state(config, arrays)
    made: Calibrator = _class(COMPOSED[method]).from_state(config, arrays)
    return made


def _class(place: str) -> Any:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)
