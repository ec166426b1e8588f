"""Combine the predictions of several judges: logarithmic pools, and the base class of every combiner.

Ensembles fit and hold one of these; `logistic_stack` and `tree_stack` hold those that are stacked models.

The pool of predictions p_1 .. p_m is proportional to the product of p_i^w_i (Genest and Zidek 1986, eq. 3.1), the
weights at least 0 with sum 1. It is taken and not the arithmetic mean because

- the mean of predictions that are each calibrated is never calibrated: it is too timid (Ranjan and Gneiting 2010,
  theorem 1), and the judges of this package are calibrated already;
- it is the pool that belongs to log loss (Neyman and Roughgarden 2023, "From proper scoring rules to max-min optimal
  forecast aggregation"): it never loses more than the judges do on average, and its loss is a convex function of the
  weights, so that the best weights can be found and proven to be the best.
"""

from __future__ import annotations

import json
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

import numpy as np
from scipy.optimize import minimize

from votecast.calibration.base import softmax
from votecast.errors import ArtifactError, JudgeError
from votecast.types import Floats, Ints, Probabilities

Method = Literal["mean", "weights", "stack", "greedy"]
Stacker = Literal["logistic", "lightgbm"]

COMBINERS: Final = {
    "mean": "votecast.judges.combiners:Mean",
    "weights": "votecast.judges.combiners:Weights",
    "greedy": "votecast.judges.combiners:Greedy",
    "stack/logistic": "votecast.judges.logistic_stack:LogisticStack",
    "stack/lightgbm": "votecast.judges.tree_stack:TreeStack",
}
"""Method, and for stack the model that is stacked on top, to "module:Class"; imported when it is asked for."""

LEAST: Final = 1e-9
"""Probabilities below this count as this much before a logarithm is taken."""

ROWS_PER_PARAMETER: Final = 10
"""Rows needed for each fitted number: fewer would fit noise (Peduzzi et al. 1996)."""

GAP: Final = 1e-7
"""Log loss by which weights may at most exceed the best ones."""

GREEDY_STEPS: Final = 100
"""Judges that greedy selection takes, with repeats, before it looks back for the best moment."""

WEIGHTS_FILE: Final = "weights.json"
_PAIRS: Final = 1000
_NOTHING: Final = 1e-4
"""Weights below this are dropped: the judge need not be asked."""


class Combiner(ABC):
    """A map from the predictions of m judges, shape (m, n, 3), to one, with which swapping the responses commutes.

    Attributes:
        method: The `--method` it belongs to.
    """

    method: ClassVar[str]

    @staticmethod
    def parameters(judges: int) -> int:  # noqa: ARG004
        """Return how many numbers are fitted, each of which needs `ROWS_PER_PARAMETER` rows."""
        return 0

    @abstractmethod
    def fit(self, predictions: Floats, targets: Probabilities, weights: Floats, groups: Ints, seed: int) -> Self:
        """Fit on rows that the judges had not seen.

        Args:
            predictions: Shape (m, n, 3).
            targets: Votes, shape (n, 3).
            weights: Shape (n,).
            groups: Rows of one group share a prompt, shape (n,).
            seed: Seed of every draw.
        """

    @abstractmethod
    def predict(self, predictions: Floats) -> Probabilities:
        """Return one prediction for each battle, shape (n, 3); JudgeError before `fit`."""

    def shares(self) -> list[float] | None:
        """Return the weight of each judge, where there is one; weights are at least 0 and sum to 1."""
        return None

    @abstractmethod
    def described(self) -> dict[str, object]:
        """Return what was fitted, JSON-able, for card and screen."""

    def only(self, kept: Sequence[int]) -> Self:  # noqa: ARG002
        """Return the same combiner for some of the judges, where the others have no weight."""
        return self

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what was fitted into an existing folder."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; predictions are bit-equal. ArtifactError if a file is missing or damaged."""


def damaged(file: Path, error: Exception) -> ArtifactError:
    """Return the error of a file of a combiner that cannot be read."""
    return ArtifactError(f"{file} is damaged: {error}; copy or make the ensemble again")


def combiner(method: Method, stacker: Stacker = "logistic") -> type[Combiner]:
    """Return the class of a method.

    Example:
        >>> combiner("stack", "lightgbm").__name__
        'TreeStack'
    """
    found: type[Combiner] = pkgutil.resolve_name(COMBINERS[f"stack/{stacker}" if method == "stack" else method])
    return found


class Mean(Combiner):
    """Equal weights; nothing is fitted.

    Example:
        >>> two = np.array([[[0.8, 0.1, 0.1]], [[0.2, 0.4, 0.4]]])
        >>> Mean().fit(two, np.eye(3)[[0]], np.ones(1), np.zeros(1, int), 0).predict(two).round(3)
        array([[0.5 , 0.25, 0.25]])
    """

    method: ClassVar[str] = "mean"

    def __init__(self, weights: Floats | None = None) -> None:
        self.weights = weights

    def fit(
        self,
        predictions: Floats,
        targets: Probabilities,
        weights: Floats,
        groups: Ints,  # noqa: ARG002
        seed: int,  # noqa: ARG002 - nothing here is random
    ) -> Self:
        """Find the weights; see `Combiner.fit`."""
        total = float(weights.sum())
        self.weights = self._find_weights(logs(predictions), targets, weights / total if total > 0 else weights)
        return self

    def predict(self, predictions: Floats) -> Probabilities:
        """Return the weighted geometric mean of the predictions, shape (n, 3)."""
        return pool(logs(predictions), self._known())

    def shares(self) -> list[float]:
        """Return the weights."""
        return [float(weight) for weight in self._known()]

    def described(self) -> dict[str, object]:
        """Return the weights, JSON-able."""
        return {"pool": "logarithmic", "weights": self.shares()}

    def only(self, kept: Sequence[int]) -> Self:
        """Return the same pool of some of the judges."""
        return type(self)(self._known()[list(kept)])

    def save(self, folder: Path) -> None:
        """Write the weights."""
        (folder / WEIGHTS_FILE).write_text(json.dumps({"weights": self.shares()}, indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        file = folder / WEIGHTS_FILE
        try:
            weights = np.array(json.loads(file.read_text("utf-8"))["weights"], dtype=np.float64)
            if weights.ndim != 1 or not np.all(weights >= 0) or abs(weights.sum() - 1) > 1e-6:
                raise ValueError(f"weights are {weights.tolist()}; they must be at least 0 and sum to 1")
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise damaged(file, error) from error
        return cls(weights)

    def _find_weights(self, logs: Floats, targets: Probabilities, mean: Floats) -> Floats:  # noqa: ARG002
        return np.full(len(logs), 1 / len(logs))

    def _known(self) -> Floats:
        if self.weights is None:
            raise JudgeError("the ensemble has no weights yet; call fit")
        return self.weights


class Weights(Mean):
    """The weights of least log loss: a convex problem, solved until its optimality is certain.

    For a convex loss f on the simplex, f(w) exceeds the least loss by no more than the duality gap
    w . g - min g, where g is the gradient (Jaggi 2013, eq. 2); it is kept in `gap`.
    """

    method: ClassVar[str] = "weights"
    gap: float | None = None

    @staticmethod
    def parameters(judges: int) -> int:
        """Return one less than judges: the weights sum to 1."""
        return judges - 1

    def described(self) -> dict[str, object]:
        """Return the weights, and by how much their loss may exceed the least."""
        return super().described() | ({} if self.gap is None else {"duality_gap": self.gap})

    def _find_weights(self, logs: Floats, targets: Probabilities, mean: Floats) -> Floats:
        weights, self.gap = best_weights(logs, targets, mean)
        return weights


class Greedy(Mean):
    """Greedy selection with repeats (Caruana et al. 2004, "Ensemble selection from libraries of models", section 2).

    Judge after judge is added, each time the one that lowers the loss of the pool most, the same one as often as it
    helps; the weights are how often each was taken up to the best moment. Of judges that help alike, the first.
    """

    method: ClassVar[str] = "greedy"

    @staticmethod
    def parameters(judges: int) -> int:
        """Return as many as weights that are fitted freely."""
        return judges - 1

    def _find_weights(self, logs: Floats, targets: Probabilities, mean: Floats) -> Floats:
        total, taken, losses = np.zeros(logs.shape[1:]), [], []
        for step in range(1, GREEDY_STEPS + 1):
            tried = [_loss(softmax((total + one) / step), targets, mean) for one in logs]
            best = int(np.argmin(tried))
            total = total + logs[best]
            taken.append(best)
            losses.append(tried[best])
        kept = taken[: int(np.argmin(losses)) + 1]
        return np.bincount(kept, minlength=len(logs)) / len(kept)


def logs(predictions: Floats) -> Floats:
    """Return logarithms of the same shape, of probabilities that are at least `LEAST`."""
    return np.asarray(np.log(np.maximum(predictions, LEAST)))


def pool(logs: Floats, weights: Floats) -> Probabilities:
    """Return the logarithmic pool, shape (n, 3), of predictions given as logarithms of shape (m, n, 3)."""
    return softmax(weighted_sum(weights, logs))


def weighted_sum(weights: Floats, parts: Floats) -> Floats:
    """Add weighted parts one after the other: the same to the last bit whatever the number of rows."""
    total = np.zeros(parts.shape[1:])
    for weight, part in zip(weights.tolist(), parts, strict=True):
        total = total + weight * part
    return total


def best_weights(logs: Floats, targets: Probabilities, mean: Floats) -> tuple[Floats, float]:
    """Find the weights of least log loss, and a bound on how far their loss is above it.

    Args:
        logs: Logarithms of the predictions, shape (m, n, 3).
        targets: Votes, shape (n, 3).
        mean: Weight of each row, with sum 1, shape (n,).

    Raises:
        JudgeError: If no weights are proven to be within `GAP` of the best.

    Example:
        >>> sure, wrong = np.array([[0.9, 0.05, 0.05]]), np.array([[0.05, 0.9, 0.05]])
        >>> best_weights(np.log(np.stack([sure, wrong])), np.eye(3)[[0]], np.ones(1))[0].tolist()
        [1.0, 0.0]
    """

    def _objective(w: Floats) -> tuple[float, Floats]:
        p = pool(logs, w)  # (n, 3)
        return _loss(p, targets, mean), np.einsum("n,nc,mnc->m", mean, p - targets, logs)

    count = len(logs)
    found = np.full(count, 1 / count)
    for tolerance in (1e-9, 1e-12, 1e-15):  # SLSQP may stop before the gap is proven: go on from where it stopped
        simplex = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}
        options = {"maxiter": 1000, "ftol": tolerance}
        step = minimize(
            _objective, found, jac=True, method="SLSQP", bounds=[(0, 1)] * count, constraints=simplex, options=options
        )
        # a judge of next to no weight is left out if the gap allows it: it need not be asked at all
        for kept in (np.where(step.x < _NOTHING, 0.0, step.x), np.maximum(step.x, 0.0)):
            found = kept / kept.sum()
            slope = _objective(found)[1]
            if (gap := float(found @ slope - slope.min())) <= GAP:
                return found, max(gap, 0.0)
    found, gap = _move_pairwise(found, logs, targets, mean)
    if gap <= GAP:
        return found, max(gap, 0.0)
    raise JudgeError(f"the best weights of {count} judges were not found: log loss up to {gap:.2g} above the least")


def _move_pairwise(weights: Floats, logs: Floats, targets: Probabilities, mean: Floats) -> tuple[Floats, float]:
    """Move weight from judge to judge until the weights are proven, or for too long: pairwise Frank-Wolfe steps.

    Each goes from the judge of the steepest loss to that of the least (Lacoste-Julien and Jaggi 2015, algorithm 2), by
    a Newton step.
    """
    for _ in range(_PAIRS):
        p = pool(logs, weights)
        slope = np.einsum("n,nc,mnc->m", mean, p - targets, logs)  # (m,)
        gap = float(weights @ slope - slope.min())
        if gap <= GAP:
            break
        to, held = int(np.argmin(slope)), np.flatnonzero(weights > 0)
        away = int(held[np.argmax(slope[held])])
        apart = logs[to] - logs[away]  # (n, 3)
        bend = float(mean @ ((p * apart**2).sum(axis=1) - (p * apart).sum(axis=1) ** 2))
        # Newton's step along the edge between both judges, which takes no more weight than there is
        step = min((slope[away] - slope[to]) / bend, weights[away]) if bend > 0 else weights[away]
        weights = weights.copy()
        weights[[to, away]] += step, -step
    return weights, gap


def _loss(p: Probabilities, targets: Probabilities, mean: Floats) -> float:
    return float(-mean @ (targets * np.log(np.maximum(p, 1e-300))).sum(axis=1))
