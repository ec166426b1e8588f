"""How much of the texts never reached the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from votecast.metrics import Figure
from votecast.metrics.scores import ratio
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.rows import Rows
from votecast.text.report import PARTS


@dataclass(frozen=True)
class Truncation:
    """What was cut because it is longer than the judge reads. The slices "truncation" hold the figures.

    Args:
        rows: Rows that lost a token.
        share: Share of rows that lost a token.
        unread: Share of all tokens that the judge did not read.
        parts: The same of prompt, a and b.
        harder: Log loss of rows that were cut minus that of the others.
        favoured: Forecast minus voted share won by the answer of which the larger share was read, a tie counted as
            half: above 0 the judge prefers what it could read.
    """

    rows: int
    share: Figure
    unread: Figure
    parts: Mapping[str, float | None]
    harder: Finding
    favoured: Finding


def truncation(rows: Rows) -> Truncation | None:
    """Measure the cuts; None where the judge reads texts whole, or nobody knows."""
    if rows.cut is None:
        return None
    kept, full, mask, sums = rows.cut.kept, rows.cut.full, rows.cut.cut, rows.sums
    lost = (full - kept).astype(np.float64)
    read = ratio(kept[:, 1:], np.maximum(full[:, 1:], 1)) + (full[:, 1:] == 0)
    ahead = np.sign(read[:, 0] - read[:, 1])
    return Truncation(
        rows=rows.cut.rows_cut,
        share=sums.mean(mask.astype(np.float64)),
        unread=sums.share(lost.sum(axis=1), full.sum(axis=1).astype(np.float64)),
        parts=dict(zip(PARTS, (float(x) for x in ratio(lost.sum(axis=0), full.sum(axis=0))), strict=True)),
        harder=sums.against_rest(rows.losses, mask),
        favoured=sums.tested(rows.side_gap * ahead, ahead != 0, noise=rows.side_noise),
    )
