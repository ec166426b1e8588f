"""Battles whose true probabilities are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import SCHEMA, Battles
from votecast.data.simulation.answers import write_answer
from votecast.data.simulation.conversations import Conversation, draw_conversation
from votecast.data.simulation.dice import Dice
from votecast.data.simulation.models import Model, draw_pair
from votecast.data.simulation.quality import quality
from votecast.data.simulation.votes import Rater, cast_votes, draw_rater, vote_probabilities
from votecast.errors import ConfigError
from votecast.types import Probabilities

SOURCE = "simulated"
_VARIANTS = 2
_STRIDE = 2_654_435_761  # odd, so that the first 2**32 rows have different ids


@dataclass(frozen=True)
class Truth:
    """What is known about simulated battles, and hidden from judges.

    Args:
        ids: Names of the rows.
        probabilities: The exact chance of each vote given the texts, shape (n, 3).
        qualities: Quality of both answers, shape (n, 2).
        languages: ISO 639-1 code of each conversation.
    """

    ids: list[str]
    probabilities: Probabilities
    qualities: NDArray[np.float64]
    languages: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def concat(cls, parts: list[Truth]) -> Truth:
        """Put parts one after the other."""
        return cls(
            [name for part in parts for name in part.ids],
            np.concatenate([part.probabilities for part in parts]) if parts else np.empty((0, 3)),
            np.concatenate([part.qualities for part in parts]) if parts else np.empty((0, 2)),
            [code for part in parts for code in part.languages],
        )

    def table(self) -> pa.Table:
        """Columns id, p_a, p_b, p_tie, quality_a, quality_b, language."""
        p, q = self.probabilities, self.qualities
        return pa.table(
            {
                "id": pa.array(self.ids, pa.large_string()),
                "p_a": p[:, 0],
                "p_b": p[:, 1],
                "p_tie": p[:, 2],
                "quality_a": q[:, 0],
                "quality_b": q[:, 1],
                "language": pa.array(self.languages, pa.large_string()),
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> Truth:
        """The inverse of `table`."""
        p = np.column_stack([table.column(name).to_numpy() for name in ("p_a", "p_b", "p_tie")])
        q = np.column_stack([table.column(name).to_numpy() for name in ("quality_a", "quality_b")])
        return cls(table.column("id").to_pylist(), p, q, table.column("language").to_pylist())


def simulate(rows: int, seed: int = 0, *, batch: int = 1000, start: int = 0) -> Iterator[tuple[Battles, Truth]]:
    """Battles of the simulated arena, in parts, each with its truth.

    Row i depends on the seed and on i alone: any batch size gives the same rows, and rows from `start` on are a fresh
    part of the same arena. The prompts that are asked again and again belong to the seed, the sixty models to every
    seed.

    Args:
        rows: How many battles.
        seed: Which arena.
        batch: How many battles at a time.
        start: Number of the first row.

    Yields:
        At most `batch` battles with votes, and what is true of them.

    Raises:
        ConfigError: If a number is out of range.

    Example:
        >>> battles, truth = next(simulate(5))
        >>> len(battles), truth.probabilities.shape
        (5, (5, 3))
    """
    for name, value, least in (("rows", rows, 1), ("seed", seed, 0), ("batch", batch, 1), ("start", start, 0)):
        if value < least:
            raise ConfigError(f"{name} is {value}; it must be at least {least}")
    return _parts(rows, seed, batch, start)


def _parts(rows: int, seed: int, batch: int, start: int) -> Iterator[tuple[Battles, Truth]]:
    for first in range(start, start + rows, batch):
        yield _assemble([_row(seed, row) for row in range(first, min(first + batch, start + rows))])


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    prompt: list[str | None]
    responses: tuple[list[str | None], list[str | None]]
    models: tuple[str, str]
    qualities: tuple[float, float]
    language: str
    rater: Rater


def _row(seed: int, row: int) -> _Row:
    dice = Dice(f"{seed}/row/{row}")
    conversation = draw_conversation(seed, row, dice)
    models = draw_pair(dice)
    keys = [_answer_key(conversation, model, side, dice) for side, model in enumerate(models)]
    answers = [write_answer(conversation, model, Dice(key)) for model, key in zip(models, keys, strict=True)]
    return _Row(
        id=str((row * _STRIDE + seed * 40_503 + 30_192) % 2**32),
        prompt=[turn.text for turn in conversation.turns],
        responses=(answers[0][0], answers[1][0]),
        models=(models[0].name, models[1].name),
        qualities=(quality(answers[0][1]), quality(answers[1][1])),
        language=conversation.language.code,
        rater=draw_rater(dice),
    )


def _answer_key(conversation: Conversation, model: Model, side: int, dice: Dice) -> str:
    """To a popular prompt a model has few answers, and gives them again and again."""
    if conversation.popular:
        return f"{conversation.key}/{model.name}/{dice.below(_VARIANTS)}"
    return f"{conversation.key}/{side}"


def _assemble(rows: list[_Row]) -> tuple[Battles, Truth]:
    qualities = np.array([row.qualities for row in rows], dtype=np.float64).reshape(-1, 2)
    winners = cast_votes(qualities[:, 0] - qualities[:, 1], [row.rater for row in rows])
    ids, languages = [row.id for row in rows], [row.language for row in rows]
    columns: dict[str, Sequence[object]] = {
        "id": ids,
        "prompt": [row.prompt for row in rows],
        "response_a": [row.responses[0] for row in rows],
        "response_b": [row.responses[1] for row in rows],
        "winner": winners,
        "probabilities": [None] * len(rows),
        "model_a": [row.models[0] for row in rows],
        "model_b": [row.models[1] for row in rows],
        "weight": [1.0] * len(rows),
        "language": languages,
        "source": [SOURCE] * len(rows),
    }
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)
    probabilities = vote_probabilities(qualities[:, 0], qualities[:, 1])
    return Battles(table), Truth(ids, probabilities, qualities, languages)
