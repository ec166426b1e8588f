"""The table of calibrators: a new method is one module and one line here."""

from __future__ import annotations

import difflib
import importlib

from votecast.calibration.base import Calibrator
from votecast.errors import ConfigError

CALIBRATORS = {
    "temperature": "votecast.calibration.temperature:Temperature",
    "vector": "votecast.calibration.vector:Vector",
    "isotonic": "votecast.calibration.isotonic:Isotonic",
    "none": "votecast.calibration.identity:Identity",
}
"""Name of a method to the class behind it, imported when it is asked for."""


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
    module, name = CALIBRATORS[method].split(":")
    made: Calibrator = getattr(importlib.import_module(module), name)()
    return made
