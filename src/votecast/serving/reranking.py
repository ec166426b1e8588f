"""Several answers to one prompt: the pairs to forecast, and the ranking that follows from the forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from votecast.data.candidates import Candidates
from votecast.judges.rank_candidates import PairPredictions, rank_group
from votecast.serving.bodies import RerankBody
from votecast.serving.errors import Fault, UnfitError
from votecast.serving.pool import size_of
from votecast.types import CLASSES


def pairs_of(body: RerankBody) -> tuple[Candidates, list[dict[str, Any]]]:
    """The candidates, and every pair of different ones as a battle, in the order `votecast rerank` asks for them.

    Args:
        body: The request.

    Example:
        >>> row, battles = pairs_of(RerankBody(prompt="Why?", candidates=["So.", "Because.", "So."]))
        >>> len(battles), row.id
        (1, '0')
    """
    row = Candidates.of({"id": body.id or "0", "prompt": body.prompt, "candidates": body.candidates})
    battles = [
        {"id": str(place), "prompt": row.prompt, "response_a": one, "response_b": other}
        for place, (one, other) in enumerate(combinations(row.distinct, 2))
    ]
    return row, battles


def check_spread(battles: Sequence[dict[str, Any]], most: int) -> None:
    """Refuse pairs that hold many times what the request did: each of them holds the prompt.

    Raises:
        UnfitError: If all of them together hold more than `most` characters.
    """
    size = sum(map(size_of, battles))
    if size > most:
        told = (
            f"{len(battles):,} pairs of the candidates hold {size:,} characters with the prompt in each; at most "
            f"{most:,} are allowed: give fewer candidates or shorter texts"
        )
        raise UnfitError(f"the body cannot be used: candidates: {told}", [Fault("candidates", told)])


def ranking_of(row: Candidates, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The candidates, best first, each with its expected win rate against the others.

    Args:
        row: The candidates.
        found: The forecast of every pair.
    """
    p = np.array([[each["probabilities"][name] for name in CLASSES] for each in found]).reshape(-1, len(CLASSES))
    (ranking,) = rank_group([row], PairPredictions([str(place) for place in range(len(p))], p, {}))
    assert not isinstance(ranking, str)
    order = [{"index": place, "score": ranking.scores[place]} for place in ranking.order]
    return {"id": row.id, "ranking": order, "cut": _cut([each["cut"] for each in found])}


def _cut(cuts: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Of how many pairs something was cut, and what share of each part was read on the average."""
    lost = [cut for cut in cuts if cut is not None]
    if not lost:
        return None
    whole = len(cuts) - len(lost)
    kept = {part: round((whole + sum(cut["kept"][part] for cut in lost)) / len(cuts), 3) for part in lost[0]["kept"]}
    return {"rows": len(cuts), "rows_cut": len(lost), "kept": kept}
