"""A leaderboard from games that a request brings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from votecast.errors import DataError
from votecast.serving.bodies import GameBody, LeaderboardBody
from votecast.serving.errors import Fault, UnfitError
from votecast.types import CLASSES

if TYPE_CHECKING:
    from votecast.leaderboard import Games

MOST_MODELS: Final = 300
"""Models in one leaderboard."""

COLUMNS: Final = ("score", "low", "high", "rank", "rank_low", "rank_high", "battles")


def board_of(body: LeaderboardBody) -> dict[str, Any]:
    """Rank models by games, each a unit of its own; where some were never compared, the largest group is ranked.

    Args:
        body: The games.

    Raises:
        UnfitError: If they cannot be ranked.

    Example:
        >>> games = [GameBody(model_a="x", model_b="y", winner=winner) for winner in ("a", "a", "b")]
        >>> [each["model"] for each in board_of(LeaderboardBody(games=games))["models"]]
        ['x', 'y']
    """
    from votecast.leaderboard import rank_models  # brings scipy, for which the start of the service need not wait

    games = _games(body.games)
    try:
        found = rank_models(games, method=body.method, disconnected="largest")
    except DataError as error:
        raise _unfit(str(error)) from None
    columns = {name: getattr(found, name).tolist() for name in COLUMNS}
    rows = [dict(zip(columns, map(_known, row), strict=True)) for row in zip(*columns.values(), strict=True)]
    models = [{"model": name} | row for name, row in zip(found.models, rows, strict=True)]
    return {"models": models, "method": found.method, "games": len(games), "notes": list(found.notes)}


def _games(given: Sequence[GameBody]) -> Games:
    from votecast.leaderboard import Games

    for place, game in enumerate(given):
        if (wrong := _wrong(game)) is not None:
            raise _unfit(wrong, f"games.{place}")
    names = sorted({name for game in given for name in (game.model_a, game.model_b)})
    if len(names) > MOST_MODELS:
        raise _unfit(f"the games name {len(names):,} models; at most {MOST_MODELS} are allowed")
    place_of = {name: number for number, name in enumerate(names)}
    sides = ([place_of[game.model_a] for game in given], [place_of[game.model_b] for game in given])
    return Games.of(names, *sides, [_outcome(game) for game in given])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _outcome(game: GameBody) -> tuple[float, ...]:
    return game.probabilities or tuple(float(game.winner == name) for name in CLASSES)


def _wrong(game: GameBody) -> str | None:
    if game.winner is None and game.probabilities is None:
        return "the game has neither winner nor probabilities; give one of them"
    return "a model cannot meet itself; leave the game out" if game.model_a == game.model_b else None


def _unfit(message: str, path: str = "games") -> UnfitError:
    return UnfitError(f"the body cannot be used: {path}: {message}", [Fault(path, message)])
