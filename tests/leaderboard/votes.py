"""Simulate votes between six models, and write them to files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data import Battles
from votecast.data.battles import SCHEMA
from votecast.data.outputs import write_votes
from votecast.data.simulation import simulate

SIZES = ("1b", "3b", "7b", "13b", "34b", "70b")
BARE = ["model_a", "model_b", "winner"]


@cache
def sized_votes(rows: int = 600, seed: int = 0, start: int = 0) -> Battles:
    """Return simulated votes with models named by size."""
    table = next(simulate(rows=rows, seed=seed, start=start, batch=rows))[0].table
    for name in ("model_a", "model_b"):
        sizes = pc.replace_substring_regex(table.column(name), r"^.*-", "")
        table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), sizes)
    return Battles(table)


def without_votes(battles: Battles) -> Battles:
    """Return the same rows without votes."""
    winner = pa.nulls(len(battles), pa.large_string())
    place = SCHEMA.get_field_index("winner")
    return Battles(battles.table.set_column(place, SCHEMA.field(place), winner))


def file_of(battles: Battles, path: Path) -> Path:
    """Write battles in the format of the path's suffix."""
    write_votes(battles, path)
    return path


def bare_file(rows: list[tuple[str, str, str]], path: Path) -> Path:
    """Write a file of models and votes alone."""
    lines = [",".join(BARE), *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def round_robin(models: int = 4, times: int = 6, seed: int = 0) -> list[tuple[str, str, str]]:
    """Return votes between all pairs; lower-numbered models are stronger."""
    rng = np.random.default_rng(seed)
    rows = []
    for a in range(models):
        for b in range(models):
            for _ in range(times * (a != b)):
                p = 1 / (1 + np.exp(0.7 * (a - b)))
                rows.append((f"m{a}", f"m{b}", str(rng.choice(["a", "b", "tie"], p=[0.8 * p, 0.8 * (1 - p), 0.2]))))
    return rows
