"""The fitted parts of a judge, and the rows on which it was measured without having seen them.

Cross-validation makes them, judge folders keep them; calibration, ensembles and figures use only these.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from votecast.artifacts import read_limited
from votecast.calibration import Calibrator, make_calibrator
from votecast.data.battles import Battles
from votecast.errors import DataError, JudgeError, LeakError
from votecast.metrics import group_folds
from votecast.models.base import Model
from votecast.splits import PromptHashes
from votecast.types import CLASSES, Floats, Ints, Probabilities

SUM_TOLERANCE = 1e-9
"""How far a row of predictions may sum from 1."""

MOST_ROWS = 5_000_000
"""Votes that a judge may be trained on: all out-of-fold rows are held in memory."""

_MOST_BYTES = 1 << 30  # of the file, and of all ids
_INTEGERS = ("row", "fold", "cluster")
_NAMED = 5


@dataclass(frozen=True)
class OutOfFold:
    """Predictions for rows by members that had not seen them."""

    rows: Ints  # positions among the battles the judge was fitted on (n,)
    ids: list[str]  # names of the rows
    content: list[str]  # hash of each row's texts
    fold: Ints  # fold of each row (n,)
    raw: Probabilities  # uncalibrated probabilities (n, 3)
    targets: Probabilities  # soft labels (n, 3)
    weights: Floats  # shape (n,)
    clusters: Ints  # cluster of near-duplicate prompts of each row (n,)
    # uncalibrated probabilities of the swapped battles (n, 3); None where swapping the responses only swaps columns a
    # and b
    swapped: Probabilities | None = None
    # hash of each row's texts with the responses swapped; None where it was not kept
    swapped_content: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def none(cls) -> OutOfFold:
        """Make the table of a judge that keeps no rows."""
        nothing, three = np.empty(0, dtype=np.int64), np.empty((0, 3))
        return cls(nothing, [], [], nothing, three, three, np.empty(0), nothing)

    @classmethod
    def of_battles(
        cls,
        battles: Battles,
        raw: Probabilities,
        *,
        fold: Ints,
        clusters: Ints,
        swapped: Probabilities | None = None,
        rows: Ints | None = None,
    ) -> OutOfFold:
        """Make the table of predictions for battles with votes; `rows` counts from 0 where None."""
        return cls(
            rows=np.arange(len(battles)) if rows is None else rows,
            ids=battles.ids,
            content=battles.content_hashes(),
            fold=fold,
            raw=raw,
            targets=battles.targets(),
            weights=battles.weights(),
            clusters=clusters,
            swapped=swapped,
            swapped_content=battles.swapped().content_hashes(),
        )

    def to_table(self) -> pa.Table:
        """Return the columns of `out_of_fold.parquet`.

        Columns `swapped_*` are there only where they differ from the swapped `p_*`; `turned` is the hash of the texts
        in the other order, by which a row is recognised in a file with swapped responses.
        """
        columns: dict[str, pa.Array] = {
            "row": pa.array(self.rows.astype(np.int32)),
            "id": pa.array(self.ids, pa.string()),
            "content": pa.array(map(bytes.fromhex, self.content), pa.binary(16)),
            "fold": pa.array(self.fold.astype(np.int32)),
            "cluster": pa.array(self.clusters.astype(np.int32)),
            "weight": pa.array(self.weights),
        }
        for number, name in enumerate(CLASSES):
            columns[f"p_{name}"] = pa.array(self.raw[:, number])
            columns[f"target_{name}"] = pa.array(self.targets[:, number])
        if self.swapped is not None:
            columns |= {f"swapped_{name}": pa.array(self.swapped[:, n]) for n, name in enumerate(CLASSES)}
        if self.swapped_content is not None:
            columns["turned"] = pa.array(map(bytes.fromhex, self.swapped_content), pa.binary(16))
        return pa.table(columns)

    @classmethod
    def read(cls, path: Path) -> OutOfFold:
        """Read a file of what `to_table` returned, whoever wrote it: a small one may claim billions of rows.

        Raises:
            OSError, ValueError, KeyError, pyarrow.ArrowException: If it is anything else, or too large.
        """
        # a dictionary of few names stays one: each row would be a copy
        file = pq.ParquetFile(pa.BufferReader(read_limited(path, _MOST_BYTES)), read_dictionary=["id"])
        if file.metadata.num_rows > MOST_ROWS:
            raise ValueError(f"{path.name} has {file.metadata.num_rows:,} rows; the limit is {MOST_ROWS:,}")
        names, types = file.schema_arrow.names, {field.name: field.type for field in file.schema_arrow}
        numbers = [f"{kind}_{name}" for kind in ("p", "target", "swapped") for name in CLASSES]
        read = [name for name in (*_INTEGERS, "id", "weight", "content", "turned", *numbers) if name in types]
        for name in read:
            kind = types[name]
            if name == "id":
                is_right = pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)
            elif name in ("content", "turned"):
                is_right = kind == pa.binary(16)
            else:
                is_right = pa.types.is_integer(kind) if name in _INTEGERS else kind == pa.float64()
            if not is_right or names.count(name) != 1:
                raise ValueError(f"column {name} of {path.name} has type {kind}, or is there more than once")
        table = file.read(columns=read)
        for name in table.column_names:
            if table.column(name).null_count:
                raise ValueError(f"column {name} of {path.name} has missing values")
        named = (pc.sum(pc.take(pc.binary_length(part.dictionary), part.indices)) for part in table.column("id").chunks)
        if sum(part.as_py() or 0 for part in named) > _MOST_BYTES:
            raise ValueError(f"the ids of {path.name} have more than {_MOST_BYTES:,} bytes")
        found = cls.from_table(table)
        for values in (found.raw, found.targets, found.swapped):
            if values is not None and not ((values >= 0) & (values <= 1 + SUM_TOLERANCE)).all():
                raise ValueError(f"{path.name} holds probabilities that are none")
        if not ((found.weights >= 0) & np.isfinite(found.weights)).all():
            raise ValueError(f"{path.name} holds a negative or infinite weight")
        return found

    @classmethod
    def from_table(cls, table: pa.Table) -> OutOfFold:
        """Take the columns of `to_table`; folders of older versions lack the optional ones."""

        def _stack(prefix: str) -> Probabilities:
            return np.stack([table.column(f"{prefix}_{name}").to_numpy() for name in CLASSES], axis=1)

        turned = table.column("turned").to_pylist() if "turned" in table.column_names else None
        return cls(
            rows=table.column("row").to_numpy().astype(np.int64),
            ids=table.column("id").to_pylist(),
            content=[value.hex() for value in table.column("content").to_pylist()],
            fold=table.column("fold").to_numpy().astype(np.int64),
            raw=_stack("p"),
            targets=_stack("target"),
            weights=table.column("weight").to_numpy(),
            clusters=table.column("cluster").to_numpy().astype(np.int64),
            swapped=_stack("swapped") if "swapped_a" in table.column_names else None,
            swapped_content=None if turned is None else [value.hex() for value in turned],
        )


@dataclass(frozen=True)
class Fitted:
    """The fitted parts of a judge."""

    members: list[Model]  # one model, or one per fold; their predictions are averaged
    calibrator: Calibrator  # fitted on the out-of-fold rows
    # predictions for rows that their member had not seen; empty for a judge that was trained elsewhere
    out_of_fold: OutOfFold
    prompt_hashes: PromptHashes | None  # salted hashes of the training prompts; None where these are unknown
    facts: dict[str, Any] = field(default_factory=dict)  # rows, shares of labels, sources and folds, for the model card
    # folders that hold the members already, one each, as their `save` wrote them; empty where none do
    stored: tuple[Path, ...] = ()

    @classmethod
    def without_votes(cls, members: list[Model], method: str) -> Fitted:
        """Make the parts of a judge that was not trained here: uncalibrated, without rows and prompt hashes."""
        facts = {"rows": 0, "labels": {}, "sources": {}, "folds": {"method": method, "n": len(members)}}
        return cls(members, make_calibrator("none"), OutOfFold.none(), None, facts)


def calibration_folds(held: OutOfFold, seed: int) -> Ints:
    """Return the folds over which a calibrator is cross-fitted.

    They are those of the judge, or fresh ones grouped by prompt where the judge was measured on a single split;
    DataError if all rows share one prompt.
    """
    if len(np.unique(held.fold)) > 1:
        return held.fold
    if len(np.unique(held.clusters)) < 2:
        raise DataError("the held-out rows share one prompt; calibrated figures need at least two different prompts")
    return group_folds(held.clusters, seed=seed)


def first_ids(battles: Battles, rows: Ints) -> str:
    """Name a few of these rows, for messages."""
    return ", ".join(map(repr, battles.take(rows[:_NAMED]).ids))


def refuse_seen_votes(hashes: PromptHashes | None, votes: Battles, whom: str, *, allow: bool = False) -> str:
    """Refuse votes with prompts on which a judge was trained; where allowed, return a remark on them."""
    rows = np.arange(0) if hashes is None else hashes.overlap(votes)
    if not len(rows):
        return ""
    share = f"{len(rows)} of {len(votes)} votes have prompts on which {whom} was trained"
    if not allow:
        raise LeakError(
            f"{share} (first ids: {first_ids(votes, rows)}), so that it would seem surer than it is; give votes on "
            "other prompts"
        )
    return share


def describe_votes(battles: Battles | None, targets: Probabilities) -> dict[str, object]:
    """Count rows, labels (from soft labels of shape (n, 3)) and sources, sorted, for the facts of a judge."""
    named = [] if battles is None else battles.column("source").drop_null().value_counts().to_pylist()
    sources = dict(sorted((entry["values"], entry["counts"]) for entry in named))
    return {"rows": len(targets), "labels": label_shares(targets), "sources": sources}


def label_shares(targets: Probabilities) -> dict[str, float]:
    """Return the share of each class among soft labels of shape (n, 3).

    Example:
        >>> label_shares(np.array([[1.0, 0, 0], [0, 0.5, 0.5]]))
        {'a': 0.5, 'b': 0.25, 'tie': 0.25}
    """
    return dict(zip(CLASSES, targets.mean(axis=0).round(6).tolist(), strict=True))


def check_distributions(p: Probabilities, name: str) -> Probabilities:
    """Return predictions of shape (n, 3); JudgeError, which names the judge, if a row is no distribution."""
    wrong = ~np.isfinite(p).all(axis=1) | (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > SUM_TOLERANCE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise JudgeError(
            f"judge {name!r} predicted {p[row].tolist()} for row {row + 1} of a batch ({int(wrong.sum())} such rows); "
            "probabilities must be finite, at least 0 and sum to 1"
        )
    return p
