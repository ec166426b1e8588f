"""Another judge's predictions as the starting point of a network, which then learns only what that judge misses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from votecast.models.base import Model, Prepared
from votecast.models.neural.settings import OffsetSettings
from votecast.models.registry import family
from votecast.models.stacking import inner_folds
from votecast.types import Floats, Ints, Probabilities

_LEAST = 1e-6  # a probability of 0 would be an infinite start


def offset_model(settings: OffsetSettings, seed: int) -> Model:
    """Make an unfitted model of the family that the network starts from."""
    kind = family(settings.family)
    return kind(kind.settings_type.parse(settings.model, origin="model.offset.model"), seed=seed)


def fit_offset(
    settings: OffsetSettings, prepared: Prepared, targets: Probabilities, weights: Floats, groups: Ints, seed: int
) -> tuple[Model, NDArray[np.float32]]:
    """Fit the other judge, and predict every row by models that were not trained on its prompt.

    Args:
        settings: The family, its settings, and how many inner folds.
        prepared: Battles prepared for that family, n rows.
        targets: Soft labels, shape (n, 3).
        weights: Shape (n,).
        groups: Rows of one group share a prompt, shape (n,).
        seed: Seed of folds and models.

    Returns:
        The judge fitted on all rows, and strengths and closenesses of shape (n, 2) from the inner folds.
    """
    predictions = np.zeros_like(targets)
    fold = inner_folds(groups, settings.folds, seed)
    for number in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        model = offset_model(settings, seed)
        model.fit(prepared.take(inside), targets[inside], weights[inside], groups[inside])
        predictions[outside] = model.predict(prepared.take(outside))
    whole = offset_model(settings, seed)
    whole.fit(prepared, targets, weights, groups)
    return whole, offset_scores(predictions)


def offset_scores(p: Probabilities) -> NDArray[np.float32]:
    """Return strength and closeness (Davidson 1970, eq. 2) of predictions of shape (n, 3), shape (n, 2).

    Example:
        >>> offset_scores(np.array([[0.25, 0.25, 0.5]])).round(2)
        array([[0.  , 0.69]], dtype=float32)
    """
    a, b, tie = np.log(np.maximum(p, _LEAST)).T
    return np.stack([a - b, tie - (a + b) / 2], axis=1).astype(np.float32)
