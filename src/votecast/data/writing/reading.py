"""Predictions from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from votecast.data.io import RawBatch, TableStream, open_table
from votecast.data.io.stream import shown
from votecast.data.writing.predictions import COLUMNS, JUDGE_KEY, SIDE_SUFFIX, check_distribution
from votecast.errors import DataError
from votecast.types import CLASSES, Probabilities


def read_predictions(path: str | Path) -> tuple[list[str], Probabilities, dict[str, str] | None]:
    """Read predictions, as `PredictionWriter` writes them, or a submission of three probabilities.

    Args:
        path: The file; any container.

    Returns:
        The ids, the probabilities of shape (n, 3), and name and hash of the judge where they are known.

    Raises:
        DataError: If the file holds no predictions but votes, say, or a row is no distribution; the message names it.
    """
    ids: list[str] = []
    parts: list[Probabilities] = []
    judge: dict[str, str] | None = None
    with open_table(path) as stream:
        names = _columns(stream)
        judge = _judge_of(stream)
        for batch in stream:
            _require(stream.path, batch, names)
            ids += _ids(stream.path, batch)
            shares = _shares(stream.path, batch, names)
            check_distribution(shares, _place(stream.path, batch))
            parts.append(shares)
            judge = judge or _judge_of_rows(batch)
    shares = np.concatenate(parts) if parts else np.empty((0, len(CLASSES)))
    judge = judge or _judge_beside(path)
    if judge is None and names == COLUMNS["lmsys"]:
        _refuse_votes(path, shares)
    return ids, shares, judge


def _refuse_votes(path: str | Path, shares: Probabilities) -> None:
    """Votes have the columns of a submission; as forecasts they would be those of somebody who knew them."""
    if len(shares) and (shares.max(axis=1) == 1).all():
        raise DataError(
            f"{path} holds votes, not predictions: each of its {len(shares):,} rows is 1 for one outcome and 0 for the "
            "others; give a file that votecast predict has written, or give the votes as --input"
        )


def _place(path: str, batch: RawBatch) -> Callable[[int], str]:
    return lambda at: f"{path}, row {batch.rows[at]}"


def _columns(stream: TableStream) -> tuple[str, ...]:
    found = next((names for names in COLUMNS.values() if {"id", *names} <= set(stream.names)), None)
    if found is None and {"id", "probabilities"} <= set(stream.names):
        return ("probabilities",)
    if found is None and set(stream.names) == {"id", "winner"}:
        raise DataError(
            f"{stream.path} holds decisions without probabilities, as a wsdm submission does, and they cannot be "
            "measured; predict again with --format votecast"
        )
    if found is None:
        raise DataError(
            f"{stream.path} holds no predictions: its columns are {', '.join(map(repr, stream.names))}; expected are "
            "id with p_a, p_b, p_tie, or with winner_model_a, winner_model_b, winner_tie, or with probabilities"
        )
    return found


def _require(path: str, batch: RawBatch, names: tuple[str, ...]) -> None:
    missing = [repr(name) for name in ("id", *names) if name not in batch.table.column_names]
    if missing:
        raise DataError(
            f"{path}, row {batch.rows[0]}: {', '.join(missing)} is missing; every row needs an id and probabilities"
        )


def _ids(path: str, batch: RawBatch) -> list[str]:
    ids = batch.table.column("id").to_pylist()
    if None in ids:
        raise DataError(
            f"{path}, row {batch.rows[ids.index(None)]}, column 'id': the value is missing; every row needs one"
        )
    return [str(each) for each in ids]


def _shares(path: str, batch: RawBatch, names: tuple[str, ...]) -> Probabilities:
    if names == ("probabilities",):
        return _from_objects(path, batch)
    return np.column_stack([_floats(path, batch, name) for name in names])


def _floats(path: str, batch: RawBatch, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    column = batch.table.column(name)
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(), dtype=np.float64)
    out = np.empty(len(column))
    for at, cell in enumerate(column.to_pylist()):
        try:
            out[at] = float(cell)
        except (TypeError, ValueError):
            row = batch.rows[at]
            raise DataError(
                f"{path}, row {row}, column {name!r}: {cell!r} is not a number; a probability is needed"
            ) from None
    return out


def _from_objects(path: str, batch: RawBatch) -> Probabilities:
    cells = batch.table.column("probabilities").to_pylist()
    out = np.empty((len(cells), len(CLASSES)))
    for at, cell in enumerate(cells):
        shares = [cell.get(name) for name in CLASSES] if isinstance(cell, dict) else cell
        if (
            not isinstance(shares, list)
            or len(shares) != len(CLASSES)
            or not all(_is_number(share) for share in shares)
        ):
            raise DataError(
                f"{path}, row {batch.rows[at]}, column 'probabilities': needed are three numbers under a, b "
                f"and tie; given is {shown(json.dumps(cell, default=str))}"
            )
        out[at] = shares
    return out


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _judge_of(stream: TableStream) -> dict[str, str] | None:
    text = (stream.schema.metadata or {}).get(JUDGE_KEY.encode())
    return _as_judge(text.decode("utf-8", "replace")) if text else None


def _judge_of_rows(batch: RawBatch) -> dict[str, str] | None:
    if "judge" not in batch.table.column_names or not batch.table.num_rows:
        return None
    return _checked_judge(batch.table.column("judge")[0].as_py())


def _judge_beside(path: str | Path) -> dict[str, str] | None:
    side = Path(f"{path}{SIDE_SUFFIX}")
    if str(path) == "-" or not side.is_file():
        return None
    try:
        whole = json.loads(side.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{side} cannot be read ({error}); remove it, or write the predictions again") from error
    return _checked_judge(whole.get("judge") if isinstance(whole, dict) else None)


def _as_judge(text: str) -> dict[str, str] | None:
    try:
        return _checked_judge(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _checked_judge(value: Any) -> dict[str, str] | None:
    is_judge = isinstance(value, dict) and bool(value) and all(isinstance(part, str) for part in value.values())
    return value if is_judge else None
