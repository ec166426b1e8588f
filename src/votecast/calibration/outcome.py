"""What a calibration did, from what is told of it: the one place where its figures become words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Outcome = Literal["unknown", "better", "chance", "worse"]


def outcome(entry: Mapping[str, Any]) -> Outcome:
    """Whether a calibration forecasts better than before, by the interval of the log loss it saves.

    Args:
        entry: What `votecast.judges.recalibrate` tells of the calibration; "unknown" where no interval was drawn.

    Example:
        >>> [outcome({"gain": {"low": low, "high": high}}) for low, high in ((0.01, 0.02), (-0.1, 0.1), (-0.2, -0.1))]
        ['better', 'chance', 'worse']
    """
    low, high = entry["gain"]["low"], entry["gain"]["high"]
    if low is None or high is None:
        return "unknown"
    return "better" if low > 0 else "worse" if high < 0 else "chance"


def changes_nothing(entry: Mapping[str, Any]) -> bool:
    """Whether the fitted calibrator is none, for all rows and for every group.

    Example:
        >>> changes_nothing({"fitted": {"method": "auto", "chosen": {"method": "none"}}})
        True
    """
    state = entry["fitted"]
    if state["method"] == "grouped":
        return not state["groups"] and changes_nothing({"fitted": state["common"]})
    return bool((state["chosen"] if state["method"] == "auto" else state)["method"] == "none")


def off_before(entry: Mapping[str, Any]) -> bool:
    """Whether the judge was further off on these votes than chance lets a perfect judge be, on the top class or ties.

    Example:
        >>> off_before({"before": {"ece": {"value": 0.17}, "ece_perfect": {"value": 0.04, "low": 0.02, "high": 0.07}}})
        True
    """
    found = entry["before"]
    kinds = (name for name in ("ece", "ece_tie") if name in found)
    pairs = [(found[name]["value"], found[name.replace("ece", "ece_perfect")]["high"]) for name in kinds]
    return any(ece is not None and most is not None and ece > most for ece, most in pairs)
