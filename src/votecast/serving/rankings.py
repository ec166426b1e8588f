"""What the routes /v1/rerank and /v1/leaderboard compute: the order of candidates, and the strength of models.

`app` calls it; the pairs of candidates are predicted in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from votecast.data.candidates import Candidates
from votecast.errors import DataError
from votecast.judges.rank_candidates import PairPredictions, rank_group
from votecast.serving.request_errors import InvalidRequestError
from votecast.serving.request_queue import Row, texts_of
from votecast.serving.schemas import LeaderboardRequest, RerankRequest
from votecast.types import CLASSES

_MOST_MODELS: Final = 300
_PAIR_CHARACTERS: Final = 16  # that the pairs of candidates may hold, for each byte of the longest body
_COLUMNS: Final = ("score", "low", "high", "rank", "rank_low", "rank_high", "battles")


def pair_candidates(body: RerankRequest, body_bytes: int) -> tuple[Candidates, list[Row]]:
    """Return the candidates, and each pair of different ones as a battle.

    Raises:
        InvalidRequestError: If the pairs hold many times what a request may (`body_bytes`): each holds the prompt.

    Example:
        >>> row, battles = pair_candidates(RerankRequest(prompt="Why?", candidates=["So.", "Because.", "So."]), 1000)
        >>> len(battles), row.id
        (1, '0')
    """
    # in the order of `votecast rerank`, so that both give the same ranking
    row = Candidates.of({"id": body.id or "0", "prompt": body.prompt, "candidates": body.candidates})
    battles: list[Row] = [
        {"id": str(place), "prompt": row.prompt, "response_a": one, "response_b": other}
        for place, (one, other) in enumerate(combinations(row.distinct, 2))
    ]
    size = sum(len(text) for battle in battles for text in texts_of(battle))
    most = _PAIR_CHARACTERS * body_bytes
    if size > most:
        message = (
            f"{len(battles):,} pairs of the candidates hold {size:,} characters with the prompt in each; at most "
            f"{most:,} are allowed: give fewer candidates or shorter texts"
        )
        raise InvalidRequestError({"candidates": message})
    return row, battles


def rank_candidates(row: Candidates, predictions: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Rank the candidates by their expected win rates, from the prediction of each pair."""
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


def rank_games(body: LeaderboardRequest) -> dict[str, object]:
    """Rank models by games, or the largest group of those that met.

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
            message = "the game has neither winner nor probabilities; give one of them"
            raise InvalidRequestError({f"games.{place}": message})
        if game.model_a == game.model_b:
            raise InvalidRequestError({f"games.{place}": "a model cannot meet itself; leave the game out"})
    names = sorted({name for game in body.games for name in (game.model_a, game.model_b)})
    if len(names) > _MOST_MODELS:
        message = f"the games name {len(names):,} models; at most {_MOST_MODELS} are allowed"
        raise InvalidRequestError({"games": message})
    number = {name: place for place, name in enumerate(names)}
    a, b = [number[game.model_a] for game in body.games], [number[game.model_b] for game in body.games]
    outcomes = [game.probabilities or tuple(float(game.winner == name) for name in CLASSES) for game in body.games]
    try:
        found = rank_models(Games.of(names, a, b, outcomes), method=body.method, disconnected="largest")
    except DataError as error:
        raise InvalidRequestError({"games": str(error)}) from None
    columns = [found.score, found.low, found.high, found.rank, found.rank_low, found.rank_high, found.battles]
    models = [
        {"model": model, **{name: x if math.isfinite(x) else None for name, x in zip(_COLUMNS, values, strict=True)}}
        for model, *values in zip(found.models, *(column.tolist() for column in columns), strict=True)
    ]
    return {"models": models, "method": found.method, "games": len(body.games), "notes": list(found.notes)}
