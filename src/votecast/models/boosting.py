"""Boosted trees that read each answer beside the other; strength is antisymmetric, closeness symmetric."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from votecast.calibration.tie_models import (
    davidson_curvatures,
    davidson_gradients,
    davidson_loss,
    davidson_probabilities,
    prior_closeness,
)
from votecast.config import Settings
from votecast.errors import ArtifactError, MissingExtraError
from votecast.features import PairFeatures
from votecast.models.reduction import Reduction
from votecast.models.tree_text import check_trees
from votecast.types import Floats, Ints, Probabilities

if TYPE_CHECKING:
    from lightgbm import Booster


class TreeSettings(Settings):
    """Settings of the boosted trees.

    Args:
        rounds: Most rounds of boosting; the number used is chosen on held-out prompts.
        patience: Rounds without improvement on held-out prompts before a fold stops.
        learning_rate: Share of each tree that is added.
        leaves: Most leaves of a tree.
        min_rows: Fewest rows in a leaf (each battle is two rows).
        l2: Penalty on leaf values.
        features: Share of the features that each tree may use.
        rows: Share of the rows that each tree sees.
        bins: Most bins of a feature.
    """

    rounds: int = Field(300, ge=1, le=100_000)
    patience: int = Field(25, ge=1)
    learning_rate: float = Field(0.08, gt=0, le=1)
    leaves: int = Field(8, ge=2, le=4096)
    min_rows: int = Field(60, ge=1)
    l2: float = Field(20.0, ge=0)
    features: float = Field(0.4, gt=0, le=1)
    rows: float = Field(0.7, gt=0, le=1)
    bins: int = Field(63, ge=3, le=255)


@dataclass(frozen=True)
class Views:
    """Each battle as two rows: answer a seen beside b, then, in the second half, answer b seen beside a.

    Args:
        names: Names of the columns.
        rows: Float32 of shape (2n, len(names)).
    """

    names: list[str]
    rows: NDArray[np.float32]

    @classmethod
    def of(cls, features: PairFeatures, reduction: Reduction) -> Self:
        """Arrange the features of battles, and their reduced differences, as the trees read them."""
        # of shape (n, d + k): features first, then components
        gap = np.concatenate([features.a - features.b, reduction.components(features)], axis=1)
        first = np.concatenate([features.a, gap, features.shared], axis=1)
        second = np.concatenate([features.b, -gap, features.shared], axis=1)
        parts = (("words", reduction.words), ("characters", reduction.characters))
        reduced = [f"{name}_{number}" for name, part in parts for number in range(part.shape[1])]
        gaps = (f"gap_{name}" for name in (*features.names, *reduced))
        names = [*(f"own_{name}" for name in features.names), *gaps]
        return cls([*names, *features.shared_names], np.concatenate([first, second]))

    def take(self, rows: Ints) -> Views:
        """Return both rows of the battles at these positions."""
        return Views(self.names, self.rows[np.concatenate([rows, rows + self.rows.shape[0] // 2])])


@dataclass
class Held:
    """Held-out battles on which the loss is measured after every round.

    Args:
        views: The battles.
        targets: Their soft labels, shape (n, 3).
        weights: Their weights, shape (n,).
        patience: Rounds without improvement before boosting stops.
        losses: The loss after each round so far.
    """

    views: Views
    targets: Probabilities
    weights: Floats
    patience: int
    losses: list[float] = field(default_factory=list)

    def measure(self, raw: Floats, _: object, *, base: float) -> tuple[str, float, bool]:
        """Return the loss in LightGBM's form of a metric: name, value, whether higher is better."""
        s, t = paired(raw.reshape(-1, 2))
        return "log_loss", davidson_loss(davidson_probabilities(s, t + base), self.targets, self.weights), False


@dataclass(frozen=True)
class Trees:
    """A booster with two outputs per answer: its strength `f`, and its closeness `g`.

    The strength of a battle is `f(a | b) - f(b | a)` and its closeness is `g(a | b) + g(b | a)` plus a constant.
    Swapping the answers therefore swaps columns a and b, whatever the trees have learned.

    Args:
        booster: The LightGBM booster; None where there was too little to grow a tree from.
        base: The constant part of the closeness.
        threads: Threads to predict with; 0 uses all cores.
    """

    booster: Booster | None
    base: float
    threads: int = 0

    @classmethod
    def fit(
        cls,
        views: Views,
        targets: Probabilities,
        weights: Floats,
        settings: TreeSettings,
        *,
        rounds: int,
        seed: int,
        threads: int,
        held: Held | None = None,
    ) -> Self:
        """Boost for some rounds.

        Args:
            views: The battles, two rows each.
            targets: Soft labels, shape (n, 3).
            weights: Shape (n,).
            settings: Settings of the trees.
            rounds: Rounds of boosting.
            seed: Seed of the draws of rows and features.
            threads: Threads; 0 uses all cores. The result does not depend on it.
            held: Held-out battles; boosting stops when their loss no longer falls.
        """
        lightgbm = load_lightgbm()
        base = prior_closeness(targets, weights)
        # LightGBM needs one column with enough rows beside its most common value, or it does not start
        if not any(np.count_nonzero(column != np.median(column)) >= settings.min_rows for column in views.rows.T):
            return cls(None, base, threads)
        parameters = {
            "objective": "none",
            "num_class": 2,
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.leaves,
            "min_data_in_leaf": settings.min_rows,
            "lambda_l2": settings.l2,
            "feature_fraction": settings.features,
            "bagging_fraction": settings.rows,
            "bagging_freq": 1 if settings.rows < 1 else 0,
            "max_bin": settings.bins,
            "min_sum_hessian_in_leaf": 1e-2,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }
        binning = {"max_bin": settings.bins, "feature_pre_filter": False, "verbosity": -1}
        data = lightgbm.Dataset(views.rows, feature_name=views.names, free_raw_data=True, params=binning)
        booster = lightgbm.Booster(parameters, data)
        if held is not None:
            booster.add_valid(lightgbm.Dataset(held.views.rows, reference=data, params=data.get_params()), "held")
        scale = (weights / weights.mean())[:, None]  # (n, 1)
        objective = partial(_objective, targets=targets, scale=scale, base=base)
        for _ in range(rounds):
            if booster.update(fobj=objective):
                break
            if held is not None:
                held.losses.append(float(booster.eval_valid(feval=partial(held.measure, base=base))[0][2]))
                if len(held.losses) - 1 - int(np.argmin(held.losses)) >= held.patience:
                    break
        booster.free_dataset()
        return cls(booster, base, threads)

    def strength(self, views: Views, rounds: int | None = None) -> tuple[Floats, Floats]:
        """Return strength and closeness (without its constant) of each battle, each of shape (n,)."""
        if self.booster is None:
            nothing = np.zeros(len(views.rows) // 2)
            return nothing, nothing
        raw = self.booster.predict(
            views.rows,
            raw_score=True,
            num_iteration=rounds or -1,
            validate_features=False,
            num_threads=self.threads,
        )
        return paired(np.asarray(raw, dtype=np.float64).reshape(-1, 2))

    def contributions(self, views: Views) -> tuple[Floats, Floats, float]:
        """Return what every column adds to strength and closeness: SHAP values of trees (Lundberg et al. 2020).

        Returns:
            Shares of the strength and of the closeness, each of shape (n, columns), and what every battle's closeness
            starts from; summed, they give `strength`.
        """
        n, columns = len(views.rows) // 2, len(views.names)
        if self.booster is None:
            return np.zeros((n, columns)), np.zeros((n, columns)), 0.0
        found = self.booster.predict(views.rows, pred_contrib=True, validate_features=False, num_threads=self.threads)
        parts = np.asarray(found, dtype=np.float64).reshape(2 * n, 2, columns + 1)  # the last column is the constant
        start = 2.0 * float(parts[0, 1, -1]) if n else 0.0
        return parts[:n, 0, :-1] - parts[n:, 0, :-1], parts[:n, 1, :-1] + parts[n:, 1, :-1], start

    def to_text(self) -> str:
        """Return what predictions need of the booster in LightGBM's text format; empty without one."""
        return write_booster(self.booster)

    @classmethod
    def read(cls, path: Path, base: float, threads: int, columns: int) -> Self:
        """Read a booster in LightGBM's text format that reads so many columns; an empty file is none.

        Raises:
            ArtifactError: If the file is not a booster with two outputs.
        """
        return cls(read_booster(path, columns), base, threads)


def write_booster(booster: Booster | None) -> str:
    """Return what predictions need of a booster in LightGBM's text format; empty without one."""
    return "" if booster is None else check_trees(booster.model_to_string())


def read_booster(path: Path, columns: int) -> Booster | None:
    """Read a booster of two outputs from a file that anybody may have written; an empty file is none.

    Raises:
        ArtifactError: If it is not what `write_booster` returned for a booster of so many columns.
    """
    lightgbm = load_lightgbm()
    try:
        text = check_trees(path.read_text("utf-8"), columns)
        return lightgbm.Booster(model_str=text) if text else None
    except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
        cure = "copy or train the judge again"
        raise ArtifactError(f"{path} cannot be read as a LightGBM model: {error}; {cure}") from error


def paired(raw: Floats) -> tuple[Floats, Floats]:
    """Return strength and closeness from the two outputs of the two views of each battle, shape (2n, 2)."""
    n = raw.shape[0] // 2
    return raw[:n, 0] - raw[n:, 0], raw[:n, 1] + raw[n:, 1]


def load_lightgbm() -> ModuleType:
    """Import LightGBM.

    Raises:
        MissingExtraError: If LightGBM, or the OpenMP runtime it needs, is not installed.
    """
    # threads that spin while they wait make a shared machine ten times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError(f"lightgbm is missing ({error}); install it with: pip install lightgbm") from error
    except OSError as error:
        raise MissingExtraError(
            f"lightgbm needs the OpenMP runtime, which this machine lacks ({error}); install the system package "
            "libgomp1 (Debian, Ubuntu), libgomp (Fedora, Alpine) or libomp (macOS with Homebrew)"
        ) from error
    return lightgbm


def _objective(raw: Floats, _: object, *, targets: Probabilities, scale: Floats, base: float) -> tuple[Floats, Floats]:
    """Gradient and curvature of Davidson's loss in both outputs, each of shape (2n, 2)."""
    s, t = paired(raw.reshape(-1, 2))
    p = davidson_probabilities(s, t + base)
    # a battle is two rows: the second one has the opposite slope in the strength
    ds, dt = (part[:, None] * scale for part in davidson_gradients(p, targets))
    gradient = np.concatenate([np.hstack([ds, dt]), np.hstack([-ds, dt])])
    curvature = np.tile(2 * scale * np.stack(davidson_curvatures(p), axis=1), (2, 1))
    return gradient, np.maximum(curvature, 1e-6)  # LightGBM divides by it
