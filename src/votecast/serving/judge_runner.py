"""A judge in a worker: scores the rows of several requests at once, each in the order it asks for.

`worker` loads one for each judge of the service.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, Self

import pyarrow as pa

from votecast.client.service_responses import ServedJudge
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.outputs.prediction_files import decide
from votecast.errors import ConfigError, DataError, UnscoredRowsError
from votecast.judges.explain import explain
from votecast.judges.load import load_judge
from votecast.judges.response_order import Order, predict_both_orders, predict_in_order
from votecast.judges.trained import TrainedJudge
from votecast.types import CLASSES

logger = logging.getLogger(__name__)

# Predicted before a judge is ready, so that no request pays for what happens once.
_WARM_UP: Final = (
    ("What is the capital of France?", "Paris.", "The capital of France is **Paris**, on the Seine."),
    ("Schreibe ein Gedicht.", "Der Wind weht leise über das Feld.\n\nDie Nacht ist still.", "Das kann ich nicht."),
    ("Add two numbers in Python.", "```python\ndef add(a, b):\n    return a + b\n```\n" * 8, "Use `sum`. " * 40),
)
_ORDERS: Final[tuple[Order, Order]] = ("both", "given")


class JudgeRunner:
    """A fitted judge under its name in requests.

    Example:
        >>> judge = JudgeRunner(load_judge("bundled:baseline"), "mine")
        >>> battle = {"prompt": "Why?", "response_a": "Because.", "response_b": "Gravity pulls."}
        >>> sorted(judge.score([{"battle": battle}])[0])
        ['cut', 'decision', 'probabilities']
    """

    def __init__(self, judge: TrainedJudge, name: str) -> None:
        self.judge, self.name = judge, name

    @classmethod
    def load(cls, name: str, place: str, *, precision: str | None = None) -> Self:
        """Load a judge from its folder or name; a precision is for neural judges.

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
            # judges without a choice of precision are served as they are
            for member in judge.fitted.members:
                member.set_inference(precision=precision)
        return cls(judge, name)

    def facts(self) -> ServedJudge:
        """Warm up the judge and return what it is."""
        rows = [dict(zip(TEXT_COLUMNS, texts, strict=True)) for texts in _WARM_UP]
        battles = battles_of(rows)
        self.score([{"battle": row} for row in rows])
        truncation = predict_in_order(self.judge, battles)[1]
        lengths = [leaf.settings.dump().get("text", {}).get("max_length") for leaf in self.judge.leaves()]
        return ServedJudge(
            name=self.name,
            title=self.judge.name,
            hash=self.judge.hash,
            family=self.judge.recipe.family,
            order_matters=self.judge.fitted.members[0].order_matters,
            explains=explain(self.judge, battles[:1]) is not None,
            figures={key: self.judge.figures[key] for key in ("rows", "metrics") if key in self.judge.figures},
            cuts=truncation is not None,
            reads=None if None in lengths else 2 * sum(lengths),  # a battle is read in both orders
            default=False,
        )

    def score(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
        """Score rows; an error of one row does not affect the others.

        Args:
            rows: For each its `battle`, and perhaps `order` and `explain`.

        Returns:
            For each row `probabilities`, `decision` and `cut`, with `orders` and `reasons` if it is to be explained; or
            the reason why it cannot be scored as `unscored`; or the error as `failed`.
        """
        try:
            battles = battles_of([row["battle"] for row in rows])
            found: list[dict[str, object]] = [{}] * len(rows)
            for order in _ORDERS:
                places = [place for place, row in enumerate(rows) if row.get("order", "both") == order]
                part = battles if len(places) == len(rows) else battles.take(places)
                for place, answer in zip(places, self._predict(part, order) if places else [], strict=True):
                    found[place] = answer
            for place, row in enumerate(rows):
                if row.get("explain") and "probabilities" in found[place]:
                    found[place] |= self._explain(battles[place : place + 1])
            return found
        except Exception as error:
            # one by one, so that only the row at fault fails
            if len(rows) > 1:
                return [self.score([row])[0] for row in rows]
            if isinstance(error, DataError):
                return [{"unscored": str(error)}]
            kind = type(error).__name__
            logger.error("judge %r failed on a row: %s", self.name, kind, exc_info=error)
            return [{"failed": f"judge {self.name!r} failed on this battle ({kind}); see the service's log"}]

    def _predict(self, battles: Battles, order: Order) -> list[dict[str, object]]:
        """Predict battles in one order of the responses."""
        try:
            p, truncation = predict_in_order(self.judge, battles, order)
        except UnscoredRowsError as error:
            rest = [row for row in range(len(battles)) if row not in error.reasons]
            scored = iter(self._predict(battles.take(rest), order) if rest else [])
            reasons = error.reasons
            return [{"unscored": reasons[row]} if row in reasons else next(scored) for row in range(len(battles))]
        cuts: list[object] = [None] * len(p)
        if truncation is not None:
            cuts = [truncation.take([row]).to_dict() if is_cut else None for row, is_cut in enumerate(truncation.cut)]
        return [
            {"probabilities": dict(zip(CLASSES, shares, strict=True)), "decision": decision, "cut": cut}
            for shares, decision, cut in zip(p.tolist(), decide(p), cuts, strict=True)
        ]

    def _explain(self, battle: Battles) -> dict[str, object]:
        """Return the predictions of both orders, and the reasons, of one battle."""
        given, swapped = (p[0].tolist() for p in predict_both_orders(self.judge, battle))
        reasons = explain(self.judge, battle)
        return {
            "orders": {
                "given": dict(zip(CLASSES, given, strict=True)),
                "swapped": dict(zip(CLASSES, swapped, strict=True)),
            },
            "reasons": None if reasons is None else [asdict(reason) for reason in reasons[0]],
        }


def battles_of(rows: Sequence[Mapping[str, Any]]) -> Battles:
    """Build a table of rows that were checked at the front.

    Example:
        >>> battles_of([{"prompt": "Why?", "response_a": ["Because."], "response_b": ["So.", None]}])[0].response_b
        ('So.', None)
    """
    columns: dict[str, list[object]] = {field.name: [None] * len(rows) for field in SCHEMA}
    columns |= {"id": [str(place) for place in range(len(rows))], "weight": [1.0] * len(rows)}
    for name in TEXT_COLUMNS:
        columns[name] = [[text] if isinstance(text := row[name], str) else text for row in rows]
    for name in ("language", "source"):
        columns[name] = [row.get(name) for row in rows]
    return Battles(pa.table(columns, schema=SCHEMA))
