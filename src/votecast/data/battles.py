"""`Battles`: a table of battles, an Arrow table with a checked schema.

Readers return it, and judges, splits, metrics and reports take it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError

from votecast.errors import DataError
from votecast.types import CLASSES, SUM_TOLERANCE, Battle, Probabilities

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from votecast.data.row_checks import ReadReport

TURNS = pa.list_(pa.field("element", pa.large_string()))
SCHEMA = pa.schema(
    [
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("prompt", TURNS, nullable=False),
        pa.field("response_a", TURNS, nullable=False),
        pa.field("response_b", TURNS, nullable=False),
        pa.field("winner", pa.large_string()),
        pa.field("probabilities", pa.list_(pa.field("element", pa.float64()), 3)),
        pa.field("model_a", pa.large_string()),
        pa.field("model_b", pa.large_string()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("language", pa.large_string()),
        pa.field("source", pa.large_string()),
    ]
)
"""Columns of every table of battles; further columns may follow them."""

TEXT_COLUMNS = ("prompt", "response_a", "response_b")
_PAIRED = ("response", "model", "score")
_SIDES = {f"{name}_{side}": f"{name}_{other}" for name in _PAIRED for side, other in ("ab", "ba")}


class Battles:
    """Battles as an Arrow table: cheap to slice, to swap and to write.

    Args:
        table: Table whose first columns are those of `SCHEMA`, in that order.
        report: What the reader found and repaired, where the battles come from a file.

    Attributes:
        known: Values for every row, such as hashes, that are computed once for this table.

    Raises:
        DataError: If the columns of the table are not those of the schema.

    Example:
        >>> battles = Battles.from_rows(
        ...     [{"prompt": "Hi", "response_a": "Hello!", "response_b": "Go away.", "winner": "a"}]
        ... )
        >>> len(battles), battles[0].winner, battles.swapped()[0].winner
        (1, 'a', 'b')
    """

    def __init__(self, table: pa.Table, report: ReadReport | None = None) -> None:
        if not table.schema.equals(SCHEMA):
            table = _conform(table)
        self.table = table
        self.report = report
        self.known: dict[str, list[str]] = {}

    def __reduce__(self) -> tuple[type[Battles], tuple[pa.Table, ReadReport | None]]:
        return Battles, (self.table, self.report)  # what was computed from the rows stays behind

    @classmethod
    def from_rows(cls, rows: Sequence[Battle | Mapping[str, object]]) -> Battles:
        """Build a table from battles or from mappings with the same keys.

        Raises:
            DataError: If a row is not a battle; the message names the row and the field.
        """
        checked = [_checked(row, number) for number, row in enumerate(rows, start=1)]
        if rounded := sum(map(_was_rescaled, rows)):
            logger.warning("%d of %d rows: rounded probabilities rescaled to sum to 1", rounded, len(checked))
        return cls(pa.Table.from_pylist(checked, schema=SCHEMA))

    @classmethod
    def concat(cls, parts: Sequence[Battles]) -> Battles:
        """Concatenate tables, without copying."""
        return cls(pa.concat_tables([part.table for part in parts])) if parts else cls(SCHEMA.empty_table())

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, key: int) -> Battle: ...
    @overload
    def __getitem__(self, key: slice) -> Battles: ...
    def __getitem__(self, key: int | slice) -> Battle | Battles:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                return self.take(range(start, stop, step))
            return Battles(self.table.slice(start, max(0, stop - start)))
        row = self.table.slice(key if key >= 0 else len(self) + key, 1).select(SCHEMA.names).to_pylist()
        if not row:
            raise IndexError(f"row {key} of {len(self)} battles")
        return Battle.model_validate(row[0])

    def __iter__(self) -> Iterator[Battle]:
        for batch in self.table.select(SCHEMA.names).to_batches(max_chunksize=1024):
            yield from map(Battle.model_validate, batch.to_pylist())

    def __repr__(self) -> str:
        return f"Battles({len(self)} rows)"

    def take(self, indices: ArrayLike) -> Battles:
        """Return the rows at these positions, in this order."""
        return Battles(self.table.take(pa.array(np.asarray(indices, dtype=np.int64))))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column as Arrow holds it.

        Raises:
            DataError: If there is no such column.
        """
        if name not in self.table.column_names:
            raise DataError(f"there is no column {name!r}; the battles have {', '.join(self.table.column_names)}")
        return self.table.column(name)

    @property
    def ids(self) -> list[str]:
        """The names of the rows."""
        return self.column("id").to_pylist()  # type: ignore[no-any-return]

    def swapped(self) -> Battles:
        """Swap the responses: a becomes b, in texts, votes, models and scores."""
        names = self.table.column_names
        other = {name: _SIDES[name] for name in names if _SIDES.get(name) in names}
        columns = {name: self.table.column(other.get(name, name)) for name in names}
        winner = columns["winner"]
        is_a, is_b = pc.equal(winner, "a"), pc.equal(winner, "b")
        columns["winner"] = pc.if_else(is_a, "b", pc.if_else(is_b, "a", winner)).cast(pa.large_string())
        if columns["probabilities"].null_count < len(self):
            rows = [p and [p[1], p[0], p[2]] for p in columns["probabilities"].to_pylist()]
            columns["probabilities"] = pa.chunked_array([pa.array(rows, SCHEMA.field("probabilities").type)])
        return Battles(pa.table(columns, schema=self.table.schema))

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows carry a vote or a soft label, shape (n,)."""
        known = pc.or_(pc.is_valid(self.column("winner")), pc.is_valid(self.column("probabilities")))
        return np.asarray(known.to_numpy(), dtype=bool)

    def targets(self, *, required: bool = True) -> Probabilities:
        """Return the votes as probabilities of shape (n, 3): soft labels where there are any, else one-hot winners.

        Raises:
            DataError: If a row has neither; such rows are zeros unless votes are `required`.
        """
        if required and not self.labelled.all():
            first = int(np.argmin(self.labelled))
            raise DataError(
                f"row {first + 1} (id {self.ids[first]!r}) has no vote ({int((~self.labelled).sum())} rows in all); "
                "every row needs a winner (a, b, tie) or probabilities"
            )
        winner = self.column("winner").to_numpy()
        out: Probabilities = (winner[:, None] == np.array(CLASSES, dtype=object)[None, :]).astype(np.float64)
        soft = self.column("probabilities")
        if soft.null_count < len(self):
            given = np.asarray(pc.is_valid(soft).to_numpy(), dtype=bool)
            values = soft.filter(pa.array(given)).combine_chunks()
            out[given] = np.asarray(values.flatten(), dtype=np.float64).reshape(-1, 3)
        return out

    def weights(self) -> NDArray[np.float64]:
        """Return how much each row counts, shape (n,)."""
        return np.asarray(self.column("weight").to_numpy(), dtype=np.float64)

    def text(self, column: str, separator: str = "\n\n") -> list[str]:
        """Join the turns of one text column, one string a row; turns that are None are left out."""
        return [separator.join(turn for turn in turns if turn is not None) for turns in self.column(column).to_pylist()]

    def content_hashes(self) -> list[str]:
        """Hash prompt and both answers of every row: the key, beside the id, of out-of-fold rows."""
        if "content" not in self.known:
            columns = [self.column(name).to_pylist() for name in TEXT_COLUMNS]
            texts = (repr(row).encode("utf-8", "backslashreplace") for row in zip(*columns, strict=True))
            self.known["content"] = [hashlib.sha256(text).hexdigest()[:32] for text in texts]
        return self.known["content"]


def _checked(row: Battle | Mapping[str, object], number: int) -> dict[str, object]:
    try:
        battle = row if isinstance(row, Battle) else Battle.model_validate(dict(row))
    except (ValidationError, TypeError, ValueError) as error:
        detail = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            if isinstance(error, ValidationError)
            else str(error)
        )
        other = [str(key) for key in row if key not in Battle.model_fields] if isinstance(row, Mapping) else []
        cure = (
            f"; a battle has no {', '.join(other)} but {', '.join(Battle.model_fields)}; rows of other formats are "
            "read from a data frame or a file"
        )
        raise DataError(f"row {number} is not a battle: {detail}{cure if other else ''}") from error
    return battle.model_dump() | {"id": battle.id or str(number - 1)}


def _was_rescaled(row: Battle | Mapping[str, object]) -> bool:
    given = row.get("probabilities") if isinstance(row, Mapping) else None
    shares = given.values() if isinstance(given, Mapping) else given
    return isinstance(shares, Iterable) and abs(sum(shares) - 1) > SUM_TOLERANCE


def _conform(table: pa.Table) -> pa.Table:
    """Cast to the schema: missing optional columns are filled, further columns are kept behind it."""
    missing = [name for name in TEXT_COLUMNS if name not in table.column_names]
    if missing:
        raise DataError(f"the columns {', '.join(missing)} are missing; battles need {', '.join(TEXT_COLUMNS)}")
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for field in SCHEMA:
        if field.name in table.column_names:
            column = table.column(field.name)
            try:
                columns[field.name] = column if column.type == field.type else column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                allowed = f"allowed is {field.type} ({error})"
                raise DataError(f"column {field.name!r} holds {column.type}; {allowed}") from error
            if not field.nullable and column.null_count:
                row = pc.index(pc.is_null(column), True).as_py() + 1
                raise DataError(f"row {row}, column {field.name!r}: the value is missing; every row needs one")
        elif field.name == "weight":
            columns["weight"] = pa.array(np.ones(table.num_rows))
        elif field.name == "id":
            columns["id"] = pa.array([str(i) for i in range(table.num_rows)], pa.large_string())
        else:
            columns[field.name] = pa.nulls(table.num_rows, field.type)
    extra = [table.schema.field(name) for name in table.column_names if name not in columns]
    schema = pa.schema([*SCHEMA, *extra])
    return pa.table(columns | {field.name: table.column(field.name) for field in extra}, schema=schema)
