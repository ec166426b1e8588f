"""Test audits and pages of unusual rows."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.judges.evaluate import Predictions
from votecast.reports.audit import audit_judge
from votecast.reports.audit_page import audit_page
from votecast.types import Probabilities

TEXTS = (
    ["a"],
    ["", "x", "y z"],
    ["# H\n- one\n- two\n```\ncode\n```", "long " * 50 + ".", "\U0001f600 \x00 <script>"],
    ["这是一个很长的句子用来测试重复内容。" * 2, ""],
)
NAMES = (None, ["m1", "m2", "gpt-4", None, "7b"])


def _row(dice: random.Random, number: int, *, binary: bool, soft: bool) -> dict[str, Any]:
    counts = [dice.randint(0, 3), dice.randint(0, 3), 0 if binary else dice.randint(0, 2)]
    counts = counts if any(counts) else [1, 0, 0]
    vote = {"probabilities": [count / sum(counts) for count in counts]}
    single = {"winner": dice.choice(["a", "b"] if binary else ["a", "b", "tie"])}
    some = (
        {"source": dice.choice(["s", "t", "other"])}
        if dice.random() < 0.5
        else {"language": dice.choice(["en", "und"])}
    )
    weight = dice.choice([1.0, 1.0, 0.5, 2.0, 0.0]) if number else 1.0
    return some | {"id": str(number), "weight": weight} | (vote if soft and dice.random() < 0.5 else single)


def _battles(dice: random.Random, rows: int) -> Battles:
    texts, names = dice.choice(TEXTS), dice.choice(NAMES)
    binary, soft, prompts = dice.random() < 0.3, dice.random() < 0.3, dice.choice([1, 2, rows])
    out = []
    for number in range(rows):
        asked = f"Question {dice.randrange(prompts)}"
        row = _row(dice, number, binary=binary, soft=soft)
        row |= {"prompt": dice.choice([asked, [asked, None], []])}
        row |= {"response_a": dice.choice(texts), "response_b": dice.choice(texts)}
        out.append(row | ({"model_a": dice.choice(names), "model_b": dice.choice(names)} if names else {}))
    return Battles.from_rows(out)


class _Any:
    """A judge with unrelated predictions in the two orders."""

    name, hash = "any", ""

    def __init__(self, battles: Battles, p: Probabilities, q: Probabilities) -> None:
        self.battles, self.p, self.q = battles, p, q

    def predict_proba(self, battles: Any) -> Probabilities:
        return self.p if battles is self.battles else self.q


@pytest.mark.parametrize("seed", range(40))
def test_odd_rows_are_audited(seed: int) -> None:
    dice, rng = random.Random(seed), np.random.default_rng(seed)
    rows = dice.choice([1, 2, 3, 5, 12, 30, 60])
    battles = _battles(dice, rows)
    flat, hot = np.full((rows, 3), 1 / 3), np.eye(3)[rng.integers(0, 3, rows)]
    p = dice.choice([flat, hot, rng.dirichlet([0.5, 0.5, 0.5], rows)])
    judge = _Any(battles, p, rng.dirichlet([0.5, 0.5, 0.5], rows))
    audit = audit_judge(judge if seed % 3 else Predictions(battles.ids, p), battles, draws=dice.choice([0, 5]))
    assert json.dumps(audit.to_dict(), allow_nan=False)
    assert audit_page(audit).summary
