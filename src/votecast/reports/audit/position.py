"""What changes in the forecasts when the answers change places, and which place gains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from votecast.metrics import Figure
from votecast.metrics.scores import decisions, log_losses
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.rows import Rows


@dataclass(frozen=True)
class Position:
    """The order of the answers.

    Args:
        flips: Share of rows whose decision changes with the order.
        first_both: Share of rows in which whichever answer is shown first is preferred.
        second_both: Share of rows in which whichever answer is shown second is preferred.
        pull: How much probability an answer gains over the other by being shown first, on average.
        moved: Mean absolute change of the forecast for an answer when the order changes.
        votes_lean: Share of votes for a minus share for b: how much people lean towards what they see first, if the
            order was drawn by lot.
        lean_gap: The forecasts' lean to a minus that of the votes.
        averaged_gain: Log loss saved by averaging the forecasts of both orders.
    """

    flips: Figure
    first_both: Figure
    second_both: Figure
    pull: Finding
    moved: Figure
    votes_lean: Figure
    lean_gap: Finding
    averaged_gain: Finding


def position(rows: Rows) -> Position | None:
    """Compare the forecasts of both orders; None where only one is known."""
    if rows.reverse is None:
        return None
    p, q, sums = rows.p, rows.reverse, rows.sums
    lead, turned = p[:, 0] - p[:, 1], q[:, 0] - q[:, 1]
    averaged = log_losses(rows.targets, (p + q) / 2)
    return Position(
        flips=sums.mean(np.abs(decisions(p) - decisions(q)).sum(axis=1) / 2),
        first_both=sums.mean(((lead > 0) & (turned < 0)).astype(np.float64)),
        second_both=sums.mean(((lead < 0) & (turned > 0)).astype(np.float64)),
        pull=sums.tested((lead - turned) / 2),
        moved=sums.mean(np.abs(p[:, :2] - q[:, :2]).mean(axis=1)),
        votes_lean=sums.mean(rows.targets[:, 0] - rows.targets[:, 1]),
        lean_gap=sums.tested(2 * rows.side_gap, noise=4 * rows.side_noise),
        averaged_gain=sums.tested(rows.losses - averaged),
    )
