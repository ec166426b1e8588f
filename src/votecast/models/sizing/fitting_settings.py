"""Find settings under which a training fits a card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from votecast.models.sizing.gpus import Gpu
from votecast.models.sizing.training_plan import TrainingPlan


def settings_that_fit(plan: TrainingPlan, card: Gpu) -> dict[str, Any] | None:
    """Find the fewest changes of settings under which a training fits a card.

    Each kind of change is tried with all before it: smaller passes, which change no result; activations computed twice;
    moments in 8 bits; weights in 4 bits; shorter sequences, the only one that costs much accuracy.

    Args:
        plan: The training as it is set.
        card: The card.

    Returns:
        The settings by dotted key, none where it fits as it is, and the peak in bytes; None where nothing was found.
    """
    tried: dict[str, Any] = {}
    for changes in _changes(plan):
        tried = tried | changes
        found = plan.changed(tried)
        peak = found.memory(card.precision).peak
        while peak > card.usable and found.is_trained and found.rows_a_pass > 1:
            smaller = max(found.views * 8 * math.ceil(found.length / 8), found.training.max_tokens // 2)
            tried = tried | {"training.max_tokens": smaller}
            found = plan.changed(tried)
            peak = found.memory(card.precision).peak
        if peak <= card.usable:
            return {"settings": {f"model.{key}": value for key, value in tried.items()}, "peak": peak}
    return None


def _changes(plan: TrainingPlan) -> list[dict[str, Any]]:
    settings, training = plan.model.settings, plan.training
    found: list[dict[str, Any]] = [{}]
    if plan.is_keras:
        return found
    if plan.is_trained and not training.gradient_checkpointing:
        found.append({"training.gradient_checkpointing": True})
    if plan.is_trained and training.optimizer == "adamw" and plan.size.trained > 10_000_000:
        found.append({"training.optimizer": "adamw_8bit"})
    may_quantize = settings.adapter is not None or not plan.is_trained
    if hasattr(settings, "weights") and settings.weights != "nf4" and may_quantize:
        found.append({"weights": "nf4"})
    length = plan.length // 2
    while length >= 256:
        found.append({"text.max_length": length})
        length //= 2
    return found


def option_words(settings: Mapping[str, Any]) -> str:
    """Write settings as options of the command line.

    Example:
        >>> option_words({"model.training.gradient_checkpointing": True, "model.text.max_length": 512})
        '--model.training.gradient_checkpointing true --model.text.max_length 512'
    """
    words = (f"--{key} {str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items())
    return " ".join(words)
