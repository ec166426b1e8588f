"""Make votes with known scores and a known true link."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from votecast.calibration.score_link import Link
from votecast.data.battles import Battles
from votecast.data.outputs.score_files import Scores

TRUE = Link("davidson", {"scale": 0.8, "nu": 0.9})
TEXT = "word "


def scored_votes(rows: int = 120, seed: int = 0, prompts: int | None = None) -> tuple[Scores, Battles]:
    """Draw scores and votes from `TRUE` with unequal response lengths."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=rows) * 2 + 3, rng.normal(size=rows) * 2 + 3
    edges = TRUE.predict(a - b).cumsum(axis=1)[:, :2]
    winners = np.array(["a", "b", "tie"])[(rng.random(rows)[:, None] > edges).sum(axis=1)]
    made: list[dict[str, Any]] = [
        {
            "id": f"row {n}",
            "prompt": f"question number {n % (prompts or rows)} of {seed}, what is it?",
            "response_a": TEXT * int(rng.integers(1, 60)),
            "response_b": TEXT * int(rng.integers(1, 60)),
            "winner": str(winners[n]),
        }
        for n in range(rows)
    ]
    return Scores([row["id"] for row in made], a, b), Battles.from_rows(made)


def with_scores(votes: Battles, scores: Scores) -> Battles:
    """Return the battles with their scores added."""
    table = votes.table.append_column("score_a", pa.array(scores.a))
    return Battles(table.append_column("score_b", pa.array(scores.b)))
