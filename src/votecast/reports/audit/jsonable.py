"""Results as values that JSON knows, with null for whatever is not defined."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from votecast.metrics import Figure


def jsonable(value: Any) -> Any:
    """Turn dataclasses, figures, mappings and arrays into dicts, lists, texts and numbers; NaN becomes None.

    Example:
        >>> jsonable({"share": Figure(0.5, float("nan"), 0.75), "names": ("x", "y")})
        {'share': {'value': 0.5, 'low': None, 'high': 0.75}, 'names': ['x', 'y']}
    """
    if isinstance(value, Figure):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): jsonable(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
