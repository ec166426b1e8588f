"""Simulated votes as files: the votes as Kaggle would give them, the truth beside them."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from votecast.artifacts import atomic_file, check_free
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.simulation.arena import Truth, simulate
from votecast.errors import DataError
from votecast.types import CLASSES, Probabilities

LABELS = tuple(f"winner_{name}" for name in ("model_a", "model_b", "tie"))
TRAIN_COLUMNS = ("id", "model_a", "model_b", *TEXT_COLUMNS, *LABELS)
TEST_COLUMNS = ("id", *TEXT_COLUMNS)


def truth_path(path: str | Path) -> Path:
    """Where the truth about a file of simulated votes is kept: beside it.

    Example:
        >>> truth_path("arena/train.csv").name
        'train.truth.parquet'
    """
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
    progress: Callable[[int, int], None] = lambda done, rows: None,
) -> Truth:
    """Simulate an arena into a file, and the truth about it into another.

    Args:
        path: The file of votes, a CSV in the columns of the LMSYS contest.
        rows: How many battles.
        seed: Which arena.
        start: Number of the first row; a test file starts where its training file ends.
        labels: Whether the file holds models and votes; without them it looks like the contest's test file.
        truth: The file of the truth; by default `truth_path(path)`.
        overwrite: Whether existing files may be replaced.
        progress: Called with the number of rows done and of all rows.

    Returns:
        The truth, as it was written.

    Raises:
        ArtifactError: If a file is in the way or the disk refuses; no half-written file is left.
    """
    side = truth_path(path) if truth is None else Path(truth)
    parts = simulate(rows, seed, start=start)
    check_free(side, overwrite=overwrite)
    with atomic_file(path, overwrite=overwrite) as votes, atomic_file(side, overwrite=overwrite) as known:
        whole = _write_csv(votes, parts, labels, lambda done: progress(done, rows))
        pq.write_table(whole.table(), known)
    return whole


def read_truth(path: str | Path) -> Truth:
    """Read the truth back.

    Raises:
        DataError: If the file is not a truth file.
    """
    try:
        return Truth.from_table(pq.read_table(path))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(f"{path} is not the truth about simulated votes ({error}); name the .truth.parquet file") from error


def bayes_log_loss(truth: Truth | Probabilities, targets: Probabilities) -> float:
    """Mean log loss of the true probabilities: no judge does better, but for luck.

    Args:
        truth: What is true of the battles, or its probabilities, shape (n, 3).
        targets: The votes, one-hot or soft, same rows, shape (n, 3).

    Example:
        >>> round(bayes_log_loss(np.array([[0.5, 0.25, 0.25]]), np.array([[1.0, 0.0, 0.0]])), 4)
        0.6931
    """
    probabilities = truth.probabilities if isinstance(truth, Truth) else truth
    if probabilities.shape != targets.shape:
        raise DataError(f"the truth has shape {probabilities.shape} and the votes {targets.shape}; give the same rows of both")
    return float(-(targets * np.log(probabilities)).sum(axis=1).mean())


def json_cell(turns: list[str | None]) -> str:
    r"""A list of turns as the contest writes it: compact ASCII JSON whose slashes are escaped.

    Example:
        >>> print(json_cell(["1/2 \U0001f600", None]))
        ["1\/2 \ud83d\ude00",null]
    """
    return json.dumps(turns, separators=(",", ":")).replace("/", "\\/")


def _write_csv(path: Path, parts: Iterator[tuple[Battles, Truth]], labels: bool, progress: Callable[[int], None]) -> Truth:
    known: list[Truth] = []
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("w", encoding="ascii", newline=""))
        writer = csv.writer(file)
        writer.writerow(TRAIN_COLUMNS if labels else TEST_COLUMNS)
        for battles, truth in parts:
            writer.writerows(_csv_rows(battles, labels))
            known.append(truth)
            progress(sum(map(len, known)))
    return Truth.concat(known)


def _csv_rows(battles: Battles, labels: bool) -> Iterator[tuple[str | int, ...]]:
    columns = {name: battles.column(name).to_pylist() for name in ("id", "model_a", "model_b", *TEXT_COLUMNS, "winner")}
    texts = [map(json_cell, columns[name]) for name in TEXT_COLUMNS]
    if not labels:
        return zip(columns["id"], *texts, strict=True)
    votes = [[int(winner == name) for winner in columns["winner"]] for name in CLASSES]
    return zip(columns["id"], columns["model_a"], columns["model_b"], *texts, *votes, strict=True)
