"""How many rows of a stream are on prompts that were seen before."""

from __future__ import annotations

from typing import Any

from votecast.data.battles import Battles
from votecast.splits.leaks import PromptHashes


class SharedPrompts:
    """Counts the pairs to be decided that are on prompts of a judge's training, or of the calibration votes.

    Args:
        trained: Prompts the judge was trained on; None where they are not known.
        calibrated: Prompts of the votes that chose the threshold; None where they are not known.

    Example:
        >>> rows = [{"prompt": text, "response_a": "x", "response_b": "y"} for text in ("Why?", "How?")]
        >>> shared = SharedPrompts(PromptHashes.of(Battles.from_rows(rows[:1])), None)
        >>> shared.watch(Battles.from_rows(rows))
        >>> shared.to_dict()["pairs"], shared.to_dict()["on_training_prompts"]
        (2, 1)
    """

    def __init__(self, trained: PromptHashes | None, calibrated: PromptHashes | None) -> None:
        self._hashes = {"training": trained, "calibration": calibrated}
        self._pairs = 0
        self._found = {kind: 0 for kind, hashes in self._hashes.items() if hashes is not None}

    def watch(self, battles: Battles) -> None:
        """Count these rows too."""
        self._pairs += len(battles)
        for kind in self._found:
            hashes = self._hashes[kind]
            self._found[kind] += 0 if hashes is None else len(hashes.overlap(battles))

    def to_dict(self) -> dict[str, Any]:
        """The counts, None where prompts are not known, and what they mean in words."""
        counts = {f"on_{kind}_prompts": self._found.get(kind) for kind in self._hashes}
        return {"pairs": self._pairs, **counts, "notes": self._notes()}

    def _notes(self) -> list[str]:
        notes = []
        if trained := self._found.get("training"):
            notes.append(
                f"{trained:,} of {self._pairs:,} pairs are on prompts the judge was trained on: the promise does not "
                "hold for them"
            )
        if calibrated := self._found.get("calibration"):
            notes.append(
                f"{calibrated:,} of {self._pairs:,} pairs are on prompts of the calibration votes, which are no new "
                "draws: the promise is for new prompts"
            )
        return notes
