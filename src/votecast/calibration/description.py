"""Describe calibrators by their state, and calibrations by their figures.

Called by the model card, the report and `votecast calibrate`, which print the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Outcome = Literal["unknown", "better", "chance", "worse"]


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


def outcome(entry: Mapping[str, Any]) -> Outcome:
    """Return whether a calibration improves on the judge, beyond chance; "unknown" where no interval was drawn.

    Example:
        >>> [outcome({"gain": {"low": low, "high": high}}) for low, high in ((0.01, 0.02), (-0.1, 0.1), (-0.2, -0.1))]
        ['better', 'chance', 'worse']
    """
    low, high = entry["gain"]["low"], entry["gain"]["high"]
    if low is None or high is None:
        return "unknown"
    return "better" if low > 0 else "worse" if high < 0 else "chance"


def changes_nothing(entry: Mapping[str, Any]) -> bool:
    """Return whether the fitted calibrator is none, for all rows and for every group.

    Example:
        >>> changes_nothing({"fitted": {"method": "auto", "chosen": {"method": "none"}}})
        True
    """
    state = entry["fitted"]
    if state["method"] == "grouped":
        return not state["groups"] and changes_nothing({"fitted": state["common"]})
    return bool((state["chosen"] if state["method"] == "auto" else state)["method"] == "none")


def off_before(entry: Mapping[str, Any]) -> bool:
    """Return whether the judge was miscalibrated before, beyond chance.

    Example:
        >>> off_before({"before": {"ece": {"value": 0.17}, "ece_perfect": {"value": 0.04, "low": 0.02, "high": 0.07}}})
        True
    """
    found = entry["before"]
    kinds = (name for name in ("ece", "ece_tie") if name in found)
    pairs = [(found[name]["value"], found[name.replace("ece", "ece_perfect")]["high"]) for name in kinds]
    return any(ece is not None and most is not None and ece > most for ece, most in pairs)
