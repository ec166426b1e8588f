"""A judge in a worker: scores the rows of several requests at once, each in the order it asks for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from votecast.client.service_responses import ServedJudge
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.outputs.prediction_files import decide
from votecast.errors import ConfigError, DataError, UnscoredRowsError
from votecast.judges.explain import explain
from votecast.judges.load import load_judge
from votecast.judges.response_order import Order, predict_both_orders, predict_in_order
from votecast.judges.trained import TrainedJudge
from votecast.types import CLASSES, Probabilities

logger = logging.getLogger(__name__)

WARM_UP: Final = (
    ("What is the capital of France?", "Paris.", "The capital of France is **Paris**, on the Seine."),
    ("Schreibe ein Gedicht.", "Der Wind weht leise über das Feld.\n\nDie Nacht ist still.", "Das kann ich nicht."),
    ("Add two numbers in Python.", "```python\ndef add(a, b):\n    return a + b\n```\n" * 8, "Use `sum`. " * 40),
)
"""Battles that a judge predicts before it is ready, so that no request pays for what happens once."""

_ORDERS: Final[tuple[Order, Order]] = ("both", "given")
_VIEWS: Final = 2  # a battle is read in both orders


class JudgeRunner:
    """A judge under its name in a service.

    Args:
        judge: The judge, fitted.
        name: Its name in requests.

    Example:
        >>> judge = JudgeRunner(load_judge("bundled:baseline"), "mine")
        >>> battle = {"prompt": "Why?", "response_a": "Because.", "response_b": "Gravity pulls."}
        >>> sorted(judge.score([{"battle": battle}])[0])
        ['cut', 'decision', 'p']
    """

    def __init__(self, judge: TrainedJudge, name: str) -> None:
        self.judge, self.name = judge, name

    @classmethod
    def load(cls, name: str, place: str, *, precision: str | None = None) -> Self:
        """Load a judge.

        Args:
            name: Its name in requests.
            place: Its folder or name.
            precision: Precision of a neural judge; None for its own.

        Raises:
            ArtifactError: If there is no such judge, or it is damaged.
            ConfigError: If it reads numbers beside the texts, which requests do not have, or the precision is invalid.
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

    def facts(self) -> ServedJudge:
        """Predict a few battles, so that the judge is warm, and return what it is."""
        asked = [dict(zip(("prompt", "response_a", "response_b"), texts, strict=True)) for texts in WARM_UP]
        battles = battles_of(asked)
        cut = predict_in_order(self.judge, battles)[1]
        lengths = [getattr(getattr(leaf.settings, "text", None), "max_length", None) for leaf in self.judge.leaves()]
        known = [length for length in lengths if length is not None]
        facts = ServedJudge(
            name=self.name,
            title=self.judge.name,
            hash=self.judge.hash,
            family=self.judge.recipe.family,
            order_matters=self.judge.fitted.members[0].order_matters,
            explains=explain(self.judge, battles[:1]) is not None,
            figures={key: self.judge.figures[key] for key in ("rows", "metrics") if key in self.judge.figures},
            cuts=cut is not None,
            reads=_VIEWS * sum(known) if len(known) == len(lengths) else None,
            default=False,
        )
        self.score([{"battle": battle} for battle in asked])
        return facts

    def score(self, asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score rows; an error of one row does not affect the others.

        Args:
            asked: For each row its `battle`, and perhaps `order` and `explain`.

        Returns:
            For each row `p`, `decision` and `cut`, with `orders` and `reasons` if it is to be explained; or the reason
            why it cannot be scored as `unscored`; or the error as `failed`.
        """
        try:
            battles = battles_of([row["battle"] for row in asked])
            found: list[dict[str, Any]] = [{}] * len(asked)
            for order in _ORDERS:
                places = [place for place, row in enumerate(asked) if row.get("order", "both") == order]
                part = battles if len(places) == len(asked) else battles.take(places)
                for place, answer in zip(places, self._predict(part, order) if places else [], strict=True):
                    found[place] = answer
            for place, row in enumerate(asked):
                if row.get("explain") and "p" in found[place]:
                    found[place] |= self._explain(battles[place : place + 1])
            return found
        except Exception as error:
            if len(asked) > 1:
                return [self.score([row])[0] for row in asked]
            if isinstance(error, DataError):
                return [{"unscored": str(error)}]
            kind = type(error).__name__
            logger.error("judge %r failed on a row: %s", self.name, kind, exc_info=error)
            return [{"failed": f"judge {self.name!r} failed on this battle ({kind}); see the service's log"}]

    def _predict(self, battles: Battles, order: Order) -> list[dict[str, Any]]:
        """Score rows of one order."""
        try:
            p, cut = predict_in_order(self.judge, battles, order)
        except UnscoredRowsError as error:
            rest = [row for row in range(len(battles)) if row not in error.reasons]
            scored = iter(self._predict(battles.take(rest), order) if rest else [])
            reasons = error.reasons
            return [{"unscored": reasons[row]} if row in reasons else next(scored) for row in range(len(battles))]
        cuts: list[dict[str, Any] | None] = [None] * len(p)
        if cut is not None:
            cuts = [cut.take([row]).to_dict() if is_cut else None for row, is_cut in enumerate(cut.cut)]
        rows = zip(p.tolist(), decide(p), cuts, strict=True)
        return [{"p": shares, "decision": decision, "cut": lost} for shares, decision, lost in rows]

    def _explain(self, battle: Battles) -> dict[str, Any]:
        given, swapped = predict_both_orders(self.judge, battle)
        reasons = explain(self.judge, battle)
        return {
            "orders": {"given": _shares(given), "swapped": _shares(swapped)},
            "reasons": None if reasons is None else [asdict(reason) for reason in reasons[0]],
        }


def battles_of(rows: Sequence[dict[str, Any]]) -> Battles:
    """Build a table of checked rows.

    Example:
        >>> battles_of([{"prompt": "Why?", "response_a": ["Because."], "response_b": ["So.", None]}])[0].response_b
        ('So.', None)
    """
    columns: dict[str, pa.Array] = {}
    for field in SCHEMA:
        if field.name == "id":
            values: list[Any] = [str(place) for place in range(len(rows))]
        elif field.name in TEXT_COLUMNS:
            texts = [row[field.name] for row in rows]
            values = [[text] if isinstance(text, str) else text for text in texts]
        elif field.name in ("language", "source"):
            values = [row.get(field.name) for row in rows]
        else:
            values = [1.0 if field.name == "weight" else None] * len(rows)
        columns[field.name] = pa.array(values, field.type)
    return Battles(pa.table(columns, schema=SCHEMA))


def _shares(p: Probabilities) -> dict[str, float]:
    return dict(zip(CLASSES, np.asarray(p[0]).tolist(), strict=True))
