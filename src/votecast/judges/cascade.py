"""A judge made of judges from cheap to dear: each passes on the rows of which it is not sure enough."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.errors import JudgeError, UnscoredRowsError
from votecast.judges.composed import ComposedModel, ComposedSettings
from votecast.judges.trained import TrainedJudge
from votecast.models.routing import Plan
from votecast.text.report import Cut
from votecast.types import Probabilities


class CascadeSettings(ComposedSettings):
    """Settings of a cascade.

    Args:
        judges: How many judges it holds.
        thresholds: For every judge but the last, the entropy of its forecast from which a row goes on; None where none
            does.
    """

    thresholds: tuple[float | None, ...] = ()

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        if len(self.thresholds) != self.judges - 1:
            raise ValueError(
                f"{self.judges} judges have {len(self.thresholds)} thresholds; every judge but the last has one"
            )
        return self

    @property
    def plan(self) -> Plan:
        """Which rows go on."""
        return Plan(self.thresholds)


class CascadeModel(ComposedModel):
    """Judges one after the other; the first that is sure enough answers.

    Whether a row goes on depends on that row's forecast alone, and not on the order of its answers. Later judges are
    asked for nothing but the rows that reach them.

    Args:
        settings: How many judges, and which rows go on.
        seed: Not used: nothing here is random.
        judges: The judges, fitted, from cheap to dear.
    """

    settings_type: ClassVar[type[Settings]] = CascadeSettings

    def predict(self, prepared: Battles) -> Probabilities:
        """Probabilities of shape (n, 3).

        Raises:
            JudgeError: If there are no judges to ask yet.
            UnscoredRowsError: If a judge cannot score a row that reached it.
        """
        if not self.judges:
            raise JudgeError("this cascade holds no judges yet; make one with votecast cascade")
        plan, rows, cuts = self.settings.plan, np.arange(len(prepared)), _Cuts(len(prepared))
        out = np.empty((len(prepared), 3))
        for stage, judge in enumerate(self.judges):
            out[rows], cut = _asked(judge, prepared if stage == 0 else prepared.take(rows), rows, len(prepared))
            cuts.put(rows, cut)
            if stage + 1 < len(self.judges):
                rows = rows[plan.goes_on(stage, out[rows])]
            if not len(rows):
                break
        self._asked = prepared, cuts.found
        return out

    def truncation(self, prepared: Battles) -> Cut | None:
        """What the judges that answered cut from the rows; nothing is counted of rows that were read whole."""
        if self._asked is None or self._asked[0] is not prepared:
            self.predict(prepared)
        return None if self._asked is None else self._asked[1]


class _Cuts:
    """What is known of the cuts so far: of every row, the cut of the judge that answers it."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.found: Cut | None = None

    def put(self, rows: np.ndarray[Any, Any], cut: Cut | None) -> None:
        """Note what a judge cut from the rows it was asked for; None for one that reads them whole."""
        if self.found is None and cut is None:
            return
        if self.found is None:
            self.found = Cut(np.zeros((self._rows, 3), np.int64), np.zeros((self._rows, 3), np.int64))
        self.found.kept[rows] = 0 if cut is None else cut.kept
        self.found.full[rows] = 0 if cut is None else cut.full


def _asked(
    judge: TrainedJudge, battles: Battles, rows: np.ndarray[Any, Any], total: int
) -> tuple[Probabilities, Cut | None]:
    try:
        return judge.predict_with_truncation(battles)
    except UnscoredRowsError as error:
        reasons = {int(rows[place]): reason for place, reason in error.reasons.items()}
        raise UnscoredRowsError(reasons, total) from error
