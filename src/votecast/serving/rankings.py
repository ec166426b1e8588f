"""What the routes /v1/rerank and /v1/leaderboard compute: the order of candidates, and the strength of models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from votecast.data.candidates import Candidates
from votecast.errors import DataError
from votecast.judges.rank_candidates import PairPredictions, rank_group
from votecast.serving.pool import size_of
from votecast.serving.request_errors import Fault, InvalidRequestError
from votecast.serving.schemas import LeaderboardRequest, RerankRequest
from votecast.types import CLASSES

MOST_MODELS: Final = 300
"""Most models of one leaderboard."""

_COLUMNS: Final = ("score", "low", "high", "rank", "rank_low", "rank_high", "battles")


def pairs_of(body: RerankRequest) -> tuple[Candidates, list[dict[str, Any]]]:
    """Return the candidates, and each pair of different ones as a battle, in the order of `votecast rerank`.

    Args:
        body: The request.

    Example:
        >>> row, battles = pairs_of(RerankRequest(prompt="Why?", candidates=["So.", "Because.", "So."]))
        >>> len(battles), row.id
        (1, '0')
    """
    row = Candidates.of({"id": body.id or "0", "prompt": body.prompt, "candidates": body.candidates})
    battles = [
        {"id": str(place), "prompt": row.prompt, "response_a": one, "response_b": other}
        for place, (one, other) in enumerate(combinations(row.distinct, 2))
    ]
    return row, battles


def check_pair_sizes(battles: Sequence[dict[str, Any]], most: int) -> None:
    """Refuse pairs that hold many times what the request did, since each of them holds the prompt.

    Raises:
        InvalidRequestError: If all of them together hold more than `most` characters.
    """
    size = sum(map(size_of, battles))
    if size > most:
        raise _invalid(
            "candidates",
            f"{len(battles):,} pairs of the candidates hold {size:,} characters with the prompt in each; at most "
            f"{most:,} are allowed: give fewer candidates or shorter texts",
        )


def rank_candidates(row: Candidates, predictions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Order the candidates, best first, each with its expected win rate against the others.

    Args:
        row: The candidates.
        predictions: The prediction of each pair.
    """
    p = np.array([[each["probabilities"][name] for name in CLASSES] for each in predictions])
    p = p.reshape(-1, len(CLASSES))  # (pairs, 3), also without a pair
    (ranking,) = rank_group([row], PairPredictions([str(place) for place in range(len(p))], p, {}))
    assert not isinstance(ranking, str)
    order = [{"index": place, "score": ranking.scores[place]} for place in ranking.order]
    cuts = [each["cut"] for each in predictions]
    lost = [cut for cut in cuts if cut is not None]
    if not lost:
        return {"id": row.id, "ranking": order, "cut": None}
    whole = len(cuts) - len(lost)
    kept = {part: round((whole + sum(cut["kept"][part] for cut in lost)) / len(cuts), 3) for part in lost[0]["kept"]}
    return {"id": row.id, "ranking": order, "cut": {"rows": len(cuts), "rows_cut": len(lost), "kept": kept}}


def rank_games(body: LeaderboardRequest) -> dict[str, Any]:
    """Rank models by games; if some never met the others, the largest group that did is ranked.

    Args:
        body: The games; each is a unit of its own.

    Raises:
        InvalidRequestError: If they cannot be ranked.

    Example:
        >>> games = [{"model_a": "x", "model_b": "y", "winner": winner} for winner in ("a", "a", "b")]
        >>> [each["model"] for each in rank_games(LeaderboardRequest(games=games))["models"]]
        ['x', 'y']
    """
    from votecast.leaderboard import Games, rank_models  # imports scipy, which would delay the start of the service

    for place, game in enumerate(body.games):
        if game.winner is None and game.probabilities is None:
            raise _invalid(f"games.{place}", "the game has neither winner nor probabilities; give one of them")
        if game.model_a == game.model_b:
            raise _invalid(f"games.{place}", "a model cannot meet itself; leave the game out")
    names = sorted({name for game in body.games for name in (game.model_a, game.model_b)})
    if len(names) > MOST_MODELS:
        raise _invalid("games", f"the games name {len(names):,} models; at most {MOST_MODELS} are allowed")
    number = {name: place for place, name in enumerate(names)}
    a, b = ([number[getattr(game, side)] for game in body.games] for side in ("model_a", "model_b"))
    outcomes = [game.probabilities or tuple(float(game.winner == name) for name in CLASSES) for game in body.games]
    try:
        found = rank_models(Games.of(names, a, b, outcomes), method=body.method, disconnected="largest")
    except DataError as error:
        raise _invalid("games", str(error)) from None
    models: list[dict[str, object]] = [{"model": name} for name in found.models]
    for name in _COLUMNS:
        for model, value in zip(models, getattr(found, name).tolist(), strict=True):
            model[name] = value if math.isfinite(value) else None
    return {"models": models, "method": found.method, "games": len(body.games), "notes": list(found.notes)}


def _invalid(path: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(f"the body is invalid: {path}: {message}", [Fault(path, message)])
