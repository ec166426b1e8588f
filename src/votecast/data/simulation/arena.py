"""Simulate battles whose true probabilities are known, and write them as Kaggle would give them.

Tests and benchmarks call `simulate`, `votecast simulate` calls `write_simulation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from votecast.artifacts import atomic_file, check_free
from votecast.data.battles import SCHEMA, TEXT_COLUMNS, Battles
from votecast.data.cells import json_cell
from votecast.data.outputs.table_writer import TableWriter, container_of
from votecast.data.outputs.vote_files import lmsys_columns
from votecast.data.simulation.contestants import draw_pair
from votecast.data.simulation.dice import Dice
from votecast.data.simulation.questions import draw_conversation
from votecast.data.simulation.responses import write_response
from votecast.data.simulation.votes import Rater, cast_votes, quality, vote_probabilities
from votecast.errors import ConfigError, DataError
from votecast.types import Probabilities

SOURCE = "simulated"
_NUMBERS = ("p_a", "p_b", "p_tie", "quality_a", "quality_b")
_VARIANTS = 2
_STRIDE = 2_654_435_761  # odd, so that the first 2**32 rows have different ids


@dataclass(frozen=True)
class Truth:
    """What is known about simulated battles, and hidden from judges."""

    ids: list[str]
    probabilities: Probabilities  # (n, 3): the exact chance of each vote given the texts
    qualities: NDArray[np.float64]  # (n, 2): of both answers
    languages: list[str]  # ISO 639-1 code of each conversation

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def concat(cls, parts: list[Truth]) -> Truth:
        """Concatenate parts."""
        return cls(
            [name for part in parts for name in part.ids],
            np.concatenate([part.probabilities for part in parts]) if parts else np.empty((0, 3)),
            np.concatenate([part.qualities for part in parts]) if parts else np.empty((0, 2)),
            [code for part in parts for code in part.languages],
        )

    def table(self) -> pa.Table:
        """Return the columns id, p_a, p_b, p_tie, quality_a, quality_b, language."""
        numbers = dict(zip(_NUMBERS, [*self.probabilities.T, *self.qualities.T], strict=True))
        ids, languages = (pa.array(texts, pa.large_string()) for texts in (self.ids, self.languages))
        return pa.table({"id": ids} | numbers | {"language": languages})

    @classmethod
    def from_table(cls, table: pa.Table) -> Truth:
        """Read what `table` returned."""
        numbers = np.column_stack([table.column(name).to_numpy() for name in _NUMBERS])  # (n, 5)
        return cls(table.column("id").to_pylist(), numbers[:, :3], numbers[:, 3:], table.column("language").to_pylist())


def simulate(rows: int, seed: int = 0, *, batch: int = 1000, start: int = 0) -> Iterator[tuple[Battles, Truth]]:
    """Simulate battles in parts of at most `batch` rows, each with its truth.

    Row i depends on the seed and on i alone: any batch size gives the same rows, and rows from `start` on are a fresh
    part of the same arena. Popular prompts belong to the seed, the sixty models to every seed.

    Args:
        rows: How many battles.
        seed: Which arena.
        batch: How many battles at a time.
        start: Number of the first row.

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
    # A generator expression, so that wrong numbers are errors before the first part is asked for.
    return (_make_part(seed, range(n, min(n + batch, start + rows))) for n in range(start, start + rows, batch))


def _make_part(seed: int, numbers: Iterable[int]) -> tuple[Battles, Truth]:
    rows: list[dict[str, object]] = []
    qualities: list[tuple[float, float]] = []
    raters: list[Rater] = []
    for number in numbers:
        dice = Dice(f"{seed}/row/{number}")
        conversation = draw_conversation(seed, number, dice)
        models = draw_pair(dice)
        # The draws from `dice` come in this order for every row: the keys of both answers, then the rater.
        # To a popular prompt a model has few answers, and repeats them.
        keys = [
            f"{conversation.key}/{model.name}/{dice.below(_VARIANTS)}"
            if conversation.popular
            else f"{conversation.key}/{side}"
            for side, model in enumerate(models)
        ]
        (response_a, traits_a), (response_b, traits_b) = (
            write_response(conversation, model, Dice(key)) for model, key in zip(models, keys, strict=True)
        )
        raters.append(Rater.drawn(dice))
        qualities.append((quality(traits_a), quality(traits_b)))
        rows.append(
            {
                "id": str((number * _STRIDE + seed * 40_503 + 30_192) % 2**32),
                "prompt": [turn.text for turn in conversation.turns],
                "response_a": response_a,
                "response_b": response_b,
                "model_a": models[0].name,
                "model_b": models[1].name,
                "weight": 1.0,
                "language": conversation.language.code,
                "source": SOURCE,
            }
        )
    q = np.array(qualities, dtype=np.float64).reshape(-1, 2)  # (n, 2)
    for row, winner in zip(rows, cast_votes(q[:, 0] - q[:, 1], raters), strict=True):
        row["winner"] = winner
    ids, languages = [str(row["id"]) for row in rows], [str(row["language"]) for row in rows]
    truth = Truth(ids, vote_probabilities(q[:, 0], q[:, 1]), q, languages)
    return Battles(pa.Table.from_pylist(rows, SCHEMA)), truth


def truth_path(path: str | Path) -> Path:
    """Return the path of the truth beside a file of simulated votes."""
    path = Path(path)
    return path.with_name(f"{path.name.split('.', 1)[0] or path.name}.truth.parquet")


def write_simulation(
    path: str | Path,
    rows: int,
    seed: int = 0,
    *,
    start: int = 0,
    labels: bool = True,
    truth: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Simulate votes into a file, and the truth about them into another.

    Args:
        path: The file of votes: CSV in the columns of the LMSYS contest, or jsonl, parquet or arrow in votecast's own,
            each perhaps followed by .gz or .zst.
        rows: How many battles.
        seed: Which arena.
        start: Number of the first row; a test file starts where its training file ends.
        labels: Whether the file holds models and votes; without them it looks like the contest's test file.
        truth: The file of the truth; by default `truth_path(path)`.
        overwrite: Whether existing files may be replaced.
        progress: Called with the number of rows done and the number of all rows.

    Returns:
        The truth, as it was written.

    Raises:
        ConfigError: If a number is out of range, or the suffix says no format.
        ArtifactError: If a file is in the way or the disk refuses; nothing is left behind.
    """
    side = truth_path(path) if truth is None else Path(truth)
    is_contest = container_of(path)[0] in ("csv", "tsv")
    parts = simulate(rows, seed, start=start)
    check_free(side, overwrite=overwrite)
    known: list[Truth] = []
    with atomic_file(path, overwrite=overwrite) as votes, atomic_file(side, overwrite=overwrite) as beside:
        with TableWriter(votes, path) as writer:
            for battles, truth_of_part in parts:
                if is_contest:
                    writer.write(pa.table(lmsys_columns(battles, has_votes=labels, encode=json_cell)))
                else:
                    writer.write(battles.table if labels else battles.table.select(["id", *TEXT_COLUMNS]))
                known.append(truth_of_part)
                if progress is not None:
                    progress(sum(map(len, known)), rows)
        whole = Truth.concat(known)
        with beside.open("wb") as file:
            pq.write_table(whole.table(), file)
    return whole


def read_truth(path: str | Path) -> Truth:
    """Read the truth back.

    Raises:
        DataError: If the file is not a truth file.
    """
    try:
        with Path(path).open("rb") as file:
            return Truth.from_table(pq.read_table(file))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(
            f"{path} does not hold the truth about simulated votes ({error}); name the .truth.parquet file"
        ) from error


def bayes_log_loss(truth: Truth | Probabilities, targets: Probabilities) -> float:
    """Compute the mean log loss of the true probabilities; no judge does better, but by chance.

    Args:
        truth: The truth of the battles, or its probabilities, shape (n, 3).
        targets: The votes, one-hot or soft, same rows, shape (n, 3).
    """
    probabilities = truth.probabilities if isinstance(truth, Truth) else truth
    if probabilities.shape != targets.shape:
        raise DataError(
            f"the truth has shape {probabilities.shape} and the votes {targets.shape}; give the same rows of both"
        )
    return float(-(targets * np.log(probabilities)).sum(axis=1).mean())
