"""Look into the text columns of battles as arrays: turns, characters, rows without text; and votes where there are any.

The cleaning, the inspection and the features of judges call these.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import SCHEMA, Battles
from votecast.types import CLASSES, Probabilities

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_ROWS_AT_ONCE = 1024


def turns_of(chunk: pa.Array) -> tuple[Ints, pa.Array]:
    """Flatten the turns of one chunk of a text column.

    Returns:
        The bounds of the rows, shape (n + 1,), and their turns in one array, "" for None.
    """
    # A slice shares the buffers of its parent: its offsets need not begin at 0.
    bounds = chunk.offsets.to_numpy().astype(np.int64)  # (n + 1,)
    turns = chunk.values.slice(bounds[0], bounds[-1] - bounds[0])
    return bounds - bounds[0], turns.fill_null("")


def rows_of(column: pa.ChunkedArray) -> Iterator[list[str | None]]:
    """Iterate over the lists of turns of a text column, a few rows in memory at a time."""
    for chunk in column.chunks:
        for start in range(0, len(chunk), _ROWS_AT_ONCE):
            yield from chunk.slice(start, _ROWS_AT_ONCE).to_pylist()


def characters(battles: Battles, column: str) -> Ints:
    """Count the characters of a text column, all turns together, shape (n,)."""
    parts = [np.zeros(0, dtype=np.int64)]
    for chunk in battles.column(column).chunks:
        bounds, turns = turns_of(chunk)
        # Sums over the turns of each row as differences of one cumulative sum: no Python object a row.
        sums = np.concatenate([[0], np.cumsum(pc.utf8_length(turns).to_numpy())])
        parts.append(np.diff(sums[bounds]).astype(np.int64))
    return np.concatenate(parts)


def without_text(battles: Battles, column: str) -> Bools:
    """Find rows whose text column has no visible character: no turns, or only None, empty or white-space turns."""
    parts = [np.zeros(0, dtype=bool)]
    for chunk in battles.column(column).chunks:
        bounds, turns = turns_of(chunk)
        blank = pc.or_(pc.equal(pc.binary_length(turns), 0), pc.utf8_is_space(turns)).to_numpy(zero_copy_only=False)
        visible = np.concatenate([[0], np.cumsum(~blank)])
        parts.append(visible[bounds[1:]] == visible[bounds[:-1]])
    return np.concatenate(parts)


def known_targets(battles: Battles) -> Probabilities:
    """Return the votes as `Battles.targets` does, shape (n, 3), with zeros where there is none."""
    place = SCHEMA.get_field_index("winner")
    # `targets` raises for rows without a vote: fill them with any class, and clear them afterwards.
    winner = pc.fill_null(battles.column("winner"), CLASSES[-1])
    out = Battles(battles.table.set_column(place, SCHEMA.field(place), winner)).targets()
    out[~battles.labelled] = 0
    return out
