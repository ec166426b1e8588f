"""Fit a judge over folds: fresh members, out-of-fold predictions, a calibrator fitted on nothing else.

`TrainedJudge.fit` calls it. With a folder to work in, finished folds survive a kill and are not fitted again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from votecast import __version__
from votecast.artifacts import is_whole, write_part
from votecast.calibration import Calibrator, make_calibrator
from votecast.config import current_launch
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.work_folder import begin_work
from votecast.errors import ConfigError, DataError
from votecast.judges.out_of_fold import Fitted, OutOfFold, check_distributions, describe_votes
from votecast.judges.recipe import Recipe
from votecast.models.base import Model
from votecast.models.registry import family
from votecast.splits import Folds, PromptHashes, make_folds
from votecast.splits.settings import only_beyond
from votecast.types import Probabilities, Run, swap_columns

DONE, MEMBER, PREDICTIONS = "done", "member", "predictions.safetensors"
SAME = 1e-6
"""Predictions for swapped responses that differ by less are the same."""

_PROBED_ROWS = 256
"""Rows on which a family that claims not to see the order is checked."""

_NOT_OF_A_FOLD = {"name", "description", "calibration", "final"}
"""Settings on which no single fold depends: finished folds are used again although these changed."""

Rows = NDArray[np.int64]


def fit_over_folds(recipe: Recipe, battles: Battles, folds: Folds | None, run: Run) -> Fitted:
    """Fit one member per fold on the other folds, predict its fold, calibrate, then fit what is kept.

    Args:
        recipe: The settings.
        battles: Rows with votes.
        folds: Folds to use; None makes them as the recipe says.
        run: Folder with the finished folds of an earlier run, which are not fitted again, and progress callback.

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
    only = recipe.folds.only
    if only is not None and only >= folds.n:
        raise ConfigError(only_beyond(only, folds.n))
    parts = [(number, *rows) for number, rows in enumerate(folds.parts()) if only in (None, number)]
    _begin_or_resume(run, recipe, inputs)

    fitter = _FoldFitter(recipe, battles, clusters, run)
    refit, steps = recipe.final == "refit", len(parts) + (recipe.final == "refit")
    done: list[_Part] = []
    for number, train, held_out in parts:
        run.progress("training", len(done), steps)
        done.append(fitter.fit_part(f"fold_{number}", train, held_out, keep=not refit))
    kept = done
    if refit:
        run.progress("training on all rows", len(done), steps)
        kept = [fitter.fit_part("all", np.arange(len(battles)), np.arange(0), keep=True)]
    run.progress("training", steps, steps)

    held = fitter.out_of_fold([(number, rows, part) for (number, _, rows), part in zip(parts, done, strict=True)])
    members = [part.member for part in kept if part.member is not None]
    stored = tuple(part.stored for part in kept if part.stored is not None)
    if recipe.final == "average_weights":
        members, stored = [type(members[0]).averaged(members)], ()
    described = folds.to_dict() | ({} if only is None else {"only": only})
    # rows whose prompt, or one like it, was among the rows their member was trained on
    described["seen_prompts"] = sum(int(np.isin(clusters[rows], clusters[train]).sum()) for _, train, rows in parts)
    facts = describe_votes(battles, fitter.targets) | {"folds": described, "prompt_clusters": int(clusters.max()) + 1}
    facts |= {"inputs": inputs} | fitter.truncation_facts()
    calibrator = _fit_calibrator(recipe, held)
    hashes = PromptHashes.of(battles, seed=recipe.seed)
    # positions among the battles as they were given, before rows were drawn
    return Fitted(members, calibrator, replace(held, rows=drawn[held.rows]), hashes, facts, stored)


def fit_with_valid(recipe: Recipe, battles: Battles, valid: Battles, run: Run) -> Fitted:
    """Fit one member on `battles` and calibrate it on `valid`, which takes the place of folds.

    The judge recognises the prompts of both.

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
    inputs = hash_inputs(both, None)
    _begin_or_resume(run, recipe, inputs)
    clusters = prompt_clusters(both, similarity=recipe.folds.similarity, seed=recipe.seed)
    fitter = _FoldFitter(recipe, both, clusters, run)
    train, held_out = np.split(np.arange(len(both)), [len(battles)])
    run.progress("training", 0, 1)
    part = fitter.fit_part("fold_0", train, held_out, keep=True)
    run.progress("training", 1, 1)
    held = fitter.out_of_fold([(0, held_out, part)])
    seen = np.isin(held.clusters, clusters[train])  # near-duplicates only: the same prompts were refused above
    described = {"method": "given validation rows", "n": 1, "seen_prompts": int(seen.sum())}
    described["seen_clusters"] = np.unique(held.clusters[seen]).tolist()
    facts = (
        describe_votes(battles, battles.targets()) | {"folds": described, "inputs": inputs} | fitter.truncation_facts()
    )
    members = [] if part.member is None else [part.member]
    stored = () if part.stored is None else (part.stored,)
    return Fitted(members, _fit_calibrator(recipe, held), held, hashes.joined(valid), facts, stored)


def sample_rows(battles: Battles, rows: int | None, *, seed: int) -> Rows:
    """Draw rows such that every label keeps its share to within one row.

    Args:
        battles: The rows; a soft label counts for its largest class.
        rows: How many to draw at most; None draws all.
        seed: Seed of the draw.

    Returns:
        Positions of the rows, rising.

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
    """Hash everything that a fit takes from the battles, and the folds if these were given.

    Args:
        battles: Cleaned rows with votes.
        folds: Folds that were not made from the recipe.

    Returns:
        SHA-256 of the battles, and of the folds or None.
    """
    digest = hashlib.sha256()
    for values in (battles.ids, battles.content_hashes(), battles.column("source").to_pylist()):
        digest.update(json.dumps(values).encode())
    for array in (battles.targets(), battles.weights()):
        digest.update(np.ascontiguousarray(array).tobytes())
    given = None if folds is None else hashlib.sha256(folds.assignment.astype(np.int64).tobytes()).hexdigest()
    return {"battles": digest.hexdigest(), "folds": given}


@dataclass(frozen=True)
class _Part:
    """One fitted member and its predictions for the held-out rows, both uncalibrated and of shape (n, 3)."""

    raw: Probabilities
    swapped: Probabilities
    member: Model | None
    stored: Path | None = None


class _FoldFitter:
    """The battles prepared once, and members fitted on parts of them."""

    def __init__(self, recipe: Recipe, battles: Battles, clusters: Rows, run: Run) -> None:
        self.recipe, self.battles, self.clusters, self.run = recipe, battles, clusters, run
        self.targets, self.weights = battles.targets(), battles.weights()
        if not self.weights.sum() > 0:
            raise DataError("the weights of all rows are 0; at least one row must count")
        run.progress("preparing", 0, 1)
        self.model = self._new_model()
        self.prepared = self.model.prepare(battles)
        self._prepared_swapped: Any = None

    def fit_part(self, name: str, train: Rows, held_out: Rows, *, keep: bool) -> _Part:
        """Fit a member on some rows and predict others, unless an earlier run has done so.

        Only a member that is kept is written beside its predictions.
        """
        run = self.run.within(name)
        if run.folder is None:
            return self._fit(run, train, held_out, keep=keep)
        done = run.folder / DONE
        if is_whole(done) and (not keep or (done / MEMBER).is_dir()):
            arrays, member = load_file(done / PREDICTIONS), None
            if keep:
                member = family(self.recipe.family).load(done / MEMBER, self.recipe.model, seed=self.recipe.seed)
                member.release()
            part = _Part(arrays["raw"], arrays["swapped"], member, done / MEMBER if keep else None)
        else:
            run.folder.mkdir(parents=True, exist_ok=True)
            part = self._fit(run, train, held_out, keep=keep)
            if current_launch().is_main:
                part = _store(part, done)
        if current_launch().is_main:
            for path in run.folder.iterdir():  # checkpoints, and what a killed write left
                if path.name != DONE:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return part

    def out_of_fold(self, parts: list[tuple[int, Rows, _Part]]) -> OutOfFold:
        """Join the predictions of folds, given as number, held-out rows and predictions, in the order of the rows."""
        rows = np.concatenate([rows for _, rows, _ in parts])
        fold = np.concatenate([np.full(len(rows), number) for number, rows, _ in parts])
        raw = np.concatenate([part.raw for _, _, part in parts])  # (n, 3)
        swapped = np.concatenate([part.swapped for _, _, part in parts])  # (n, 3)
        order = np.argsort(rows, kind="stable")
        rows, fold, raw, swapped = rows[order], fold[order], raw[order], swapped[order]
        every = len(rows) == len(self.battles)  # then in their order: content hashes are known already
        return OutOfFold.of_battles(
            self.battles if every else self.battles.take(rows),
            raw,
            fold=fold,
            clusters=self.clusters[rows],
            swapped=None if _order_gap(raw, swapped) <= SAME else swapped,
            rows=rows,
        )

    def truncation_facts(self) -> dict[str, Any]:
        """Return how much of the texts was truncated, for the record; nothing for a family that reads them whole."""
        cut = self.model.truncation(self.prepared)
        return {} if cut is None else {"cut": cut.to_dict()}

    def _new_model(self) -> Model:
        return family(self.recipe.family)(self.recipe.model, seed=self.recipe.seed)

    def _fit(self, run: Run, train: Rows, held_out: Rows, *, keep: bool) -> _Part:
        rows = self.targets[train], self.weights[train], self.clusters[train]
        member = self._new_model().fit(self.prepared.take(train), *rows, run)
        raw = swapped = np.empty((0, 3))
        if len(held_out):
            raw = self._predict(member, self.prepared.take(held_out))
            swapped = self._predict_swapped(member, held_out, raw)
        member.release()
        return _Part(raw, swapped, member if keep else None)

    def _predict(self, member: Model, prepared: Any) -> Probabilities:
        return check_distributions(member.predict(prepared), self.recipe.name)

    def _predict_swapped(self, member: Model, rows: Rows, raw: Probabilities) -> Probabilities:
        """Predict the swapped battles; only a few of a family that does not see the order, if these agree."""
        if not member.order_matters:
            few = rows[:_PROBED_ROWS]
            found = self._predict(member, self.model.prepare(self.battles.take(few).swapped()))
            if _order_gap(raw[: len(few)], found) <= SAME:
                return swap_columns(raw)
        if self._prepared_swapped is None:
            self._prepared_swapped = self.model.prepare(self.battles.swapped())
        return self._predict(member, self._prepared_swapped.take(rows))


def _order_gap(raw: Probabilities, swapped: Probabilities) -> float:
    """Return the largest difference of a probability between both orders of the responses."""
    return float(np.abs(swap_columns(swapped) - raw).max(initial=0))


def _store(part: _Part, done: Path) -> _Part:
    """Write the predictions, and the member if it is kept, atomically and with hashes."""

    def _write(folder: Path) -> None:
        if part.member is not None:
            (folder / MEMBER).mkdir()
            part.member.save(folder / MEMBER)
        arrays = {"raw": part.raw, "swapped": part.swapped}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / PREDICTIONS)

    write_part(done, _write)
    return part if part.member is None else replace(part, stored=done / MEMBER)


def _begin_or_resume(run: Run, recipe: Recipe, inputs: dict[str, str | None]) -> None:
    """Refuse a folder with work of another recipe, other data or other versions."""
    if run.folder is not None:
        settings = {key: value for key, value in recipe.dump().items() if key not in _NOT_OF_A_FOLD}
        settings["folds"] = {key: value for key, value in settings["folds"].items() if key != "only"}
        versions = {"votecast": __version__} | family(recipe.family).versions()
        begin_work(run.folder, {"recipe": settings, "data": inputs, "versions": versions})


def _fit_calibrator(recipe: Recipe, held: OutOfFold) -> Calibrator:
    calibrator: Calibrator = make_calibrator(recipe.calibration.method)
    return calibrator.fit(held.raw, held.targets, held.weights, clusters=held.clusters)
