"""Battles that a judge cannot score: which, and why. An error, never a guess."""

from __future__ import annotations

from collections.abc import Mapping

from votecast.errors import JudgeError

_SHOWN = 3


class UnscoredRowsError(JudgeError):
    """Some of the battles that a judge was asked for cannot be scored.

    Args:
        reasons: Positions of these battles among those that were asked for, and what is wrong with each.
        rows: How many were asked for.

    Example:
        >>> str(UnscoredRowsError({1: "its reward is nan"}, 3))
        '1 of 3 battles cannot be scored: number 2: its reward is nan'
    """

    def __init__(self, reasons: Mapping[int, str], rows: int) -> None:
        self.reasons = dict(sorted(reasons.items()))
        first = [f"number {row + 1}: {reason}" for row, reason in list(self.reasons.items())[:_SHOWN]]
        more = f"; and {len(self.reasons) - _SHOWN} more" if len(self.reasons) > _SHOWN else ""
        super().__init__(f"{len(self.reasons)} of {rows} battles cannot be scored: {'; '.join(first)}{more}")
