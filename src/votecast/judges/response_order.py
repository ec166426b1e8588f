"""Predict in the order in which the responses are shown, or as the mean over both orders.

Most judges predict alike in either order: by construction, or because they average both. The service asks here for the
shown order alone, and for both orders of judges that read the shown one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from votecast.data.frames import as_battles
from votecast.judges.trained import TrainedJudge
from votecast.types import Probabilities, swap_columns

if TYPE_CHECKING:
    from votecast.text.truncation import TruncationReport

Order = Literal["both", "given"]


def predict_in_order(
    judge: TrainedJudge, battles: object, order: Order = "both"
) -> tuple[Probabilities, TruncationReport | None]:
    """Predict how people vote, in one order of the responses or in both; return the truncation too.

    Args:
        judge: A fitted judge.
        battles: Battles, a frame or a list of battles or dicts; n rows.
        order: "both" is the judge's own prediction, to the bit, or for a judge that reads the shown order alone the
            mean over both orders; "given" is the shown order alone.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> judge = load_judge("bundled:baseline")
        >>> rows = [{"prompt": "Why?", "response_a": "Because.", "response_b": "Gravity pulls."}]
        >>> bool((predict_in_order(judge, rows, "given")[0] == judge.predict_proba(rows)).all())
        True
    """
    if order == "given":
        return judge.with_shown_order().predict_with_truncation(battles)
    if not reads_shown_order(judge):
        return judge.predict_with_truncation(battles)
    battles = as_battles(battles)
    p, cut = judge.predict_with_truncation(battles)
    return (p + swap_columns(judge.predict_proba(battles.swapped()))) / 2, cut


def predict_both_orders(judge: TrainedJudge, battles: object) -> tuple[Probabilities, Probabilities]:
    """Predict with the responses as they are shown, and with them swapped, shape (n, 3) each.

    Of both, column a is that of the response shown as a in the battles.
    """
    battles, shown = as_battles(battles), judge.with_shown_order()
    given = shown.predict_proba(battles)
    if not judge.order_matters:
        return given, given
    return given, swap_columns(shown.predict_proba(battles.swapped()))


def reads_shown_order(judge: TrainedJudge) -> bool:
    """Return whether the judge, or one inside it, reads the shown order alone."""
    return any(leaf.order_matters and not leaf.averages_orders for leaf in judge.leaves())
