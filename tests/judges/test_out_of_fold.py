"""The rows of a judge folder are checked when they are read: whoever wrote them, they are what they say."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from votecast.judges import out_of_fold
from votecast.judges.out_of_fold import OutOfFold

ROWS = 6


@pytest.fixture
def table() -> pa.Table:
    thirds = np.full((ROWS, 3), 1 / 3)
    ids, content = [f"vote {n}" for n in range(ROWS)], ["0f" * 16] * ROWS
    rows = np.arange(ROWS)
    return OutOfFold(rows, ids, content, rows % 2, thirds, np.eye(3)[rows % 3], np.ones(ROWS), rows).to_table()


def _read(table: pa.Table, folder: Path) -> OutOfFold:
    pq.write_table(table, folder / "rows.parquet")
    return OutOfFold.read(folder / "rows.parquet")


def _set(name: str, values: object, kind: pa.DataType | None = None) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(values, kind))


def test_rows_are_read_as_they_were_written(table: pa.Table, tmp_path: Path) -> None:
    again = _read(table, tmp_path)
    assert again.to_table() == table
    assert again.ids[:2] == ["vote 0", "vote 1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("p_a", ["x"] * ROWS), "p_a of rows.parquet has type string"),
        (_set("p_a", [float("nan")] * ROWS), "probabilities that are none"),
        (_set("target_b", [2.0] * ROWS), "probabilities that are none"),
        (_set("weight", [-1.0] * ROWS), "negative or infinite weight"),
        (_set("row", [None] * ROWS, pa.int32()), "row of rows.parquet has missing values"),
        (_set("id", range(ROWS)), "id of rows.parquet has type int64"),
        (_set("content", ["x"] * ROWS), "content of rows.parquet has type string"),
        (_set("fold", range(ROWS), pa.timestamp("ns")), "fold of rows.parquet has type timestamp"),
        (lambda table: table.append_column("row", table.column("row")), "more than once"),
        (lambda table: table.drop_columns(["cluster"]), "cluster"),
    ],
)
def test_other_columns_are_refused(table: pa.Table, tmp_path: Path, change, message: str) -> None:
    with pytest.raises((ValueError, KeyError), match=message):
        _read(change(table), tmp_path)


def test_a_small_file_of_many_rows_is_refused_before_it_is_decoded(
    table: pa.Table, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(out_of_fold, "MOST_ROWS", 5)
    with pytest.raises(ValueError, match="has 6 rows; the limit is 5"):
        _read(table, tmp_path)


def test_an_id_repeated_as_a_dictionary_is_measured_before_it_is_copied(table, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(out_of_fold, "_MOST_BYTES", 10_000)
    monkeypatch.setattr(out_of_fold, "read_limited", lambda path, _: path.read_bytes())
    long = _set("id", pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int8()), pa.array(["x" * 2000])))
    with pytest.raises(ValueError, match="ids of rows.parquet have more than 10,000 bytes"):
        _read(long(table), tmp_path)
