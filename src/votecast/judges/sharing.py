"""The rows on which several judges can be compared and joined: those that none of them had seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from votecast.calibration import Chain, crossfit_calibrate
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import DataError, LeakError
from votecast.judges.out_of_fold import OutOfFold, calibration_folds
from votecast.judges.trained import TrainedJudge
from votecast.types import Probabilities, swap_columns

Floats = NDArray[np.float64]
Key = tuple[str, str, int]

_WHOLE: Final = "grouped"
"""Folds that keep prompts whole."""

_NAMED: Final = 5
_SAME: Final = 1e-9


@dataclass(frozen=True)
class Shared:
    """Rows that several judges forecast without having seen them, each calibrated as it is by itself.

    Args:
        ids: Names of the rows, n of them.
        content: Hash of each row's texts.
        forecasts: What each judge forecasts, shape (judges, n, 3).
        swapped: The same for the battles with their answers exchanged; None where that exchanges columns a and b and
            nothing else.
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        clusters: Cluster of near-duplicate prompts of each row, shape (n,).
        about: Where the rows come from and which were refused, for record and screen.
        battles: The rows themselves, where they are at hand.
        turned: Hash of each row's texts with the answers exchanged, where it is known.
    """

    ids: list[str]
    content: list[str]
    forecasts: Floats
    swapped: Floats | None
    targets: Probabilities
    weights: Floats
    clusters: NDArray[np.int64]
    about: dict[str, Any] = field(default_factory=dict)
    battles: Battles | None = None
    turned: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def shared_rows(judges: Mapping[str, TrainedJudge]) -> Shared:
    """The out-of-fold rows that judges have in common, by id and texts.

    A row is refused where the prompts like its own lay on both sides of a fold of some judge, so that the member which
    forecast it had been trained on its prompt. Labels, weights and the order of the answers are those of the first
    judge; another one may have learnt from the same row with its answers exchanged.

    Args:
        judges: What each is called, and the judge; at least one.

    Raises:
        DataError: If there is no row in common, or none but refused ones.
    """
    first = next(iter(judges.values())).fitted.out_of_fold
    keys = list(_numbered(first.ids, first.content))
    tables = {name: _Table.of(judge, keys, first.swapped_content) for name, judge in judges.items()}
    common = np.all([table.rows >= 0 for table in tables.values()], axis=0)
    if not common.any():
        raise DataError(_nothing_shared(judges))
    seen = {name: common & seen_prompts(judges[name])[table.rows] for name, table in tables.items()}
    kept = np.flatnonzero(common & ~np.any(list(seen.values()), axis=0))
    refused = {name: int(part.sum()) for name, part in seen.items() if part.any()}
    if not len(kept):
        raise DataError(
            f"all {int(common.sum()):,} rows that the judges share were refused: rows with prompts like theirs were in "
            f"the training part of {', '.join(refused)}; train with folds.method grouped, or give votes that none of "
            "them has seen with --input"
        )
    tables = {name: table.take(kept) for name, table in tables.items()}
    pairs = [_calibrated(name, judge, tables[name]) for name, judge in judges.items()]
    labels = [table.in_order(table.held.targets[table.rows]) for table in tables.values()]
    unlike = np.any([np.abs(other - labels[0]).max(axis=1) > _SAME for other in labels], axis=0)
    return Shared(
        ids=[first.ids[row] for row in kept],
        content=[first.content[row] for row in kept],
        forecasts=np.stack([p for p, _ in pairs]),
        swapped=_swapped(pairs),
        targets=labels[0],
        weights=first.weights[kept],
        clusters=_joined([table.held.clusters[table.rows] for table in tables.values()]),
        about={
            "rows_from": "out_of_fold",
            "out_of_fold": {name: len(table.held) for name, table in tables.items()},
            "common": int(common.sum()),
            "exchanged": {name: int(table.other_way.sum()) for name, table in tables.items() if table.other_way.any()},
            "refused": refused,
            "other_labels": int(unlike.sum()),
        },
        turned=None if first.swapped_content is None else [first.swapped_content[row] for row in kept],
    )


def asked_rows(judges: Mapping[str, TrainedJudge], votes: Battles, *, seed: int = 0) -> Shared:
    """Votes that none of the judges has seen, and what each forecasts of them.

    Args:
        judges: What each is called, and the judge; at least one.
        votes: The votes.
        seed: Seed of the clusters of near-duplicate prompts.

    Raises:
        DataError: If there are no votes, or a row has none.
        LeakError: If votes share prompts with the training of a judge; the message names it.
    """
    if not len(votes):
        raise DataError("there are no votes to fit an ensemble on; give at least a few hundred")
    targets = votes.targets()
    for name, judge in judges.items():
        _refuse_seen(name, judge, votes)
    pairs = [_asked(judge, votes) for judge in judges.values()]
    return Shared(
        ids=votes.ids,
        content=votes.content_hashes(),
        forecasts=np.stack([p for p, _ in pairs]),
        swapped=_swapped(pairs),
        targets=targets,
        weights=votes.weights(),
        clusters=prompt_clusters(votes, seed=seed),
        about={"rows_from": "votes", "common": len(votes), "refused": {}},
        battles=votes,
        turned=votes.swapped().content_hashes(),
    )


@dataclass(frozen=True)
class _Table:
    """Where the rows of the first judge lie among the out-of-fold rows of another, and which of them the other way."""

    held: OutOfFold
    rows: NDArray[np.int64]
    other_way: NDArray[np.bool_]

    @classmethod
    def of(cls, judge: TrainedJudge, keys: Sequence[Key], turned: Sequence[str] | None) -> _Table:
        """Find rows by id and texts, or by id and the texts with the answers exchanged; -1 where there are none."""
        held = judge.fitted.out_of_fold
        place = {key: row for row, key in enumerate(_numbered(held.ids, held.content))}
        rows = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
        other_way = np.zeros(len(keys), dtype=bool)
        if turned is not None:
            found = [
                place.get((row_id, other, number), -1) for (row_id, _, number), other in zip(keys, turned, strict=True)
            ]
            other_way = (rows < 0) & (np.array(found, dtype=np.int64) >= 0)
            rows = np.where(other_way, found, rows)
        return cls(held, rows, other_way)

    def take(self, kept: NDArray[np.int64]) -> _Table:
        """These rows of the first judge."""
        return _Table(self.held, self.rows[kept], self.other_way[kept])

    def in_order(self, p: Probabilities) -> Probabilities:
        """Probabilities of these rows, in the order in which the first judge has the answers."""
        return np.where(self.other_way[:, None], swap_columns(p), p)


def _numbered(ids: Sequence[str], content: Sequence[str]) -> Iterator[Key]:
    """Id, texts, and which of the rows that are alike in both."""
    count: Counter[tuple[str, str]] = Counter()
    for key in zip(ids, content, strict=True):
        yield *key, count[key]
        count[key] += 1


def seen_prompts(judge: TrainedJudge) -> NDArray[np.bool_]:
    """Of which out-of-fold rows the prompt, or one like it, was among the rows their member was trained on.

    Folds that were grouped by prompt leave none, but for clusters larger than a fold. Others are looked at row by row;
    where the folds that were trained on are not kept (a single split), nothing can be ruled out.

    Args:
        judge: A fitted judge.

    Returns:
        Shape (n,), in the order of `judge.fitted.out_of_fold`.
    """
    held, facts = judge.fitted.out_of_fold, judge.fitted.facts
    folds = facts.get("folds", {})
    if not len(held) or folds.get("seen_prompts") == 0:
        return np.zeros(len(held), dtype=bool)
    if folds.get("method") == "given validation rows":
        return np.isin(held.clusters, folds.get("seen_clusters", []))
    if len(held) < facts.get("rows", 0) and not _kept_whole(folds):
        return np.ones(len(held), dtype=bool)
    return _mixed(held)


def _kept_whole(folds: dict[str, Any]) -> bool:
    return folds.get("method") == _WHOLE and not any("both sides" in note for note in folds.get("notes", ()))


def _mixed(held: OutOfFold) -> NDArray[np.bool_]:
    """Rows in clusters that lie in more than one fold."""
    pairs = np.unique(np.stack([held.clusters, held.fold]), axis=1)
    clusters, folds = np.unique(pairs[0], return_counts=True)
    return np.isin(held.clusters, clusters[folds > 1])


def _calibrated(name: str, judge: TrainedJudge, table: _Table) -> tuple[Probabilities, Probabilities | None]:
    """What a judge says of out-of-fold rows, under calibrators that had not seen them; and of the exchanged ones.

    The calibrator that came with the training is fitted anew on the other folds; those that came later were fitted on
    other votes and are taken as they are.
    """
    held, calibrator = judge.fitted.out_of_fold, judge.fitted.calibrator
    if calibrator.by:
        raise DataError(
            f"judge {name!r} is calibrated by {', '.join(calibrator.by)}, which its out-of-fold rows do not name; "
            "give votes that no judge has seen with --input, or the judge as it was before"
        )
    method = judge.recipe.calibration.method
    parts = calibrator.parts if isinstance(calibrator, Chain) else (calibrator,)
    later = parts[1:] if method != "none" or parts[0].method == "none" else parts

    def _said(forecasts: Probabilities) -> Probabilities:
        p = forecasts
        if method != "none":
            learnt_from = (method, held.raw, held.targets, held.weights, calibration_folds(held, judge.recipe.seed))
            p = crossfit_calibrate(*learnt_from, forecasts, clusters=held.clusters)
        for part in later:
            p = part.transform(p)
        return np.asarray(p[table.rows])

    p = _said(held.raw)
    if held.swapped is None:
        return table.in_order(p), None
    q, turned = _said(held.swapped), table.other_way[:, None]
    return np.where(turned, q, p), np.where(turned, p, q)


def _asked(judge: TrainedJudge, votes: Battles) -> tuple[Probabilities, Probabilities | None]:
    p = judge.predict_proba(votes)
    return p, judge.predict_proba(votes.swapped()) if judge.fitted.members[0].order_matters else None


def _swapped(pairs: Sequence[tuple[Probabilities, Probabilities | None]]) -> Floats | None:
    if all(swapped is None for _, swapped in pairs):
        return None
    return np.stack([swap_columns(p) if swapped is None else swapped for p, swapped in pairs])


def _joined(clusters: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Clusters such that rows are together that any judge found alike."""
    n = len(clusters[0])
    numbers = [np.unique(part, return_inverse=True)[1] for part in clusters]
    starts = np.cumsum([n, *(int(part.max()) + 1 for part in numbers)])
    columns = np.concatenate([part + start for part, start in zip(numbers, starts, strict=False)])
    rows = np.tile(np.arange(n), len(clusters))
    size = int(starts[-1])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1][:n].astype(np.int64)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _refuse_seen(name: str, judge: TrainedJudge, votes: Battles) -> None:
    if judge.prompt_hashes is not None and len(rows := judge.prompt_hashes.overlap(votes)):
        first = ", ".join(map(repr, votes.take(rows[:_NAMED]).ids))
        raise LeakError(
            f"{len(rows)} of {len(votes)} votes have prompts on which judge {name!r} was trained (first ids: "
            f"{first}): an ensemble fitted on them would trust it too much; give votes on other prompts"
        )


def _nothing_shared(judges: Mapping[str, TrainedJudge]) -> str:
    tables = {name: judge.fitted.out_of_fold for name, judge in judges.items()}
    counts = ", ".join(f"{name!r} has {len(table):,}" for name, table in tables.items())
    names = set.intersection(*(set(table.ids) for table in tables.values()))
    hint = f" {len(names):,} ids occur in all of them, with other texts;" if names else ""
    return (
        f"the judges have no out-of-fold row in common, by id and texts ({counts});{hint} train them on the same "
        "votes, or give votes that none of them has seen with --input"
    )
