"""Log the size of a training before anything is loaded, and refuse one that cannot fit its GPU or disk.

`judges.train` calls it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from votecast.config import current_launch
from votecast.config.extras import need
from votecast.config.precision import choose_precision
from votecast.errors import ConfigError, VotecastError
from votecast.judges.recipe import Recipe
from votecast.judges.training_disk import check_disk

if TYPE_CHECKING:
    from votecast.models.sizing.gpus import Gpu
    from votecast.models.sizing.training_plan import TrainingPlan

logger = logging.getLogger(__name__)
_SETTING = "model.training.precision"
LEAST = 100_000_000
"""Parameters from which a network is large enough to be sized."""


def check_resources(settings: Recipe, out: str | Path | None = None) -> None:
    """Log parameters and memory of a large network in torch; of others nothing.

    Args:
        settings: The recipe.
        out: Folder of the judge; None keeps it in memory.

    Raises:
        ArtifactError: If the disk of `out` is too small for checkpoints and members.
        ConfigError: If weights, gradients and moments alone exceed the memory of the GPU, or of the machine
            without one; smaller passes cannot help.
    """
    plan = _plan(settings)
    if plan is None or plan.size.total < LEAST:
        return
    if out is not None:
        check_disk(settings, plan, out)
    from votecast.models.sizing.gpus import local_gpu
    from votecast.models.sizing.size_text import describe_memory

    card = local_gpu()
    trained = plan.size.trained if plan.is_trained else 0
    cpu = need("torch").device("cpu")
    precision = choose_precision("auto", cpu, setting=_SETTING) if card is None else card.precision
    memory = plan.memory(precision, on_cpu=card is None)
    about = f"{plan.size.total:,} parameters, {trained:,} trained; about {describe_memory(memory.to_dict())}"
    # paged moments may leave the GPU
    moments = 0 if plan.training.optimizer.startswith("paged") else memory.optimizer
    fixed = memory.weights + memory.gradients + moments
    if card is None:
        logger.info("%s", about)
        held = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else fixed
        if fixed > held:
            raise ConfigError(
                f"weights, gradients and moments take {fixed / 1e9:.1f} GB, and this machine has {held / 1e9:.1f} GB "
                "of memory and no GPU that torch can use; run it on one (votecast estimate --gpu), or take a smaller "
                "model"
            )
        return
    logger.info("%s; %s has %.1f GB", about, card.name, card.memory / 1e9)
    if _is_divided(plan):
        return
    if fixed > card.memory:
        raise ConfigError(
            f"weights, gradients and moments take {fixed / 1e9:.1f} GB, and {card.name} has {card.memory / 1e9:.1f} "
            f"GB; {_cure(plan, card)}"
        )
    if memory.peak > card.usable and plan.is_trained:
        logger.warning(
            "passes of max_tokens %d may not fit, and are then halved; %s", plan.training.max_tokens, _cure(plan, card)
        )


def _plan(settings: Recipe) -> TrainingPlan | None:
    """Plan the training of a network in torch whose shape is known before it is downloaded; None for others."""
    if settings.family not in ("cross_encoder", "siamese", "decoder", "reward"):
        return None
    if settings.model.dump()["name"].startswith("tiny:"):
        return None
    from votecast.models.sizing.training_plan import TrainingPlan

    try:
        return TrainingPlan.of(settings.family, settings.model, seed=settings.seed)
    # an estimate that fails stops no training, which reports itself what is wrong with its network
    except (VotecastError, RuntimeError, NotImplementedError, ValueError, TypeError, AttributeError, KeyError) as error:
        logger.debug("the size of the network is not known: %s", error)
        return None


def _is_divided(plan: TrainingPlan) -> bool:
    """Whether a GPU holds a part of the network only."""
    sharded = any(os.environ.get(f"ACCELERATE_USE_{kind}") == "true" for kind in ("FSDP", "DEEPSPEED"))
    spread = plan.model.settings.dump().get("device_map") is not None
    return spread or (sharded and current_launch().processes > 1)


def _cure(plan: TrainingPlan, card: Gpu) -> str:
    from votecast.models.sizing.fitting_settings import option_words, settings_that_fit

    found = settings_that_fit(plan, card)
    if found is None or not found["settings"]:
        return "take a GPU with more memory, or a smaller model"
    return f"it fits with {option_words(found['settings'])} (votecast estimate shows more)"
