"""What the card of a judge says that was calibrated again, on further votes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from votecast.calibration.description import changes_nothing, outcome

_OPENING: Final = (
    "After it was made, the judge was calibrated on further votes. The figures above are those before; these are of "
    "the further votes, each forecast by a calibrator fitted on votes for other prompts."
)
_OUTCOMES: Final = {
    "better": "Its probabilities are now those for people like the ones who cast these votes",
    "chance": "The gain is not told apart from chance",
    "worse": "On these votes the calibration made the forecasts worse",
    "unknown": "How sure the gain is was not measured",
}


def sections(notes: Mapping[str, Any]) -> list[str]:
    """One section, or none for a judge that was not calibrated on further votes.

    Args:
        notes: The notes of the judge; "calibration" holds what `votecast.judges.recalibrate` tells of each calibration.
    """
    entries = [entry for entry in notes.get("calibration", []) if entry["on"] == "votes"]
    if not entries:
        return []
    return ["\n".join(["## Recalibration", "", _OPENING, "", *map(_line, entries)])]


def _line(entry: Mapping[str, Any]) -> str:
    labels = ", ".join(f"{name} {share:.1%}" for name, share in entry["labels"].items())
    before, after = entry["before"], entry["after"]
    ece = f"{after['ece']['value']:.4f} (a perfect judge's {after['ece_perfect']['value']:.4f})"
    leaked = f"; {entry['leaked']:,} of them share prompts with its training data" if entry["leaked"] else ""
    return (
        f"- {entry['name']}: {entry['rows']:,} votes on {entry['clusters']:,} prompts ({labels}){leaked}. Log loss "
        f"{before['log_loss']['value']:.4f} before, {after['log_loss']['value']:.4f} after; ECE "
        f"{before['ece']['value']:.4f} before, {ece} after. {_did(entry)}"
    )


def _did(entry: Mapping[str, Any]) -> str:
    """What was done, and what was measured of it."""
    if changes_nothing(entry):
        return "The probabilities were left as they were: no calibration was taken."
    gain = entry["gain"]
    drawn = gain["low"] is not None and gain["high"] is not None
    interval = f", 95 % interval {gain['low']:+.4f} to {gain['high']:+.4f}" if drawn else ""
    return f"{_OUTCOMES[outcome(entry)]} (log loss saved {gain['value']:+.4f}{interval})."
