"""What a fitted calibrator is called, from its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe(state: Mapping[str, Any]) -> str:
    """Name a calibrator by its state.

    Example:
        >>> describe({"method": "grouped", "by": "source", "common": {"method": "vector"}, "groups": {}})
        'vector, then by source'
        >>> describe(
        ...     {"method": "chain", "parts": [{"method": "none"}, {"method": "auto", "chosen": {"method": "shift"}}]}
        ... )
        'none, then shift (auto)'
    """
    if state["method"] == "chain":
        return ", then ".join(map(describe, state["parts"]))
    if state["method"] == "grouped":
        return f"{describe(state['common'])}, then by {state['by']}"
    return f"{state['chosen']['method']} (auto)" if state["method"] == "auto" else str(state["method"])


def first(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the calibrator a judge was made with: what was put behind it later is left out.

    Example:
        >>> first({"method": "chain", "parts": [{"method": "none"}, {"method": "shift"}]})["method"]
        'none'
    """
    return state["parts"][0] if state["method"] == "chain" else state
