"""Forecasts in the order in which the answers are shown, or in both.

Most judges answer alike whichever answer comes first: by construction, or because they read both orders and average
them. Here the latter can be asked for the shown order alone, and judges that go by the shown order for both.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.judges.composed import ComposedModel
from votecast.judges.trained import TrainedJudge
from votecast.models.average import AverageModel
from votecast.models.base import cuts_of, order_matters
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
        return as_shown(judge).predict_with_cuts(battles)
    if not goes_by_shown(judge):
        return judge.predict_with_cuts(battles)
    battles = as_battles(battles)
    p, cut = judge.predict_with_cuts(battles)
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
    if shown is judge and not order_matters(judge.fitted.members[0]):
        return given, given
    return given, np.asarray(swap_columns(shown.predict_proba(battles.swapped())))


def as_shown(judge: TrainedJudge) -> TrainedJudge:
    """The same judge, reading the shown order alone; itself if it does not read both."""
    if not any(map(order_matters, judge.fitted.members)):
        return judge
    members = [_shown(member) for member in judge.fitted.members]
    return TrainedJudge.of(judge.recipe, replace(judge.fitted, members=members))


def goes_by_shown(judge: TrainedJudge) -> bool:
    """Whether the judge, or one inside it, reads the shown order alone."""
    return any(order_matters(leaf) and not _averages(leaf) for leaf in leaves(judge))


def leaves(judge: TrainedJudge) -> Iterator[Any]:
    """The members of a judge and of all judges inside it, down to those that hold no others."""
    for member in judge.fitted.members:
        yield from _inside(member)


def _inside(model: Any) -> Iterator[Any]:
    if isinstance(model, AverageModel):
        for member in model.members:
            yield from _inside(member)
    elif isinstance(model, ComposedModel):
        for judge in model.judges:
            yield from leaves(judge)
    else:
        yield model


def _shown(model: Any) -> Any:
    if isinstance(model, AverageModel):
        average = copy.copy(model)
        average.members = [_shown(member) for member in model.members]
        return average
    if isinstance(model, ComposedModel):
        composed = copy.copy(model)
        composed.judges = [as_shown(judge) for judge in model.judges]
        return composed
    return _FirstView(model) if _averages(model) else model


def _averages(model: Any) -> bool:
    """Whether a model reads both orders and averages what it finds."""
    return order_matters(model) and hasattr(model, "predict_views") and model.settings.orders != "shown"


class _FirstView:
    """A member that is asked for the shown order alone."""

    order_matters = True

    def __init__(self, member: Any) -> None:
        self._member = member

    def prepare(self, battles: Battles) -> Any:
        """As the member does."""
        return self._member.prepare(battles)

    def cuts(self, prepared: Any) -> Cut | None:
        """As the member does."""
        return cuts_of(self._member, prepared)

    def predict(self, prepared: Any) -> Probabilities:
        """Uncalibrated probabilities of shape (n, 3)."""
        return np.asarray(self._member.predict_views(prepared, most=1)[:, 0])
