"""Merge the adapters of a judge into its weights, after checking that its predictions stay the same.

This is what `votecast merge` runs.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from votecast.data.battles import Battles
from votecast.errors import ConfigError, JudgeError
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.types import Progress, no_progress

if TYPE_CHECKING:
    from votecast.models.base import Model
    from votecast.models.neural.neural_model import NeuralModel

Weights = Literal["bf16", "fp32", "nf4"]

TOLERANCE: dict[Weights, float] = {"bf16": 1e-3, "fp32": 1e-5, "nf4": 0.1}
"""By how much a probability may move: bf16 rounds the sum of weight and product, fp32 the sum alone, nf4 to 4 bits."""

FAMILIES = ("cross_encoder", "siamese", "decoder")

_PROMPTS = (
    "Which planet has the most moons?",
    "Write a haiku about rain.",
    "Explain recursion to a child, then show it in Python.",
    "Summarise: the meeting was moved from Monday to Thursday because the hall is being painted.",
)
_ANSWERS = (
    "Saturn, with well over a hundred that are confirmed.",
    "I am not sure, and would rather look it up than guess.",
    "- first point\n- second point\n- and a third, which matters most",
    "",
    "A box holds a smaller box, which holds a smaller one still; `def f(n): return 1 if n == 0 else n * f(n - 1)`. "
    * 4,
)


def merge_judge(
    judge: TrainedJudge, folder: Path, weights: Weights | None = None, *, progress: Progress = no_progress
) -> TrainedJudge:
    """Add the adapters of a judge to the weights they stand beside.

    A base of 4 or 8 bits is taken as it is, so that the sum is that on which the judge was trained.

    Args:
        judge: A judge whose members hold adapters.
        folder: Existing folder for the merged weights, from which the merged judge reads them until it is saved.
        weights: Type of the merged weights; None takes fp32 for a base in fp32, else bf16. nf4 rounds them to 4 bits.
        progress: Progress callback.

    Returns:
        A judge of the same predictions without any base outside its folder. Its note `merged` has the largest
        difference of a probability on the battles that both predicted.

    Raises:
        ConfigError: If the family does not allow these weights.
        JudgeError: If a member has no adapter, or a probability moves by more than is allowed.
    """
    recipe, members = judge.recipe, judge.fitted.members
    if recipe.family == "reward" and recipe.model.dump()["adapter"] is None:
        return _with_own_weights(judge, weights)
    if recipe.family not in FAMILIES:
        raise JudgeError(
            f"judge {judge.name!r} is of the family {recipe.family}, which has no adapters to merge; allowed are "
            f"{', '.join(FAMILIES)}"
        )
    from votecast.models.neural.adapter_merge import has_adapter, merge_member, predict_in_fp32

    if not all(has_adapter(member) for member in members):
        raise JudgeError(f"judge {judge.name!r} has no adapters: its folder holds all its weights; use it as it is")
    known = recipe.model.dump()
    kind: Weights = weights or ("fp32" if known.get("weights", "fp32") == "fp32" else "bf16")
    changes: dict[str, object] = {"adapter": None}
    if "weights" in known:
        changes |= {"weights": kind, "start": None}
    elif kind != "fp32":
        raise ConfigError(f"weights is {kind}, and judges of the family {recipe.family} are kept in fp32; drop it")
    settings = recipe.model.model_copy(update=changes)

    probes = Battles.from_rows(
        [
            {"prompt": prompt, "response_a": _ANSWERS[n % 5], "response_b": _ANSWERS[(n + 1 + k) % 5]}
            for n, prompt in enumerate(_PROMPTS)
            for k in range(3)
        ]
    )
    made: list[Model] = []
    largest = 0.0
    for number, member in enumerate(members):
        progress("merging", number, len(members))
        prepared, apart = member.prepare(probes), cast("NeuralModel", member)
        # in fp32 on both sides, so that only the merge itself can move a probability
        before = predict_in_fp32(apart, prepared)
        apart.release()
        done = merge_member(apart, settings, folder / str(number))
        moved = np.abs(before - predict_in_fp32(done, prepared))
        done.release()
        made.append(done)
        largest = max(largest, float(moved.max()) if np.isfinite(moved).all() else float("inf"))
    progress("merging", len(members), len(members))
    if not largest <= TOLERANCE[kind]:
        more = {"nf4": "; merge into bf16", "bf16": "; merge into fp32"}.get(kind, "; keep the judge with its adapters")
        raise JudgeError(
            f"merged into {kind}, a probability moves by {largest:.1e}, and at most {TOLERANCE[kind]:.0e} is allowed"
            f"{more}"
        )
    found = TrainedJudge.of(
        load_recipe(recipe.dump() | {"model": settings.dump()}), replace(judge.fitted, members=made, stored=())
    )
    note: dict[str, object] = {"weights": kind, "largest_difference": largest, "battles": len(probes)}
    note |= {"of": judge.hash, "base": members[0].base}
    found.record(figures=judge.figures, **(judge.notes | {"merged": note}))
    return found


def _with_own_weights(judge: TrainedJudge, weights: Weights | None) -> TrainedJudge:
    """Return a judge of a reward model whose folder holds the model in the precision in which it predicts."""
    members, held = judge.fitted.members, judge.recipe.model.dump()["weights"]
    if len(members) > 1:
        raise JudgeError(
            f"judge {judge.name!r} has {len(members)} links over one reward model, and its folder would hold the model "
            "as often; train it with --final refit"
        )
    if weights not in (None, held):
        raise ConfigError(
            f"weights is {weights}, and judge {judge.name!r} predicts in {held}, in which its model is stored; drop "
            f"it, or make the judge with --model.weights {weights}"
        )
    member: Any = copy.copy(members[0])
    note = {"weights": held, "largest_difference": 0.0, "battles": 0, "of": judge.hash, "base": member.base}
    member.holds_weights = True
    found = TrainedJudge.of(judge.recipe, replace(judge.fitted, members=[member], stored=()))
    found.record(figures=judge.figures, **(judge.notes | {"merged": note}))
    return found
