"""Fit a judge over folds: fresh members, out-of-fold predictions, a calibrator fitted on nothing else.

`TrainedJudge.fit` calls it. With a folder to work in, finished folds survive a kill and are not fitted again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from votecast import __version__
from votecast.artifacts import is_whole, write_part
from votecast.calibration import make_calibrator
from votecast.config import current_launch
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.work_folder import begin_work, keep_commit
from votecast.errors import ConfigError, DataError
from votecast.judges.held_out_shards import DONE, Both, predict_in_shards, read_predictions, write_predictions
from votecast.judges.out_of_fold import Fitted, OutOfFold, check_distributions, describe_votes
from votecast.judges.recipe import Recipe
from votecast.models.base import Model, Prepared
from votecast.models.registry import family
from votecast.splits import Folds, PromptHashes, make_folds
from votecast.splits.settings import only_beyond
from votecast.text.truncation import TruncationReport
from votecast.types import Ints, Probabilities, Run, swap_columns

MEMBER = "member"
SAME = 1e-6
"""Predictions for swapped responses that differ by less are the same."""

_PROBED_ROWS = 256
"""Rows on which a family that claims not to see the order is checked."""

_NOT_OF_A_FOLD = {"name", "description", "calibration", "final"}
"""Settings that no single fold depends on: a resumed run reuses finished folds even if these changed."""


def fit_over_folds(recipe: Recipe, battles: Battles, folds: Folds | None, run: Run) -> Fitted:
    """Fit one member per fold on the other folds, predict its fold, calibrate, then fit what is kept.

    `folds` are made as the recipe says where None; finished folds in `run.folder` are not fitted again.

    Raises:
        DataError: If a row has no vote, or there are too few rows for the folds.
        ConfigError: If the recipe names a fold that does not exist, or `run.folder` holds work of another recipe.
        JudgeError: If a member predicts something that is not a probability.
    """
    if recipe.final == "average_weights":
        family(recipe.family)(recipe.model, seed=recipe.seed).check_averaged()
    drawn = sample_rows(battles, recipe.rows, seed=recipe.seed)
    if len(drawn) < len(battles):
        battles, folds = battles.take(drawn), folds and replace(folds, assignment=folds.assignment[drawn])
    run.progress("finding near-duplicate prompts", 0, 1)
    clusters = prompt_clusters(battles, similarity=recipe.folds.similarity, seed=recipe.seed)
    inputs = hash_inputs(battles, folds)
    folds = folds or make_folds(battles, recipe.folds, clusters=clusters)
    only, refit = recipe.folds.only, recipe.final == "refit"
    if only is not None and only >= folds.n:
        raise ConfigError(only_beyond(only, folds.n))
    parts = [(number, *rows) for number, rows in enumerate(folds.parts()) if only in (None, number)]

    fitter = _Fitter(recipe, battles, clusters, inputs, run)
    steps, found = len(parts) + refit, list[Both]()
    for number, train, held_out in parts:
        run.progress("training", len(found), steps)
        place = f"{len(found) + 1} of {steps}"
        found.append(fitter.fit_part(f"fold_{number}", train, held_out, keep=not refit, place=place))
    if refit:
        run.progress("training on all rows", len(found), steps)
        fitter.fit_part("all", np.arange(len(battles)), np.arange(0), keep=True, place=f"{steps} of {steps}")
    run.progress("training", steps, steps)
    if recipe.final == "average_weights":
        fitter.members, fitter.stored = [type(fitter.members[0]).averaged(fitter.members)], []

    held = fitter.out_of_fold([(number, rows) for number, _, rows in parts], found)
    described = folds.to_dict() | ({} if only is None else {"only": only})
    # rows whose prompt, or one like it, was among the rows their member was trained on
    described["seen_prompts"] = sum(int(np.isin(clusters[rows], clusters[train]).sum()) for _, train, rows in parts)
    facts = describe_votes(battles, fitter.targets) | {"folds": described, "prompt_clusters": int(clusters.max()) + 1}
    # positions among the battles as they were given, before rows were drawn
    held = replace(held, rows=drawn[held.rows])
    return fitter.calibrated(held, PromptHashes.of(battles, seed=recipe.seed), facts)


def fit_with_valid(recipe: Recipe, battles: Battles, valid: Battles, run: Run) -> Fitted:
    """Fit one member on `battles` and calibrate it on `valid`, which takes the place of folds.

    Raises:
        LeakError: If a prompt of `valid` is among the training prompts.
        ConfigError: If `run.folder` holds work of another recipe or other data.
    """
    drawn = sample_rows(battles, recipe.rows, seed=recipe.seed)
    if len(drawn) < len(battles):
        battles = battles.take(drawn)
    hashes = PromptHashes.of(battles, seed=recipe.seed)
    hashes.check(valid)
    both = Battles.concat([battles, valid])
    clusters = prompt_clusters(both, similarity=recipe.folds.similarity, seed=recipe.seed)
    fitter = _Fitter(recipe, both, clusters, hash_inputs(both, None), run)
    train, held_out = np.split(np.arange(len(both)), [len(battles)])
    run.progress("training", 0, 1)
    found = fitter.fit_part("fold_0", train, held_out, keep=True)
    run.progress("training", 1, 1)
    held = fitter.out_of_fold([(0, held_out)], [found])
    seen = np.isin(held.clusters, clusters[train])  # near-duplicates only: the same prompts were refused above
    described = {"method": "given validation rows", "n": 1, "seen_prompts": int(seen.sum())}
    described["seen_clusters"] = np.unique(held.clusters[seen]).tolist()
    facts = describe_votes(battles, battles.targets()) | {"folds": described}
    return fitter.calibrated(held, hashes.joined(valid), facts)


def sample_rows(battles: Battles, rows: int | None, *, seed: int) -> Ints:
    """Draw rows such that every label keeps its share to within one row; return their positions, rising.

    Args:
        battles: The rows; a soft label counts for its largest class.
        rows: How many to draw at most; None draws all.
        seed: Seed of the draw.

    Example:
        >>> votes = [{"prompt": "?", "response_a": "x", "response_b": "y", "winner": "ab"[i % 2]} for i in range(20)]
        >>> drawn = sample_rows(Battles.from_rows(votes), 10, seed=0)
        >>> np.bincount(drawn % 2).tolist()
        [5, 5]
    """
    if rows is None or rows >= len(battles):
        return np.arange(len(battles))
    targets = battles.targets(required=False)  # (n, 3)
    label = np.where(targets.sum(axis=1) > 0, targets.argmax(axis=1), targets.shape[1])
    shuffled = np.random.default_rng(seed).permutation(len(label))
    order = shuffled[np.argsort(label[shuffled], kind="stable")]
    marks = (np.arange(rows) * len(label) + len(label) // 2) // rows  # evenly over the labels, one after the other
    return np.sort(order[marks])


def hash_inputs(battles: Battles, folds: Folds | None) -> dict[str, str | None]:
    """Return the SHA-256 of all that a fit takes from the battles, and of the folds if these were given."""
    digest = hashlib.sha256()
    for values in (battles.ids, battles.content_hashes(), battles.column("source").to_pylist()):
        digest.update(json.dumps(values).encode())
    for array in (battles.targets(), battles.weights()):
        digest.update(np.ascontiguousarray(array).tobytes())
    given = None if folds is None else hashlib.sha256(folds.assignment.astype(np.int64).tobytes()).hexdigest()
    return {"battles": digest.hexdigest(), "folds": given}


class _Fitter:
    """Battles prepared once, the members fitted on parts of them, and the folders in which these are stored."""

    def __init__(
        self, recipe: Recipe, battles: Battles, clusters: Ints, inputs: dict[str, str | None], run: Run
    ) -> None:
        if run.folder is not None:
            settings = {key: value for key, value in recipe.dump().items() if key not in _NOT_OF_A_FOLD}
            settings["folds"] = {key: value for key, value in settings["folds"].items() if key != "only"}
            versions = {"votecast": __version__} | family(recipe.family).versions()
            begin_work(run.folder, {"recipe": settings, "data": inputs, "versions": versions})
        self.recipe, self.battles, self.clusters, self.inputs, self.run = recipe, battles, clusters, inputs, run
        self.targets, self.weights = battles.targets(), battles.weights()
        if not self.weights.sum() > 0:
            raise DataError("the weights of all rows are 0; at least one row must count")
        run.progress("preparing", 0, 1)
        self.model = self._new_member()
        if (commit := self.model.commit) is not None:  # a branch may move between folds, or before a run is resumed
            commit = commit if run.folder is None else keep_commit(run.folder, commit)
            pinned = recipe.model.model_copy(update={"revision": commit})
            self.recipe = recipe.model_copy(update={"model": pinned})
            self.model = self._new_member()
        self.prepared = self.model.prepare(battles)
        self._prepared_swapped: Prepared | None = None
        self.members: list[Model] = []
        self.stored: list[Path] = []

    def _new_member(self) -> Model:
        return family(self.recipe.family)(self.recipe.model, seed=self.recipe.seed)

    @cached_property
    def cut(self) -> TruncationReport | None:
        """What was truncated of the battles."""
        return self.model.truncation(self.prepared)

    def fit_part(self, name: str, train: Ints, held_out: Ints, *, keep: bool, place: str = "") -> Both:
        """Fit a member on some rows and predict others, unless an earlier run has done so.

        Only a member that is kept is written beside its predictions. `place` says which of all parts it is.
        """
        recipe, run, is_main = self.recipe, self.run.within(name, place), current_launch().is_main
        done = None if run.folder is None else run.folder / DONE
        # a finished part of an earlier run; one whose hashes do not match is fitted again
        if done is not None and is_whole(done) and (not keep or (done / MEMBER).is_dir()):
            found = read_predictions(done)
            if keep:
                self.members.append(family(recipe.family).load(done / MEMBER, recipe.model, seed=recipe.seed))
                self.members[-1].release()
        else:
            if run.folder is not None:
                run.folder.mkdir(parents=True, exist_ok=True)
            member = self._new_member()
            few = np.sort(np.random.default_rng(recipe.seed).permutation(held_out)[: member.eval_rows])
            if len(few):
                member.watch(self.prepared.take(few), self.targets[few], self.weights[few])
            rows = self.targets[train], self.weights[train], self.clusters[train]
            member = member.fit(self.prepared.take(train), *rows, run)
            found = self._predict_held_out(member, held_out, run)
            member.release()
            self.members += [member] if keep else []
            if done is not None and is_main:
                write_part(done, partial(_write_part, found=found, member=member if keep else None))
        if keep and done is not None:
            self.stored.append(done / MEMBER)
        if run.folder is not None and is_main:
            for path in run.folder.iterdir():  # checkpoints, and what a killed write left
                if path.name != DONE:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return found

    def _predict_held_out(self, member: Model, held_out: Ints, run: Run) -> Both:
        """Predict held-out rows in both orders; the processes of a launch share them."""
        if not len(held_out):
            return np.empty((0, 3)), np.empty((0, 3))
        lengths = None if self.cut is None else self.cut.kept[held_out].sum(axis=1)
        return predict_in_shards(partial(self._predict_both, member, held_out), lengths, len(held_out), run)

    def _predict_both(self, member: Model, held_out: Ints, some: Ints, shards: int) -> Both:
        """Predict some held-out rows in both orders; only a few swapped ones for a family that ignores the order."""
        name, rows = self.recipe.name, held_out[some]
        raw = check_distributions(member.predict(self.prepared.take(rows)), name)
        reads_order = any(leaf.order_matters and not leaf.averages_orders for leaf in member.leaves())
        if member.order_matters and not reads_order:
            return raw, swap_columns(raw)  # the mean over both orders is the same in either
        if not reads_order:
            # a few rows show whether the family keeps that promise, at a fraction of the time
            few = rows[: -(-_PROBED_ROWS // shards)]
            probed = self.model.prepare(self.battles.take(few).swapped())
            if _order_gap(raw[: len(few)], check_distributions(member.predict(probed), name)) <= SAME:
                return raw, swap_columns(raw)
        if self._prepared_swapped is None:
            self._prepared_swapped = self.model.prepare(self.battles.swapped())
        return raw, check_distributions(member.predict(self._prepared_swapped.take(rows)), name)

    def out_of_fold(self, folds: Sequence[tuple[int, Ints]], found: Sequence[Both]) -> OutOfFold:
        """Join the predictions of folds, each given by its number and rows, in the order of the rows."""
        rows = np.concatenate([rows for _, rows in folds])
        fold = np.concatenate([np.full(len(rows), number) for number, rows in folds])
        order = np.argsort(rows, kind="stable")
        rows, fold = rows[order], fold[order]
        raw, swapped = (np.concatenate(each)[order] for each in zip(*found, strict=True))  # (n, 3)
        every = len(rows) == len(self.battles)  # then in their order: content hashes are known already
        return OutOfFold.of_battles(
            self.battles if every else self.battles.take(rows),
            raw,
            fold=fold,
            clusters=self.clusters[rows],
            swapped=None if _order_gap(raw, swapped) <= SAME else swapped,
            rows=rows,
        )

    def calibrated(self, held: OutOfFold, hashes: PromptHashes, facts: dict[str, object]) -> Fitted:
        """Calibrate on the out-of-fold rows, and join the parts of the judge."""
        facts |= {"inputs": self.inputs} | ({} if self.cut is None else {"cut": self.cut.to_dict()})
        calibrator = make_calibrator(self.recipe.calibration.method)
        calibrator.fit(held.raw, held.targets, held.weights, clusters=held.clusters)
        return Fitted(self.members, calibrator, held, hashes, facts, tuple(self.stored))


def _order_gap(raw: Probabilities, swapped: Probabilities) -> float:
    """Return the largest difference of a probability between both orders of the responses."""
    return float(np.abs(swap_columns(swapped) - raw).max(initial=0))


def _write_part(folder: Path, found: Both, member: Model | None) -> None:
    """Write predictions, and the member if it is kept."""
    if member is not None:
        (folder / MEMBER).mkdir()
        member.save(folder / MEMBER)
    write_predictions(folder, found)
