"""Divide rows into folds: which rows a model is fitted on and which it is measured on.

Training and cross-fitting call `make_folds`; judges rebuild the folds they were trained on with `folds_from_table`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.prompts import normalised_prompts
from votecast.data.text_columns import AnswerPairs, Ints, by_appearance
from votecast.errors import ConfigError, DataError
from votecast.splits.settings import FoldSettings
from votecast.types import CLASSES, Probabilities

TRAIN_ONLY = -1
"""Fold number of rows that every model is fitted on and none is measured on."""

_MOST_COLUMN_FOLDS = 100
_NAMED = 5


class HeldOut(Protocol):
    """The out-of-fold rows of a judge: `ids`, `content` hashes and `fold` numbers, n of each."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the rows."""

    @property
    def content(self) -> Sequence[str]:
        """Hashes of their texts, as `Battles.content_hashes` gives them."""

    @property
    def fold(self) -> Ints:
        """Fold in which each was held out, shape (n,)."""


@dataclass(frozen=True)
class Folds:
    """A division of rows into folds.

    Args:
        assignment: Fold of each row, shape (n_rows,), from 0; `TRAIN_ONLY` for rows that are never held out.
        n: Number of folds; 1 for a single split.
        method: How the folds were made.
        notes: Remarks for the reader of the figures.

    Example:
        >>> folds = Folds(np.array([0, 1, 0]), n=2, method="modulo")
        >>> [(train.tolist(), valid.tolist()) for train, valid in folds.parts()]
        [([1], [0, 2]), ([0, 2], [1])]
    """

    assignment: Ints
    n: int
    method: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.assignment)

    def parts(self) -> Iterator[tuple[Ints, Ints]]:
        """Yield for each fold the rows to fit on and the rows held out, as sorted positions."""
        for fold in range(self.n):
            held_out = self.assignment == fold
            yield np.flatnonzero(~held_out), np.flatnonzero(held_out)

    @property
    def sizes(self) -> list[int]:
        """Rows held out in each fold."""
        return [int((self.assignment == fold).sum()) for fold in range(self.n)]

    def to_dict(self) -> dict[str, object]:
        """Return method, sizes and notes as JSON-able values, without the assignment."""
        return {"method": self.method, "n": self.n, "sizes": self.sizes, "notes": list(self.notes)}


def make_folds(battles: Battles, settings: FoldSettings | None = None, clusters: Ints | None = None) -> Folds:
    """Divide battles into folds; rows without a vote are divided by number alone.

    Args:
        battles: The rows.
        settings: How; the default is five grouped and stratified folds.
        clusters: Cluster number of each row, shape (n,), in place of those of `prompt_clusters`; read by grouped.

    Returns:
        The folds; every part to fit on holds every class that occurs.

    Raises:
        ConfigError: If the settings do not suit the rows (fewer rows than folds, no such column).
        DataError: If a part to fit on would lack a class, or a column has a row without a value.

    Example:
        >>> row = {"response_a": "x", "response_b": "y"}
        >>> rows = [row | {"prompt": f"Question {i}?", "winner": "ab"[i % 2]} for i in range(8)]
        >>> make_folds(Battles.from_rows(rows), FoldSettings(n=2)).sizes
        [4, 4]
    """
    settings = settings or FoldSettings()
    rows = len(battles)
    needed = 2 if settings.method in {"single", "column"} else settings.n
    if rows < needed:
        fewer = f" or set folds.n to at most {rows}" if rows > 1 else ", at least 2"
        raise ConfigError(f"{rows} rows cannot be divided into {needed} folds; give more rows{fewer}")
    targets = battles.targets(required=False)
    notes: list[str] = []
    if settings.method == "grouped":
        assignment, notes = _assign_grouped(battles, targets, settings, clusters)
    elif settings.method == "stratified":
        assignment = _assign_stratified(targets, settings.n, settings.seed)
    elif settings.method == "modulo":
        assignment = np.arange(rows, dtype=np.int64) % settings.n
    elif settings.method == "single":
        assignment = _assign_single(targets, settings)
    else:
        assignment, notes = _assign_by_column(battles, str(settings.column))
    n = int(assignment.max()) + 1
    total = targets.sum(axis=0)
    for fold in range(n):
        held_out = targets[assignment == fold].sum(axis=0)
        for name, there, everywhere in zip(CLASSES, held_out, total, strict=True):
            # Soft labels are sums of fractions, so that equality needs a tolerance.
            if everywhere > 0 and there >= everywhere - 1e-9:
                raise DataError(
                    f"every vote for {name} ({everywhere:g} in all) lies in fold {fold}, so that a model fitted on the "
                    "rest would never see one; give more votes, use other folds (folds.method) or drop those rows"
                )
            if everywhere > 0 and there <= 0:
                notes.append(f"fold {fold} holds no vote for {name}")
    return Folds(assignment, n, settings.method, tuple(notes))


def folds_from_table(ids: Sequence[str], content_hashes: Sequence[str], held_out: HeldOut) -> Folds:
    """Rebuild the folds that rows had when a judge was trained.

    Rows are recognised by id and content; those that occur several times are matched in order. After a single split,
    the rows that the judge does not list are those it was fitted on.

    Args:
        ids: Names of the rows, n of them.
        content_hashes: `Battles.content_hashes()` of the rows, n of them.
        held_out: The out-of-fold rows of the judge.

    Returns:
        Folds with the method "reused".

    Raises:
        DataError: If a row is unknown to the judge (the message counts and names such rows), or a fold stays empty.
    """
    known: dict[tuple[str, str], deque[int]] = defaultdict(deque)
    for row_id, content, fold in zip(held_out.ids, held_out.content, held_out.fold.tolist(), strict=True):
        known[row_id, content].append(fold)
    keys = list(zip(ids, content_hashes, strict=True))
    n = int(held_out.fold.max(initial=0)) + 1
    unknown = [row_id for row_id, content in keys if (row_id, content) not in known] if n > 1 else []
    if unknown:
        first = ", ".join(repr(row_id) for row_id in unknown[:_NAMED])
        raise DataError(
            f"{len(unknown)} of {len(keys)} rows are not in the judge's folds, by id and content (first ids: {first}; "
            f"the judge has {', '.join(map(repr, held_out.ids[:_NAMED]))}); give the votes that the judge was trained "
            "on, cleaned in the same way, or make new folds"
        )
    assignment = np.full(len(keys), TRAIN_ONLY, dtype=np.int64)
    for row, key in enumerate(keys):
        if folds := known.get(key):
            assignment[row] = folds.popleft() if len(folds) > 1 else folds[0]
    idle = sorted(set(range(n)) - set(assignment.tolist()))
    if idle:
        raise DataError(
            f"no row lies in fold {', '.join(map(str, idle))} of the judge; give the votes it was trained on, "
            "or make new folds"
        )
    unused = len(held_out.ids) - int((assignment >= 0).sum())
    notes = (f"{unused} rows of the judge's folds do not occur here",) if unused > 0 else ()
    return Folds(assignment, n, "reused", notes)


def _assign_by_column(battles: Battles, column: str) -> tuple[Ints, list[str]]:
    """Make one fold of each value of a column; also return a note that names them."""
    if column not in battles.table.column_names:
        raise ConfigError(f"folds.column is {column!r}; the battles have {', '.join(battles.table.column_names)}")
    encoded = battles.column(column).combine_chunks().dictionary_encode()
    if encoded.null_count:
        row = int(np.argmax(encoded.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(
            f"row {row + 1} (id {battles.ids[row]!r}) has no value in the column {column!r}; every row needs one "
            "to have a fold"
        )
    values = encoded.dictionary.to_pylist()
    if not 2 <= len(values) <= _MOST_COLUMN_FOLDS:
        raise ConfigError(
            f"the column {column!r} has {len(values)} values; folds by column need 2 to {_MOST_COLUMN_FOLDS}"
        )
    # "10" comes behind "9", and names behind numbers.
    keys = [(0, float(v), "") if str(v).isdecimal() or isinstance(v, float) else (1, 0.0, str(v)) for v in values]
    order = sorted(range(len(values)), key=keys.__getitem__)
    fold = np.empty(len(values), dtype=np.int64)
    fold[order] = np.arange(len(values))
    names = ", ".join(f"{number} = {values[i]}" for number, i in enumerate(order))
    return fold[encoded.indices.to_numpy()], [f"folds by {column}: {names}"]


def _assign_grouped(
    battles: Battles, targets: Probabilities, settings: FoldSettings, clusters: Ints | None = None
) -> tuple[Ints, list[str]]:
    """Assign whole clusters to folds such that sizes and votes are balanced; also return notes on those split.

    A cluster with more rows than a fold is split no further than needed: first into prompts that are equal after
    normalisation, then into pairs of answers, then into rows.
    """
    if clusters is None:
        clusters = prompt_clusters(battles, similarity=settings.similarity)
    if len(clusters) != len(battles):
        raise ConfigError(f"{len(clusters)} cluster numbers are given for {len(battles)} rows; one a row is needed")
    groups, notes = by_appearance(np.asarray(clusters)), []
    capacity = -(-len(battles) // settings.n)
    for cluster in np.flatnonzero(np.bincount(groups) > capacity):
        rows = np.flatnonzero(groups == cluster)
        part = battles.take(rows)
        pieces, level = _split(part, capacity)
        groups[rows] = groups.max() + 1 + pieces
        ids = ", ".join(repr(row_id) for row_id in part[:_NAMED].ids)
        notes.append(
            f"a cluster of {len(rows)} rows with near-duplicate prompts (first ids: {ids}) is larger than a fold of "
            f"{capacity} rows and was split by {level}: its prompts may occur on both sides of a fold"
        )
    groups = by_appearance(groups) if notes else groups
    return balanced_folds(groups, targets, settings.n, settings.seed), notes


def _assign_stratified(targets: Probabilities, n: int, seed: int) -> Ints:
    """Assign the shuffled rows of each class to n folds in turn, starting each class where the last one stopped."""
    # Folds differ by at most one row in size and in each class.
    kind = _largest_class(targets)
    shuffled = np.random.default_rng(seed).permutation(len(kind))
    order = shuffled[np.argsort(kind[shuffled], kind="stable")]
    out = np.empty(len(kind), dtype=np.int64)
    out[order] = np.arange(len(kind)) % n
    return out


def _assign_single(targets: Probabilities, settings: FoldSettings) -> Ints:
    """Hold out a share of the rows, at least one and not all, as fold 0; the others get -1."""
    rows = len(targets)
    wanted = min(max(round(settings.fraction * rows), 1), rows - 1)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(rows)
    if settings.stratify:
        kind = _largest_class(targets)
        order = order[np.argsort(kind[order], kind="stable")]
        # Evenly spaced marks over rows sorted by class, from a random start: every class keeps its share.
        order = order[(np.arange(wanted) * rows + rng.integers(rows)) // wanted % rows]
    out = np.full(rows, -1, dtype=np.int64)
    out[order[:wanted]] = 0
    return out


def balanced_folds(groups: Ints, targets: Probabilities, n: int, seed: int) -> Ints:
    """Assign each group to the fold where rows and votes are then spread most evenly.

    The largest groups come first, those of one size class by class. Minimises the sum over folds of squared counts,
    each count (rows and the three classes) divided by its total, one group at a time: the greedy idea of scikit-learn's
    StratifiedGroupKFold at a cost that does not depend on the rows.

    Args:
        groups: Group of each row, shape (n_rows,), numbered from 0.
        targets: Votes of shape (n_rows, 3); zeros where there is none.
        n: Number of folds.
        seed: Seed that orders groups of equal size and the folds.

    Returns:
        Fold of each row, shape (n_rows,).
    """
    what = np.column_stack([np.ones(len(groups)), targets])
    counts = np.stack([np.bincount(groups, weights=column) for column in what.T], axis=1).astype(float)  # (groups, 4)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(counts))
    order = shuffled[np.lexsort((_largest_class(counts[shuffled, 1:]), -counts[shuffled, 0]))]
    # The gain of a group in a fold is linear in what the fold holds, up to a constant: one matrix product a group.
    share = counts / np.maximum(counts.sum(axis=0), 1)  # (groups, 4)
    filled = np.zeros((n, counts.shape[1]))
    place = np.empty(len(counts), dtype=np.int64)
    for group in order:
        place[group] = fold = (filled @ share[group]).argmin()
        filled[fold] += counts[group]
    return rng.permutation(n)[place][groups]


def _largest_class(targets: Probabilities) -> Ints:
    """Return the largest class of each row; 3 where there is no vote."""
    return np.asarray(np.where(targets.sum(axis=1) > 0, targets.argmax(axis=1), targets.shape[1]), dtype=np.int64)


def _split(battles: Battles, capacity: int) -> tuple[Ints, str]:
    """Split one cluster, level by level, until no piece is larger than a fold; also return the last level used."""
    levels: dict[str, Callable[[], Ints]] = {
        "prompt": lambda: np.unique(normalised_prompts(battles), return_inverse=True)[1].reshape(-1),
        "pair of answers": lambda: AnswerPairs.of(battles).numbers(ordered=False),
        "row": lambda: np.arange(len(battles), dtype=np.int64),
    }
    pieces, used = np.zeros(len(battles), dtype=np.int64), ""
    for level, numbers in levels.items():
        large = np.bincount(pieces)[pieces] > capacity
        if large.any():
            used = level
            pieces = by_appearance(np.where(large, pieces.max() + 1 + numbers(), pieces))
    return pieces, used
