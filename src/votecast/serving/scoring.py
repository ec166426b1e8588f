"""A judge in a worker: asked for rows of several requests at once, each in the order it wants."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.outputs.prediction_files import decide
from votecast.errors import ConfigError, DataError, UnscoredRowsError
from votecast.judges.explain import explain
from votecast.judges.load import load_judge
from votecast.judges.response_order import Order, predict_both_orders, predict_in_order
from votecast.judges.trained import TrainedJudge
from votecast.serving.facts import JudgeFacts
from votecast.types import CLASSES, Probabilities

logger = logging.getLogger(__name__)

WARM_UP: Final = (
    ("What is the capital of France?", "Paris.", "The capital of France is **Paris**, on the Seine."),
    ("Schreibe ein Gedicht.", "Der Wind weht leise über das Feld.\n\nDie Nacht ist still.", "Das kann ich nicht."),
    ("Add two numbers in Python.", "```python\ndef add(a, b):\n    return a + b\n```\n" * 8, "Use `sum`. " * 40),
)
"""Battles that a judge forecasts before it is ready, so that no request pays for what happens once."""

_ORDERS: Final[tuple[Order, Order]] = ("both", "given")
_VIEWS: Final = 2
_FIGURES: Final = ("rows", "metrics")


class ServedJudge:
    """A judge, and what a service says of it.

    Args:
        judge: The judge, fitted.
        name: What it is called here.

    Example:
        >>> judge = ServedJudge(load_judge("bundled:baseline"), "mine")
        >>> battle = {"prompt": "Why?", "response_a": "Because.", "response_b": "Gravity pulls."}
        >>> sorted(judge.answers([{"battle": battle}])[0])
        ['cut', 'decision', 'p']
    """

    def __init__(self, judge: TrainedJudge, name: str) -> None:
        self.judge, self.name = judge, name

    @classmethod
    def load(cls, name: str, place: str, *, precision: str | None = None) -> Self:
        """Load a judge.

        Args:
            name: What it is called here.
            place: Its folder or name.
            precision: How exactly it computes, if it is of a family that has a choice; None leaves it to the judge.

        Raises:
            ArtifactError: If there is no such judge, or it is damaged.
            ConfigError: If it reads numbers beside the texts, which requests do not have, or cannot compute so.
        """
        judge = load_judge(place)
        if judge.numbers:
            raise ConfigError(
                f"judge {place!r} reads {', '.join(judge.numbers)} beside the texts, and requests hold texts alone; "
                "serve a judge that was trained on texts"
            )
        if precision is not None:
            for member in judge.fitted.members:
                member.run_with(precision=precision)
        return cls(judge, name)

    def facts(self) -> JudgeFacts:
        """Forecast a few battles, so that all is in place for the first request, and say what the judge is."""
        names = ("prompt", "response_a", "response_b")
        battles = battles_of([dict(zip(names, texts, strict=True)) for texts in WARM_UP])
        cut = predict_in_order(self.judge, battles)[1]
        explains = explain(self.judge, battles[:1]) is not None
        facts = JudgeFacts(
            name=self.name,
            title=self.judge.name,
            hash=self.judge.hash,
            family=self.judge.recipe.family,
            order_matters=self.judge.fitted.members[0].order_matters,
            explains=explains,
            figures={key: self.judge.figures[key] for key in _FIGURES if key in self.judge.figures},
            cuts=cut is not None,
            reads=self._reads(),
        )
        self.answers([{"battle": dict(zip(names, texts, strict=True))} for texts in WARM_UP])
        return facts

    def answers(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer rows; what is wrong with one of them is no matter of the others.

        Args:
            asked: For each row its `battle`, and perhaps `order` and `explain`.

        Returns:
            For each row `p`, `decision` and `cut`, with `orders` and `reasons` if it was to be explained; or the reason
            why it cannot be scored as `unscored`; or what went wrong as `failed`.
        """
        try:
            return self._answers(asked)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with a row must not end the worker
            if len(asked) == 1:
                return [self._failed(error)]
            return [self.answers([row])[0] for row in asked]

    def _answers(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        battles = battles_of([row["battle"] for row in asked])
        found: list[dict[str, Any]] = [{}] * len(asked)
        for order in _ORDERS:
            places = [place for place, row in enumerate(asked) if row.get("order", "both") == order]
            part = battles if len(places) == len(asked) else battles.take(places)
            for place, answer in zip(places, self._forecast(part, order) if places else [], strict=True):
                found[place] = answer
        wanted = [place for place, row in enumerate(asked) if row.get("explain") and "p" in found[place]]
        for place in wanted:
            found[place] |= self._explained(battles[place : place + 1])
        return found

    def _forecast(self, battles: Battles, order: Order) -> list[dict[str, Any]]:
        """The answers of rows of one order."""
        try:
            p, cut = predict_in_order(self.judge, battles, order)
        except UnscoredRowsError as error:
            rest = [row for row in range(len(battles)) if row not in error.reasons]
            left = iter(self._forecast(battles.take(rest), order) if rest else [])
            reasons = error.reasons
            return [{"unscored": reasons[row]} if row in reasons else next(left) for row in range(len(battles))]
        cuts = (
            [None] * len(p)
            if cut is None
            else [cut.take([row]).to_dict() if is_cut else None for row, is_cut in enumerate(cut.cut)]
        )
        said = zip(p.tolist(), decide(p), cuts, strict=True)
        return [{"p": chances, "decision": decision, "cut": lost} for chances, decision, lost in said]

    def _explained(self, battle: Battles) -> dict[str, Any]:
        given, exchanged = predict_both_orders(self.judge, battle)
        reasons = explain(self.judge, battle)
        return {
            "orders": {"given": _shares(given), "exchanged": _shares(exchanged)},
            "reasons": None if reasons is None else [asdict(reason) for reason in reasons[0]],
        }

    def _failed(self, error: Exception) -> dict[str, Any]:
        if isinstance(error, DataError):
            return {"unscored": str(error)}
        logger.error("judge %r failed on a row: %s", self.name, type(error).__name__, exc_info=error)
        return {"failed": f"judge {self.name!r} failed on this battle ({type(error).__name__}); see the service's log"}

    def _reads(self) -> int | None:
        most = [getattr(getattr(leaf.settings, "text", None), "max_length", None) for leaf in self.judge.leaves()]
        known = [length for length in most if length is not None]
        return _VIEWS * sum(known) if len(known) == len(most) else None


def battles_of(rows: Sequence[dict[str, Any]]) -> Battles:
    """Checked rows as a table.

    Example:
        >>> battles_of([{"prompt": "Why?", "response_a": ["Because."], "response_b": ["So.", None]}])[0].response_b
        ('So.', None)
    """
    columns: dict[str, Any] = {}
    for field in SCHEMA:
        if field.name == "id":
            values: list[Any] = [str(place) for place in range(len(rows))]
        elif field.name in TEXT_COLUMNS:
            values = [_turns(row[field.name]) for row in rows]
        elif field.name in ("language", "source"):
            values = [row.get(field.name) for row in rows]
        else:
            values = [1.0 if field.name == "weight" else None] * len(rows)
        columns[field.name] = pa.array(values, field.type)
    return Battles(pa.table(columns, schema=SCHEMA))


def _turns(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _shares(p: Probabilities) -> dict[str, float]:
    return dict(zip(CLASSES, np.asarray(p[0]).tolist(), strict=True))
