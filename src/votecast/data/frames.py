"""Convert frames and lists to battles; a data frame is read as a file with the same columns would be.

Every public function that takes battles calls `as_battles`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS, TURNS, Battles
from votecast.data.formats import KNOWN_COLUMNS, FormatOptions, StandardNames, find_format
from votecast.data.io import RawBatch
from votecast.data.labels import BOTH_BAD, read_both_bad
from votecast.data.reader import HEAD_ROWS
from votecast.data.row_batch import RowBatch
from votecast.errors import DataError

logger = logging.getLogger(__name__)

_NAME = "the frame"
_PANDAS_INDEX = "__index_level_"


def as_battles(battles: object, *, ranking: bool = False) -> Battles:
    """Convert `Battles`, a pandas, polars or Arrow frame, or a list of battles or dicts to `Battles`.

    Args:
        battles: The battles.
        ranking: Whether they are for a leaderboard, as in `VoteReader`.

    Raises:
        DataError: If it is none of these, its columns fit no format, or a row is not a battle; it names the row.

    Example:
        >>> columns = {"prompt": ['["Hi"]'], "response_a": ['["Hello!"]'], "response_b": ['["No."]']}
        >>> as_battles(pa.table(columns | {"winner_model_a": [1], "winner_model_b": [0], "winner_tie": [0]}))[0].winner
        'a'
    """
    if isinstance(battles, Battles):
        return battles
    if isinstance(battles, Sequence) and not isinstance(battles, str | bytes):
        return Battles.from_rows(battles)
    if isinstance(battles, pa.Table) or nw.dependencies.is_into_dataframe(battles):
        return _read_frame(battles, ranking=ranking)
    hint = "; read a file with votecast.read_votes(path)" if isinstance(battles, str) else ""
    hint = "; put a single battle into a list" if isinstance(battles, dict) else hint
    raise DataError(
        f"battles are given as {type(battles).__name__}; "
        "allowed are Battles, a pandas, polars or Arrow frame, or a list of dicts" + hint
    )


def _read_frame(frame: Any, *, ranking: bool) -> Battles:
    """Read a frame in any format that files may have; missing texts are an error, unknown columns are kept as text."""
    try:
        table = frame if isinstance(frame, pa.Table) else nw.from_native(frame, eager_only=True).to_arrow()
    except pa.ArrowException as error:
        detail = "; ".join(map(str, error.args))
        raise DataError(
            f"{_NAME} has a column whose cells are of several kinds ({detail}); give every cell the same kind"
        ) from error
    table = table.select([name for name in table.column_names if not name.startswith(_PANDAS_INDEX)])
    names = StandardNames(KNOWN_COLUMNS)
    table = table.rename_columns(names.rename(table.column_names))
    source = find_format(_NAME, table.column_names, [table.slice(0, HEAD_ROWS)], FormatOptions(ranking=ranking))
    batch = RowBatch(RawBatch(table, np.arange(1, len(table) + 1)), empty_is_missing=False, given_names=names.given)
    columns = source.read(batch) if len(table) else dict.fromkeys(TEXT_COLUMNS, pa.nulls(0, TURNS))
    if batch.faults:
        first = min(batch.faults.values(), key=lambda bad: bad.row)
        is_missing = first.value in ("null", "NaN") and first.column in source.text_columns
        cure = "; pandas takes empty cells and NA for missing: read_csv(..., keep_default_na=False) keeps them"
        raise DataError(first.message(_NAME) + (cure if is_missing else ""))
    for kind, rows in batch.repairs.items():
        logger.warning("%s: %s, in %d of %d rows", _NAME, kind, len(rows), len(table))
    if len(batch.origins) != len(table) or (batch.origins != np.arange(len(table))).any():
        raise DataError(
            f"{_NAME} has rows that make several battles or none; write it to a file, and read that with "
            "votecast.read_votes"
        )
    keep = [f.name for f in table.schema if f.name not in source.known and not pa.types.is_nested(f.type)]
    if ranking:
        columns[BOTH_BAD], keep = read_both_bad(batch, columns.get("winner")), [*keep, BOTH_BAD]
    return batch.battles(columns, dict.fromkeys(keep))
