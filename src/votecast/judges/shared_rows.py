"""Find the rows that none of several judges had seen, on which they can be compared and combined.

Ensembles are fitted on them; the leaderboard and the evaluation predict the votes of a judge's training with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from votecast.calibration import Chain, crossfit_calibrate
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import DataError, LeakError
from votecast.judges.out_of_fold import OutOfFold, calibration_folds, first_ids, refuse_seen_votes
from votecast.judges.predict_batch import trained_prompts
from votecast.judges.trained import TrainedJudge
from votecast.splits import PromptHashes
from votecast.types import Bools, Floats, Ints, Judge, Probabilities, swap_columns

_NAMED: Final = 3
_SAME: Final = 1e-9


@dataclass(frozen=True)
class Shared:
    """Rows that several judges predicted without having seen them, each calibrated as it is by itself."""

    ids: list[str]  # names of the rows, n of them
    content: list[str]  # hash of each row's texts
    predictions: Floats  # of each judge, (judges, n, 3)
    swapped: Floats | None  # the same for the swapped battles; None where that only swaps columns a and b
    targets: Probabilities  # soft labels, (n, 3)
    weights: Floats  # (n,)
    clusters: Ints  # cluster of near-duplicate prompts of each row, (n,)
    about: dict[str, Any] = field(default_factory=dict)  # origin of the rows and which were refused, for the record
    battles: Battles | None = None  # the rows themselves, where they are at hand
    swapped_content: list[str] | None = None  # hash of the texts with the responses swapped, where it is known

    def __len__(self) -> int:
        return len(self.ids)

    def out_of_fold(self, p: Probabilities, swapped: Probabilities | None, fold: Ints) -> OutOfFold:
        """Return the table of other predictions for the same rows, such as those of an ensemble."""
        return OutOfFold(
            rows=np.arange(len(self)),
            ids=self.ids,
            content=self.content,
            fold=fold,
            raw=p,
            targets=self.targets,
            weights=self.weights,
            clusters=self.clusters,
            swapped=swapped,
            swapped_content=self.swapped_content,
        )


def shared_rows(judges: Mapping[str, TrainedJudge]) -> Shared:
    """Return the out-of-fold rows that judges, given by label, have in common, by id and texts.

    A row is refused where prompts like its own lay on both sides of a fold of some judge, so that the member which
    predicted it had been trained on its prompt. Labels, weights and the order of the responses are those of the first
    judge; another one may have been fitted on the same row with its responses swapped.

    Raises:
        DataError: If there is no row in common, or none but refused ones.
    """
    first = next(iter(judges.values())).fitted.out_of_fold
    tables = {name: _find_rows(judge.fitted.out_of_fold, first) for name, judge in judges.items()}
    common = np.all([table.rows >= 0 for table in tables.values()], axis=0)  # (rows of the first judge,)
    if not common.any():
        raise DataError(_describe_nothing_shared(judges))
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
    pairs = [_calibrate_out_of_fold(name, judge, tables[name]) for name, judge in judges.items()]
    labels = [table.in_order(table.held.targets[table.rows]) for table in tables.values()]
    unlike = np.any([np.abs(other - labels[0]).max(axis=1) > _SAME for other in labels], axis=0)
    return Shared(
        ids=[first.ids[row] for row in kept],
        content=[first.content[row] for row in kept],
        predictions=np.stack([p for p, _ in pairs]),
        swapped=_stack_swapped(pairs),
        targets=labels[0],
        weights=first.weights[kept],
        clusters=_join_clusters([table.held.clusters[table.rows] for table in tables.values()]),
        about={
            "rows_from": "out_of_fold",
            "out_of_fold": {name: len(table.held) for name, table in tables.items()},
            "common": int(common.sum()),
            "exchanged": {name: int(table.swapped.sum()) for name, table in tables.items() if table.swapped.any()},
            "refused": refused,
            "other_labels": int(unlike.sum()),
        },
        swapped_content=None if first.swapped_content is None else [first.swapped_content[row] for row in kept],
    )


def predict_out_of_fold(judge: TrainedJudge, battles: Battles) -> tuple[Probabilities, Probabilities]:
    """Look up the calibrated out-of-fold predictions of battles, and of the same battles with responses swapped.

    Rows are matched by their texts, in either order of the responses: of several votes on one pair, which training may
    have aggregated, each gets the prediction of the pair.

    Returns:
        Two arrays of shape (n, 3), NaN for rows without an out-of-fold prediction.

    Raises:
        DataError: If the judge is calibrated by groups, or its rows were all refused; see `shared_rows`.
    """
    held = shared_rows({judge.name: judge})
    both = [held.predictions[0], swap_columns(held.predictions[0]) if held.swapped is None else held.swapped[0]]
    place = {key: (row, 0) for row, key in enumerate(held.content)}
    if held.swapped_content is not None:
        place = {key: (row, 1) for row, key in enumerate(held.swapped_content)} | place
    out = np.full((2, len(battles), 3), np.nan)
    for row, key in enumerate(battles.content_hashes()):
        if key in place:
            found, swapped = place[key]
            out[0, row], out[1, row] = both[swapped][found], both[1 - swapped][found]
    return out[0], out[1]


def predict_held_out(judge: Judge, battles: Battles, seen: Ints) -> tuple[Probabilities, Probabilities, str]:
    """Look up the out-of-fold predictions of the rows with prompts that a judge was trained on, in both orders.

    It is cross-prediction (Zrnic & Candès 2024): the rows of every fold are predicted by members that were not trained
    on them.

    Args:
        judge: The judge.
        battles: The battles, n of them.
        seen: Positions of those with prompts that the judge was trained on.

    Returns:
        Predictions of the battles and of the swapped battles, shape (n, 3) each, NaN where a row was not seen; and a
        note.

    Raises:
        LeakError: If a row was seen and has no out-of-fold prediction.
    """
    out = np.full((2, len(battles), 3), np.nan)
    if isinstance(judge, TrainedJudge) and len(judge.fitted.out_of_fold) and len(seen):
        out[:, seen] = predict_out_of_fold(judge, battles.take(seen))
    if len(lost := seen[np.isnan(out[0, seen, 0])]):
        raise LeakError(
            f"{len(lost)} of {len(battles)} rows have prompts on which the judge was trained (first ids: "
            f"{first_ids(battles, lost)}), and its folder holds no out-of-fold predictions of them, so that its "
            "predictions would look better than they are; remove these rows, or take a judge that was not trained on "
            "their prompts"
        )
    note = (
        f"{len(seen):,} of {len(battles):,} rows have prompts that the judge was trained on; for these its "
        "out-of-fold predictions are used, matched by texts"
    )
    return out[0], out[1], note


def predict_unseen(judge: Judge, battles: Battles) -> tuple[Probabilities, Probabilities, str]:
    """Predict battles, and the swapped battles, by members that were not trained on their prompts.

    Rows on new prompts are predicted by the judge as it is; returns and errors are those of `predict_held_out`.
    """
    hashes = trained_prompts(judge)
    seen = np.zeros(0, dtype=np.int64) if hashes is None else hashes.overlap(battles)
    p, swapped, note = predict_held_out(judge, battles, seen)
    if len(others := np.setdiff1d(np.arange(len(battles)), seen)):
        rest = battles.take(others)
        p[others], swapped[others] = judge.predict_proba(rest), judge.predict_proba(rest.swapped())
    return p, swapped, note


def predict_rows(judges: Mapping[str, TrainedJudge], votes: Battles, *, seed: int = 0) -> Shared:
    """Let judges, given by label, predict votes that none of them has seen; `seed` is that of the prompt clusters.

    Raises:
        DataError: If there are no votes, or a row has none.
        LeakError: If votes share prompts with the training of a judge; the message names it.
    """
    if not len(votes):
        raise DataError("there are no votes to fit an ensemble on; give at least a few hundred")
    targets = votes.targets()
    for name, judge in judges.items():
        refuse_seen_votes(judge.prompt_hashes, votes, f"judge {name!r}")
    pairs = [
        (judge.predict_proba(votes), judge.predict_proba(votes.swapped()) if judge.order_matters else None)
        for judge in judges.values()
    ]
    return Shared(
        ids=votes.ids,
        content=votes.content_hashes(),
        predictions=np.stack([p for p, _ in pairs]),
        swapped=_stack_swapped(pairs),
        targets=targets,
        weights=votes.weights(),
        clusters=prompt_clusters(votes, seed=seed),
        about={"rows_from": "votes", "common": len(votes), "refused": {}},
        battles=votes,
        swapped_content=votes.swapped().content_hashes(),
    )


def check_leaks(judge: object, hashes: PromptHashes, battles: Battles, *, allow: bool) -> Ints:
    """Raise `LeakError` if rows have prompts on which a judge was trained; return their positions with `allow`."""
    try:
        return hashes.check(battles, allow=allow)
    except LeakError as error:
        if isinstance(judge, TrainedJudge) and len(judge.fitted.out_of_fold):
            raise LeakError(f"{error}, or measure its out-of-fold predictions with --out-of-fold") from None
        raise


def seen_prompts(judge: TrainedJudge) -> Bools:
    """Return of which out-of-fold rows the prompt, or one like it, was in the training part of their member.

    Folds that were grouped by prompt have none, but for clusters larger than a fold. Others are looked at row by row;
    where the folds that were trained on are not kept (a single split), nothing can be ruled out.
    """
    held, facts = judge.fitted.out_of_fold, judge.fitted.facts
    folds = facts.get("folds", {})
    if not len(held) or folds.get("seen_prompts") == 0:
        return np.zeros(len(held), dtype=bool)
    if folds.get("method") == "given validation rows":
        return np.isin(held.clusters, folds.get("seen_clusters", []))
    keeps_prompts_whole = folds.get("method") == "grouped" and not any(
        "both sides" in note for note in folds.get("notes", ())
    )
    if len(held) < facts.get("rows", 0) and not keeps_prompts_whole:
        return np.ones(len(held), dtype=bool)
    pairs = np.unique(np.stack([held.clusters, held.fold]), axis=1)  # (2, pairs): clusters in more than one fold
    clusters, folds_of = np.unique(pairs[0], return_counts=True)
    return np.isin(held.clusters, clusters[folds_of > 1])


@dataclass(frozen=True)
class _Table:
    """The rows of the first judge among the out-of-fold rows of another, and which of them have swapped responses."""

    held: OutOfFold
    rows: Ints
    swapped: Bools

    def take(self, kept: Ints) -> _Table:
        """Return the table of some of the rows."""
        return _Table(self.held, self.rows[kept], self.swapped[kept])

    def in_order(self, p: Probabilities) -> Probabilities:
        """Return probabilities of these rows in the order of responses of the first judge."""
        return np.where(self.swapped[:, None], swap_columns(p), p)


def _find_rows(held: OutOfFold, first: OutOfFold) -> _Table:
    """Find rows by id and texts, or by id and the texts with the responses swapped; -1 where there are none."""
    place = {key: row for row, key in enumerate(_numbered(held))}
    keys = list(_numbered(first))
    rows = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
    swapped = np.zeros(len(keys), dtype=bool)
    if first.swapped_content is not None:
        others = zip(keys, first.swapped_content, strict=True)
        found = np.array([place.get((name, other, number), -1) for (name, _, number), other in others], dtype=np.int64)
        swapped = (rows < 0) & (found >= 0)
        rows = np.where(swapped, found, rows)
    return _Table(held, rows, swapped)


def _numbered(held: OutOfFold) -> Iterator[tuple[str, str, int]]:
    """Yield id, texts, and a number that tells rows apart that are alike in both."""
    count: Counter[tuple[str, str]] = Counter()
    for key in zip(held.ids, held.content, strict=True):
        yield *key, count[key]
        count[key] += 1


def _calibrate_out_of_fold(name: str, judge: TrainedJudge, table: _Table) -> tuple[Probabilities, Probabilities | None]:
    """Calibrate out-of-fold rows, in both orders, by calibrators that had not seen them.

    The calibrator that came with the training is fitted anew on the other folds; those that came later were fitted on
    other votes and are taken as they are.
    """
    held, calibrator = judge.fitted.out_of_fold, judge.fitted.calibrator
    if calibrator.by:
        raise DataError(
            f"judge {name!r} is calibrated by {', '.join(calibrator.by)}, which its out-of-fold rows lack; give votes "
            "that no judge has seen with --input, or the judge as it was before"
        )
    method = judge.recipe.calibration.method
    parts = calibrator.parts if isinstance(calibrator, Chain) else (calibrator,)
    later = parts[1:] if method != "none" or parts[0].method == "none" else parts

    def _calibrate(p: Probabilities) -> Probabilities:
        if method != "none":
            fitted_on = (method, held.raw, held.targets, held.weights, calibration_folds(held, judge.recipe.seed))
            p = crossfit_calibrate(*fitted_on, p, clusters=held.clusters)
        # later calibrators were fitted on other votes, and had not seen these rows either
        for part in later:
            p = part.transform(p)
        return np.asarray(p[table.rows])

    p = _calibrate(held.raw)
    if held.swapped is None:
        return table.in_order(p), None
    q, swapped = _calibrate(held.swapped), table.swapped[:, None]
    return np.where(swapped, q, p), np.where(swapped, p, q)


def _stack_swapped(pairs: Sequence[tuple[Probabilities, Probabilities | None]]) -> Floats | None:
    if all(swapped is None for _, swapped in pairs):
        return None
    return np.stack([swap_columns(p) if swapped is None else swapped for p, swapped in pairs])


def _join_clusters(clusters: Sequence[Ints]) -> Ints:
    """Join clusters such that rows are together that any judge found alike."""
    n = len(clusters[0])
    numbers = [np.unique(part, return_inverse=True)[1] for part in clusters]
    starts = np.cumsum([n, *(int(part.max()) + 1 for part in numbers)])
    columns = np.concatenate([part + start for part, start in zip(numbers, starts, strict=False)])
    rows = np.tile(np.arange(n), len(clusters))
    size = int(starts[-1])
    # a bipartite graph of rows and clusters: rows joined by any judge are one connected component
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(size, size))
    return np.unique(connected_components(graph, directed=False)[1][:n], return_inverse=True)[1].astype(np.int64)


def _describe_nothing_shared(judges: Mapping[str, TrainedJudge]) -> str:
    tables = {name: judge.fitted.out_of_fold for name, judge in judges.items()}
    counts = "; ".join(
        f"{name!r} has {len(table):,}: {', '.join(map(repr, table.ids[:_NAMED]))} ..." for name, table in tables.items()
    )
    names = set.intersection(*(set(table.ids) for table in tables.values()))
    hint = f" {len(names):,} ids occur in all of them, with other texts;" if names else ""
    return (
        f"the judges have no out-of-fold row in common, by id and texts ({counts});{hint} train them on the same "
        "votes, or give votes that none of them has seen with --input"
    )
