"""The baseline family: boosted trees and a sparse linear model over features of the pair, stacked. No torch."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from pydantic import Field
from safetensors.numpy import save_file

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
from votecast.models.stacking import Blend, inner_folds
from votecast.types import Floats, Ints, Probabilities, Run

logger = logging.getLogger(__name__)

TREES, LINEAR, REDUCTION, MODEL = "trees.txt", "linear.safetensors", "reduction.safetensors", "model.json"
_MOST = 1e6  # of the numbers of a blend
# of boosting, where a single inner fold leaves nothing to choose them by
_FEW_ROUNDS = 50


class BaselineSettings(Settings):
    """Settings of the baseline judge.

    Args:
        trees: Settings of the boosted trees.
        linear: Settings of the linear model.
        reduction: Settings of the reduced differences in words and characters that the trees see.
        inner_folds: Folds, grouped by prompt, that choose the rounds of boosting and the blend of the models.
        held_rows: Inner folds stop once they have held out this many rows, which are enough to choose both.
        threads: Threads for features and trees; 0 uses all cores. The result does not depend on it.
    """

    trees: TreeSettings = TreeSettings()
    linear: LinearSettings = LinearSettings()
    reduction: ReductionSettings = ReductionSettings()
    inner_folds: int = Field(3, ge=2, le=20)
    held_rows: int = Field(12_000, ge=1)
    threads: int = Field(0, ge=0, le=1024)


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
    strength: Floats
    closeness: Floats
    base: float


class BaselineModel(Model[PairFeatures]):
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
    _fitted: tuple[Reduction, Trees, LinearWeights, Blend] | None = None

    def prepare(self, battles: Battles | PairFeatures | object) -> PairFeatures:
        """Compute the features of battles; features are returned as they are."""
        if isinstance(battles, PairFeatures):
            return battles
        return extract(as_battles(battles), threads=self.settings.threads)

    def fit(
        self,
        prepared: PairFeatures | Battles,
        targets: Probabilities,
        weights: Floats,
        groups: Ints | None = None,
        run: Run = Run(),  # noqa: ARG002
    ) -> Self:
        """Learn from votes; a killed fit, which takes minutes, starts over.

        Raises:
            JudgeError: If there are no rows, or all weights are 0.
        """
        features, settings = self.prepare(prepared), self.settings
        if not len(features) or not weights.sum() > 0:
            raise JudgeError(
                f"the baseline was given {len(features)} battles of weight {float(weights.sum())} in all; "
                "it learns from at least one battle with a weight above 0"
            )
        reduction = Reduction.fit(features, settings.reduction)
        views, design = Views.of(features, reduction), Design.of(features)
        fold = inner_folds(np.arange(len(features)) if groups is None else groups, settings.inner_folds, self.seed)
        parts = [np.flatnonzero(fold == number) for number in range(int(fold.max()) + 1)]
        # a fold whose rows all weigh 0 has no loss
        parts = [part for part in parts if weights[part].sum() > 0]
        blend = Blend((0.5, 0.5), (0.5, 0.5), prior_closeness(targets, weights))
        rounds = min(_FEW_ROUNDS, settings.trees.rounds)
        if len(parts) > 1:
            blend, rounds = self._fit_blend(views, design, targets, weights, parts)
        seed, threads = self.seed, settings.threads
        trees = Trees.fit(views, targets, weights, settings.trees, rounds=rounds, seed=seed, threads=threads)
        linear = LinearWeights.fit(design, targets, weights, settings.linear)
        logger.debug("baseline: %d rounds, blend %s", rounds, blend)
        self._fitted = (reduction, trees, linear, blend)
        return self

    def _fit_blend(
        self, views: Views, design: Design, targets: Probabilities, weights: Floats, parts: list[Ints]
    ) -> tuple[Blend, int]:
        """Predict inner folds by models of the others; find the best number of rounds, and the blend at it."""
        settings, all_rows = self.settings, np.concatenate(parts)
        enough = int(np.searchsorted(np.cumsum([len(part) for part in parts]), settings.held_rows)) + 1
        parts = parts[:enough]
        boosters, curves, linear_scores = [], [], []
        # both models predict the same held-out rows, so that the blend sees how they err together (Wolpert 1992)
        for part in parts:
            rest = np.setdiff1d(all_rows, part)
            held = Held(views.take(part), targets[part], weights[part], settings.trees.patience)
            trees = Trees.fit(
                views.take(rest),
                targets[rest],
                weights[rest],
                settings.trees,
                rounds=settings.trees.rounds,
                seed=self.seed,
                threads=settings.threads,
                held=held,
            )
            boosters.append(trees)
            curves.append(held.losses)
            linear = LinearWeights.fit(design.take(rest), targets[rest], weights[rest], settings.linear)
            linear_scores.append(linear.strength(design.take(part)))
        # folds stop after different numbers of rounds: the mean curve ends with the shortest
        shortest = min(map(len, curves))
        shares = [weights[part].sum() for part in parts]
        losses = np.average([curve[:shortest] for curve in curves], axis=0, weights=shares)
        rounds = 1 + int(np.argmin(losses)) if shortest else 1  # a part too small to split at all has no curve
        tree_scores = [trees.strength(views.take(part), rounds) for trees, part in zip(boosters, parts, strict=True)]
        scores = [
            [np.concatenate(column) for column in zip(*found, strict=True)] for found in (tree_scores, linear_scores)
        ]
        rows, base = np.concatenate(parts), prior_closeness(targets, weights)
        return Blend.fit(scores, targets[rows], weights[rows], base), rounds

    def predict(self, prepared: PairFeatures | Battles) -> Probabilities:
        """Return uncalibrated probabilities of shape (n, 3); each row depends on that row's texts alone."""
        reduction, trees, linear, blend = self._check_fitted()
        features = self.prepare(prepared)
        if not len(features):
            return np.zeros((0, 3))
        return blend.predict(trees.strength(Views.of(features, reduction)), linear.strength(Design.of(features)))

    def contributions(self, prepared: PairFeatures | Battles) -> Contributions:
        """Return what every column adds to strength and closeness, battle by battle.

        Raises:
            JudgeError: Before the first `fit`.
        """
        reduction, trees, linear, blend = self._check_fitted()
        features = self.prepare(prepared)
        views = Views.of(features, reduction)
        s, t, start = trees.contributions(views)
        more_s, more_t = linear.contributions(Design.of(features))
        gaps, means = ([f"{kind}_{name}" for name in features.names] for kind in ("gap", "own"))
        return Contributions(
            (*views.names, "terms", *gaps, *means, *features.shared_names),
            np.concatenate([blend.strength[0] * s, blend.strength[1] * more_s], axis=1),
            np.concatenate([blend.closeness[0] * t, blend.closeness[1] * more_t], axis=1),
            blend.base + blend.closeness[0] * start,
        )

    def _check_fitted(self) -> tuple[Reduction, Trees, LinearWeights, Blend]:
        if self._fitted is None:
            raise JudgeError("the baseline has not been fitted; call fit(battles, targets, weights) or load a judge")
        return self._fitted

    def save(self, folder: Path) -> None:
        """Write trees, linear weights and blend into an existing folder."""
        reduction, trees, linear, blend = self._check_fitted()
        (folder / TREES).write_text(trees.to_text(), "utf-8")
        # LightGBM and safetensors keep every bit; weights of terms are exact in half precision, see LinearWeights.fit
        halves = {"terms": linear.terms.astype(np.float16), "apart": linear.apart.astype(np.float16)}
        save_file(vars(linear) | halves | {"base": np.array([linear.base])}, folder / LINEAR)
        save_file({name: np.ascontiguousarray(array) for name, array in vars(reduction).items()}, folder / REDUCTION)
        facts = {"strength": blend.strength, "closeness": blend.closeness, "base": blend.base, "trees_base": trees.base}
        (folder / MODEL).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")

    def _restore(self, folder: Path) -> None:
        strength, closeness, base, trees_base = _read_numbers(folder / MODEL)
        features = extract(Battles.from_rows([]), threads=1)  # for its columns
        own, shared = len(features.names), len(features.shared_names)
        reduction = Reduction.read(folder / REDUCTION)
        columns = len(Views.of(features, reduction).names)
        self._fitted = (
            reduction,
            Trees.read(folder / TREES, trees_base, self.settings.threads, columns),
            LinearWeights.read(folder / LINEAR, own, 2 * own + shared),
            Blend(strength, closeness, base),
        )


def _read_numbers(path: Path) -> tuple[tuple[float, float], tuple[float, float], float, float]:
    """Return the shares and constants of the blend, and the constant of the trees; ValueError if they are others."""
    facts = json.loads(path.read_text("utf-8"))
    (one, two), (three, four), base, trees_base = (facts[k] for k in ("strength", "closeness", "base", "trees_base"))
    numbers = (one, two, three, four, base, trees_base)
    if not all(type(number) in (int, float) and abs(number) <= _MOST for number in numbers):
        raise ValueError(f"{path.name} should hold finite numbers")
    return (one, two), (three, four), base, trees_base
