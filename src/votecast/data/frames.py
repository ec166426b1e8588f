"""From what people hold to battles; a data frame is read as a file with the same columns would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from votecast.data.battles import Battles
from votecast.data.formats import Options, Source, find_source
from votecast.data.io import RawBatch
from votecast.data.labels import BOTH_BAD, read_both_bad
from votecast.data.parts import Part
from votecast.data.reading import HEAD_ROWS
from votecast.errors import DataError

_NAME = "the frame"
_PANDAS_INDEX = "__index_level_"


def as_battles(battles: Any, *, ranking: bool = False) -> Battles:
    """Accept what people hold: `Battles`, a pandas, polars or Arrow frame, or a list of battles or dicts.

    Args:
        battles: The battles.
        ranking: Whether they are for a leaderboard, as in `VoteReader`.

    Raises:
        DataError: If it is none of these, or a row is not a battle.
    """
    if isinstance(battles, Battles):
        return battles
    if isinstance(battles, Sequence) and not isinstance(battles, str | bytes):
        return Battles.from_rows(battles)
    if isinstance(battles, pa.Table) or nw.dependencies.is_into_dataframe(battles):
        return read_frame(battles, ranking=ranking)
    hints: dict[Any, str] = {str: "read a file with votecast.read_votes(path)", dict: "put a single battle into a list"}
    hint = hints.get(type(battles))
    raise DataError(
        f"battles are given as {type(battles).__name__}; "
        "allowed are Battles, a pandas, polars or Arrow frame, or a list of dicts" + (f"; {hint}" if hint else "")
    )


def read_frame(frame: Any, *, ranking: bool = False) -> Battles:
    """Read a pandas, polars or Arrow frame in any format that files may have; missing texts are an error.

    Args:
        frame: The frame; columns that the format does not know are carried along as text.
        ranking: Whether it is for a leaderboard, as in `VoteReader`.

    Raises:
        DataError: If the columns fit no format, or a row cannot be read; the message names the row.

    Example:
        >>> columns = {"prompt": ['["Hi"]'], "response_a": ['["Hello!"]'], "response_b": ['["No."]']}
        >>> read_frame(pa.table(columns | {"winner_model_a": [1], "winner_model_b": [0], "winner_tie": [0]}))[0].winner
        'a'
    """
    table = frame if isinstance(frame, pa.Table) else _table(frame)
    table = table.select([name for name in table.column_names if not name.startswith(_PANDAS_INDEX)])
    source = find_source(_NAME, table.column_names, [table.slice(0, HEAD_ROWS)], Options(ranking=ranking))
    part = Part(RawBatch(table, np.arange(1, len(table) + 1)), empty_is_missing=False)
    columns = source.convert(part) if len(table) else {}
    if part.faults:
        raise DataError(min(part.faults.values(), key=lambda bad: bad.row).message(_NAME))
    keep = _further(table, source)
    if ranking:
        columns[BOTH_BAD], keep = read_both_bad(part, columns.get("winner")), [*keep, BOTH_BAD]
    return Battles(part.battles(columns, dict.fromkeys(keep)))


def _table(frame: Any) -> pa.Table:
    try:
        return nw.from_native(frame, eager_only=True).to_arrow()
    except pa.ArrowException as error:
        detail = "; ".join(map(str, error.args))
        raise DataError(
            f"{_NAME} has a column whose cells are of several kinds ({detail}); give every cell the same kind"
        ) from error


def _further(table: pa.Table, source: Source) -> list[str]:
    return [
        field.name for field in table.schema if field.name not in source.known and not pa.types.is_nested(field.type)
    ]
