"""Write simulated votes as a file, as Kaggle would give them, and the truth beside it.

`votecast simulate` calls `write_simulation`; `bayes_log_loss` scores the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from votecast.artifacts import atomic_file, check_free
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.cells import json_cell
from votecast.data.labels import ONE_HOT
from votecast.data.outputs.table_writer import TableWriter, container_of
from votecast.data.simulation.arena import Truth, simulate
from votecast.errors import DataError
from votecast.types import CLASSES, Probabilities


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
                table = battles.table if labels else battles.table.select(["id", *TEXT_COLUMNS])
                writer.write(_contest_table(battles, labels) if is_contest else table)
                known.append(truth_of_part)
                if progress is not None:
                    progress(sum(map(len, known)), rows)
        whole = Truth.concat(known)
        with beside.open("wb") as file:
            pq.write_table(whole.table(), file)
    return whole


def _contest_table(battles: Battles, labels: bool) -> pa.Table:
    texts = {name: pa.array(map(json_cell, battles.column(name).to_pylist())) for name in TEXT_COLUMNS}
    if not labels:
        return pa.table({"id": battles.column("id"), **texts})
    winner = battles.column("winner")
    votes = {name: pc.equal(winner, value).cast(pa.int8()) for name, value in zip(ONE_HOT, CLASSES, strict=True)}
    return pa.table({name: battles.column(name) for name in ("id", "model_a", "model_b")} | texts | votes)


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
