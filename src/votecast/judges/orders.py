"""Forecasts in the order in which the answers are shown, or in both.

Most judges answer alike whichever answer comes first: by construction, or because they read both orders and average
them. Here the latter can be asked for the shown order alone, and judges that go by the shown order for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from votecast.data.frames import as_battles
from votecast.judges.composed import as_shown
from votecast.judges.trained import TrainedJudge
from votecast.models.base import Model
from votecast.types import Probabilities, swap_columns

if TYPE_CHECKING:
    from votecast.text.report import Cut

Order = Literal["both", "given"]


def forecast(judge: TrainedJudge, battles: Any, order: Order = "both") -> tuple[Probabilities, Cut | None]:
    """Forecast the votes, and say what the judge did not get to see.

    Args:
        judge: A fitted judge.
        battles: Battles, a frame or a list of battles or dicts; n rows.
        order: "both" is what the judge says by itself, to the bit; of a judge that goes by the shown order, the mean
            over both orders. "given" is the shown order alone.

    Returns:
        Probabilities of shape (n, 3), and the cuts; None for a judge that reads texts whole.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> judge = load_judge("bundled:baseline")
        >>> rows = [{"prompt": "Why?", "response_a": "Because.", "response_b": "Gravity pulls."}]
        >>> bool((forecast(judge, rows, "given")[0] == judge.predict_proba(rows)).all())
        True
    """
    if order == "given":
        return as_shown(judge).predict_with_truncation(battles)
    if not goes_by_shown(judge):
        return judge.predict_with_truncation(battles)
    battles = as_battles(battles)
    p, cut = judge.predict_with_truncation(battles)
    return (p + swap_columns(judge.predict_proba(battles.swapped()))) / 2, cut


def both_orders(judge: TrainedJudge, battles: Any) -> tuple[Probabilities, Probabilities]:
    """What a judge says with the answers as they are shown, and with them exchanged.

    Args:
        judge: A fitted judge.
        battles: Battles, a frame or a list of battles or dicts; n rows.

    Returns:
        Probabilities of shape (n, 3) each; of both, column a is that of the answer shown as a in the battles.
    """
    battles, shown = as_battles(battles), as_shown(judge)
    given = shown.predict_proba(battles)
    if shown is judge and not judge.fitted.members[0].order_matters:
        return given, given
    return given, np.asarray(swap_columns(shown.predict_proba(battles.swapped())))


def goes_by_shown(judge: TrainedJudge) -> bool:
    """Whether the judge, or one inside it, reads the shown order alone."""
    return any(leaf.order_matters and not leaf.averages_orders for leaf in leaves(judge))


def leaves(judge: TrainedJudge) -> Iterator[Model]:
    """The members of a judge and of all judges inside it, down to those that hold no others."""
    for member in judge.fitted.members:
        yield from member.leaves()
