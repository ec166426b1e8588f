"""The baseline family: boosted trees and a sparse linear model over features of the pair, stacked. No torch."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from safetensors.numpy import load_file, save_file

from votecast.calibration.tie_models import prior_closeness
from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.errors import JudgeError
from votecast.features import PairFeatures, extract
from votecast.models.base import Model
from votecast.models.boosting import Held, Trees, TreeSettings, Views
from votecast.models.linear import Design, LinearSettings, LinearWeights
from votecast.models.reduction import Reduction, ReductionSettings
from votecast.models.stacking import Blend, Scores, inner_folds
from votecast.types import Floats, Probabilities, Run

logger = logging.getLogger(__name__)

TREES, LINEAR, REDUCTION, MODEL = "trees.txt", "linear.safetensors", "reduction.safetensors", "model.json"
_FEW_ROUNDS = 50


class BaselineSettings(Settings):
    """Settings of the baseline judge.

    Args:
        trees: Settings of the boosted trees.
        linear: Settings of the linear model.
        reduction: Settings of the reduced differences in words and characters that the trees see.
        inner_folds: Folds, grouped by prompt, by which the rounds of boosting and the blend of the models are chosen.
        held_rows: Held-out rows that are enough to choose them; once there are as many, no more inner folds are run.
        threads: Threads for features and trees; 0 uses all cores. The result does not depend on it.
    """

    trees: TreeSettings = TreeSettings()
    linear: LinearSettings = LinearSettings()
    reduction: ReductionSettings = ReductionSettings()
    inner_folds: int = Field(3, ge=2, le=20)
    held_rows: int = Field(12_000, ge=1)
    threads: int = Field(0, ge=0, le=1024)


@dataclass(frozen=True)
class PreparedFeatures:
    """Features of battles; computed once, cut into folds many times.

    Args:
        features: The features.
    """

    features: PairFeatures

    def __len__(self) -> int:
        return len(self.features)

    def take(self, indices: ArrayLike) -> PreparedFeatures:
        """Return the battles at these positions, in this order."""
        return PreparedFeatures(self.features.take(indices))


@dataclass(frozen=True)
class Contributions:
    """Terms of the strength and the closeness that a baseline predicts.

    The prediction is Davidson's model of `strength.sum(axis=1)` and `base + closeness.sum(axis=1)`.

    Args:
        names: Names of the columns of trees and linear model; "terms" are all hashed words together.
        strength: What each column adds to the strength, shape (n, columns); swapping the answers changes its sign.
        closeness: What each column adds to the closeness, shape (n, columns); swapping the answers changes nothing.
        base: The closeness that all battles start from.
    """

    names: tuple[str, ...]
    strength: NDArray[np.float64]
    closeness: NDArray[np.float64]
    base: float


class BaselineModel(Model[PreparedFeatures]):
    """Boosted trees and a linear model over features of the pair, stacked on out-of-fold predictions.

    Both models give every battle a strength, which changes its sign when the answers are swapped, and a closeness,
    which does not change; so swapping the answers swaps columns a and b exactly, for every input.

    Args:
        settings: Settings of the baseline.
        seed: Seed of every draw.

    Example:
        >>> from votecast.data.battles import Battles
        >>> rows = [
        ...     {"prompt": str(i), "response_a": "No.", "response_b": "Yes, " * i, "winner": "b"} for i in range(40)
        ... ]
        >>> battles = Battles.from_rows(rows)
        >>> model = BaselineModel(seed=0).fit(battles, battles.targets(), battles.weights())
        >>> p = model.predict(battles)
        >>> from votecast.types import swap_columns
        >>> bool((swap_columns(model.predict(battles.swapped())) == p).all())
        True
    """

    settings_type: ClassVar[type[Settings]] = BaselineSettings
    settings: BaselineSettings

    def __init__(self, settings: Settings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self._fitted: _Fitted | None = None

    def prepare(self, battles: Battles | Any) -> PreparedFeatures:
        """Compute the features of battles."""
        return PreparedFeatures(extract(as_battles(battles), threads=self.settings.threads))

    def fit(
        self,
        prepared: PreparedFeatures | Battles,
        targets: Probabilities,
        weights: Floats,
        groups: NDArray[np.int64] | None = None,
        run: Run = Run(),  # noqa: ARG002
    ) -> Self:
        """Learn from votes.

        Args:
            prepared: Battles, or what `prepare` made of them.
            targets: Soft labels, shape (n, 3).
            weights: How much each row counts, shape (n,).
            groups: Rows of one group share a prompt, shape (n,); None takes every row as a group of its own.
            run: Not used: a fit takes minutes, and begins again after a kill.

        Raises:
            JudgeError: If there are no rows, or all weights are 0.
        """
        features = self._features(prepared)
        if not len(features) or not weights.sum() > 0:
            raise JudgeError(
                f"the baseline was given {len(features)} battles of weight {float(weights.sum())} in all; "
                "it learns from at least one battle with a weight above 0"
            )
        settings = self.settings
        reduction = Reduction.fit(features, settings.reduction)
        views, design = Views.of(features, reduction), Design.of(features)
        data = _TrainingRows(views, design, targets, weights)
        fold = inner_folds(np.arange(len(features)) if groups is None else groups, settings.inner_folds, self.seed)
        base = prior_closeness(targets, weights)
        parts = [np.flatnonzero(fold == number) for number in range(int(fold.max()) + 1)]
        parts = [part for part in parts if weights[part].sum() > 0]
        blend, rounds = Blend((0.5, 0.5), (0.5, 0.5), base), min(_FEW_ROUNDS, settings.trees.rounds)
        if len(parts) > 1:
            blend, rounds = self._fit_blend(data, parts, base)
        trees = self._fit_trees(data, rounds)
        linear = LinearWeights.fit(data.design, targets, weights, settings.linear)
        logger.info("baseline: %d rounds, blend %s", rounds, blend)
        self._fitted = _Fitted(reduction, trees, linear, blend)
        return self

    def _fit_blend(self, data: _TrainingRows, parts: list[NDArray[np.int64]], base: float) -> tuple[Blend, int]:
        """Predict inner folds by models of the others; find the best number of rounds, and the blend at it."""
        settings, all_rows = self.settings, np.concatenate(parts)
        enough = int(np.searchsorted(np.cumsum([len(part) for part in parts]), settings.held_rows)) + 1
        parts = parts[:enough]
        boosters, curves, linear_scores = [], [], []
        for part in parts:
            train, valid = data.take(np.setdiff1d(all_rows, part)), data.take(part)
            held = Held(valid.views, valid.targets, valid.weights, settings.trees.patience)
            boosters.append(self._fit_trees(train, settings.trees.rounds, held))
            curves.append(held.losses)
            linear = LinearWeights.fit(train.design, train.targets, train.weights, settings.linear)
            linear_scores.append(linear.strength(valid.design))
        shortest = min(map(len, curves))
        shares = [data.weights[part].sum() for part in parts]
        losses = np.average([curve[:shortest] for curve in curves], axis=0, weights=shares)
        rounds = 1 + int(np.argmin(losses)) if shortest else 1  # a part too small to split at all has no curve
        tree_scores = [
            trees.strength(data.views.take(part), rounds) for trees, part in zip(boosters, parts, strict=True)
        ]
        scores = (_concat_scores(tree_scores), _concat_scores(linear_scores))
        rows = np.concatenate(parts)
        return Blend.fit(scores, data.targets[rows], data.weights[rows], base), rounds

    def _fit_trees(self, data: _TrainingRows, rounds: int, held: Held | None = None) -> Trees:
        settings = self.settings
        options = {"rounds": rounds, "seed": self.seed, "threads": settings.threads}
        return Trees.fit(data.views, data.targets, data.weights, settings.trees, held=held, **options)

    def predict(self, prepared: PreparedFeatures | Battles) -> Probabilities:
        """Predict votes, uncalibrated.

        Args:
            prepared: Battles, or what `prepare` made of them.

        Returns:
            Probabilities of shape (n, 3); each row depends on that row's texts alone.

        Raises:
            JudgeError: Before the first `fit`.
        """
        fitted, features = self._check_fitted(), self._features(prepared)
        if not len(features):
            return np.zeros((0, 3))
        views, design = Views.of(features, fitted.reduction), Design.of(features)
        return fitted.blend.predict(fitted.trees.strength(views), fitted.linear.strength(design))

    def contributions(self, prepared: PreparedFeatures | Battles) -> Contributions:
        """Return what every column adds to strength and closeness, battle by battle.

        Raises:
            JudgeError: Before the first `fit`.
        """
        fitted, features = self._check_fitted(), self._features(prepared)
        views, design, blend = Views.of(features, fitted.reduction), Design.of(features), fitted.blend
        s, t, start = fitted.trees.contributions(views)
        more_s, more_t = fitted.linear.contributions(design)
        gaps, means = ([f"{kind}_{name}" for name in features.names] for kind in ("gap", "own"))
        return Contributions(
            (*views.names, "terms", *gaps, *means, *features.shared_names),
            np.concatenate([blend.strength[0] * s, blend.strength[1] * more_s], axis=1),
            np.concatenate([blend.closeness[0] * t, blend.closeness[1] * more_t], axis=1),
            blend.base + blend.closeness[0] * start,
        )

    def _check_fitted(self) -> _Fitted:
        if self._fitted is None:
            raise JudgeError("the baseline has not been fitted; call fit(battles, targets, weights) or load a judge")
        return self._fitted

    def _features(self, prepared: PreparedFeatures | Battles) -> PairFeatures:
        return prepared.features if isinstance(prepared, PreparedFeatures) else self.prepare(prepared).features

    def save(self, folder: Path) -> None:
        """Write trees, linear weights and blend into an existing folder.

        Raises:
            JudgeError: Before the first `fit`.
        """
        fitted = self._check_fitted()
        trees, blend, arrays = fitted.trees, fitted.blend, fitted.linear.arrays()
        (folder / TREES).write_text(trees.text(), "utf-8")
        small = {name: arrays[name].astype(np.float16) for name in ("terms", "apart")}
        for name, kept in ((LINEAR, arrays | small), (REDUCTION, fitted.reduction.arrays())):
            save_file({key: np.ascontiguousarray(array) for key, array in kept.items()}, folder / name)
        facts = {"strength": blend.strength, "closeness": blend.closeness, "base": blend.base, "trees_base": trees.base}
        (folder / MODEL).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")

    def _restore(self, folder: Path) -> None:
        facts = json.loads((folder / MODEL).read_text("utf-8"))
        blend = Blend(tuple(facts["strength"]), tuple(facts["closeness"]), facts["base"])
        arrays = load_file(folder / LINEAR)
        small = {name: arrays[name].astype(np.float32) for name in ("terms", "apart")}
        linear = LinearWeights.from_arrays(arrays | small)
        trees = Trees.read(folder / TREES, facts["trees_base"], self.settings.threads)
        reduction = Reduction.from_arrays(load_file(folder / REDUCTION))
        self._fitted = _Fitted(reduction, trees, linear, blend)


@dataclass(frozen=True)
class _Fitted:
    """What a baseline has learnt."""

    reduction: Reduction
    trees: Trees
    linear: LinearWeights
    blend: Blend


@dataclass(frozen=True)
class _TrainingRows:
    """Battles laid out for both models, with their votes."""

    views: Views
    design: Design
    targets: Probabilities
    weights: Floats

    def take(self, rows: NDArray[np.int64]) -> _TrainingRows:
        return _TrainingRows(self.views.take(rows), self.design.take(rows), self.targets[rows], self.weights[rows])


def _concat_scores(scores: list[Scores]) -> Scores:
    return np.concatenate([s for s, _ in scores]), np.concatenate([t for _, t in scores])
