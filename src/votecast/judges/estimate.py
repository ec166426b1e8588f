"""Estimate a training before it starts: tokens, steps, memory, disk and hours, and the settings that fit a card.

`votecast estimate` shows the result; `train` compares its memory with the device before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from votecast.data.battles import Battles
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.train import read_and_clean
from votecast.judges.training_disk import count_trainings, training_disk
from votecast.models.registry import family
from votecast.types import Ints, Progress, no_progress

if TYPE_CHECKING:
    from votecast.models.sizing.gpus import Gpu
    from votecast.models.sizing.training_plan import TrainingPlan

ROWS_A_SECOND = 57_500 * 6 / 300
"""Rows times trainings of the baseline a second: 57,500 rows, five folds and a refit took 300 s on two cores
(docs/figures.md)."""
SHARE_OF_PEAK = 0.3
"""Share of a card's peak that a training reaches: assumed."""
TOKENIZED = 2000
"""Rows that are tokenized; of more, this many drawn at random stand for all."""
_SHARES = (0.05, 0.5, 0.95)
NEURAL = ("cross_encoder", "siamese", "decoder", "reward", "keras_siamese")


@dataclass(frozen=True)
class Estimate:
    """What a training will take. Memory and disk are in bytes; what does not apply is None.

    Args:
        recipe: Name of the recipe.
        rows: Rows read, kept by cleaning, and trained on in each training.
        trainings: Networks that are trained: one a fold, and one more for a refit.
        needs_gpu: Whether a network is trained or run.
        hours: Of all trainings and the predictions of held-out rows; None where no speed is known.
        parameters: All and trained parameters.
        tokens: Tokens of a row: 5 %, median, 95 %, most; of one training, and all in all; share of truncated rows.
        steps: Of one training, and in all; rows and passes of each.
        memory: Weights, gradients, optimizer, activations and peak of one device.
        disk: Checkpoints, members of the judge, and weights to download.
        gpu: Name, memory and number of the cards, and whether the recipe fits.
        fitting: Settings by dotted key under which it fits the card, and their peak; None if none was found.
        origins: Where each figure is from.
    """

    recipe: str
    rows: dict[str, int]
    trainings: int
    needs_gpu: bool
    hours: float | None = None
    parameters: dict[str, int] | None = None
    tokens: dict[str, float] | None = None
    steps: dict[str, int] | None = None
    memory: dict[str, int] | None = None
    disk: dict[str, int] | None = None
    gpu: dict[str, Any] | None = None
    fitting: dict[str, Any] | None = None
    origins: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-able values."""
        return asdict(self)


def estimate(
    recipe: str | Path | Mapping[str, object] | Recipe,
    votes: object,
    *,
    gpu: str | None = None,
    tokens_per_second: float | None = None,
    overrides: Mapping[str, object] | None = None,
    small: bool = False,
    reader: Mapping[str, object] | None = None,
    progress: Progress = no_progress,
) -> Estimate:
    """Estimate what training a recipe on some votes takes; nothing is downloaded, and no weight is read.

    Args:
        recipe: Name of a shipped recipe or family, YAML path, or settings.
        votes: Path of a file of votes or a pattern, a list of these, battles, a frame, or a list of dicts.
        gpu: A card by name or memory, such as "T4 x2", "A100-80" or "24GB"; several share the rows of a step. None
            takes the CUDA devices of this machine, if there are any.
        tokens_per_second: Measured speed of training on one card, in place of an assumed share of its peak.
        overrides: Settings by dotted key, such as {"folds.n": 3}.
        small: Take the small form of the recipe.
        reader: Options of `read_votes`, where `votes` is a path.
        progress: Progress callback.

    Returns:
        The estimate.

    Raises:
        ConfigError: If a setting or the card is unknown, or the shape of the network is not known without the network.
        DataError: If the votes cannot be used.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> battles, truth = next(simulate(rows=300, seed=0, batch=300))
        >>> found = estimate("llama31_8b_lora", battles, gpu="24GB")
        >>> found.parameters["trained"], found.gpu["fits"]
        (1191936, True)
    """
    settings = load_recipe(recipe, overrides, small=small)
    neural = settings.family in NEURAL
    card, plan = None, None
    if neural:  # what is wrong with the card or the network is said before a large file is read
        from votecast.models.sizing.gpus import find_gpu, local_gpu
        from votecast.models.sizing.training_plan import TrainingPlan

        card = local_gpu() if gpu is None else find_gpu(gpu)
        plan = TrainingPlan.of(settings.family, settings.model, seed=settings.seed)
    battles, notes = read_and_clean(settings, votes, reader, family(settings.family).numbers, progress)
    read = int(notes["cleaning"]["rows"])  # type: ignore[index]
    trainings = count_trainings(settings)
    train = _training_rows(settings, len(battles))
    rows = {"read": read, "kept": len(battles), "trained": train}
    if plan is not None and not plan.is_trained:
        rows["trained"] = trainings = 0
    if plan is None:
        return Estimate(
            settings.name,
            rows,
            trainings,
            needs_gpu=False,
            hours=trainings * train / ROWS_A_SECOND / 3600 if settings.family == "baseline" else None,
            origins={"rows": "counted", "hours": "57,500 rows measured on two cores (docs/figures.md), in proportion"},
        )
    progress("counting tokens", 0, 1)
    return _of_network(settings, plan, battles, rows, trainings, card, tokens_per_second)


def _of_network(
    settings: Recipe,
    plan: TrainingPlan,
    battles: Battles,
    rows: dict[str, int],
    trainings: int,
    card: Gpu | None,
    tokens_per_second: float | None,
) -> Estimate:
    from votecast.models.sizing.fitting_settings import settings_that_fit
    from votecast.models.sizing.gpus import LOST, RESERVED
    from votecast.training.training_rows import StepPlan

    count = 1 if card is None else card.count
    lengths, cut = _row_lengths(plan, battles, settings.seed)  # (sampled, views)
    whole = len(lengths) == len(battles)
    # the longest rows of all are hardly in a sample
    plan = replace(plan, length=int(lengths.max()) if whole else plan.length)
    costs = lengths.max(axis=1) * plan.views  # padded to the longer sequence of a row
    trained = int(costs.mean() * rows["trained"]) * plan.training.epochs if plan.is_trained else 0
    predicted = int(lengths.sum(axis=1).mean() * _held_out_rows(settings, rows["kept"]))
    steps = None
    if plan.is_trained:
        group = plan.training.group if plan.training.order == "length" else None
        shape = {"rows": plan.training.batch_size * count, "epochs": plan.training.epochs, "group": group}
        made = StepPlan(np.resize(costs, rows["trained"]), most=plan.training.max_steps, **shape)  # type: ignore[arg-type]
        trained = int(trained * made.steps / (made.epoch_steps * plan.training.epochs))
        steps = {"each": made.steps, "all": made.steps * trainings}
        steps |= {"rows": plan.training.batch_size * count, "passes": plan.passes}
    precision = "bf16" if card is None else card.precision
    memory = plan.memory(precision)
    forward, step = plan.flops_a_token()
    step = step if plan.is_trained else forward
    speed = tokens_per_second
    if speed is None and card is not None and card.tflops is not None:
        speed = SHARE_OF_PEAK * card.tflops * 1e12 / step
    work = trained * trainings + predicted * forward / step
    origins = {
        "rows": "counted; folds in proportion",
        "parameters": "counted on the network's shape",
        "tokens": _tokens_origin(plan, len(lengths), len(battles)),
        "memory": "from formulas that agree with peaks measured on a CPU to 15 %"
        + ("; Keras on JAX was not measured, and takes 75 % of a card at once" if plan.is_keras else ""),
    }
    if card is not None:
        origins["GPU"] = f"assumed: CUDA takes {RESERVED / 1e9} GB, and its allocator cannot use {LOST:.0%}"
    if tokens_per_second is not None:
        origins["hours"] = "from the given tokens a second"
    elif speed is not None:
        origins["hours"] = f"assumed: {SHARE_OF_PEAK:.0%} of the card's peak; give --tokens-per-second once measured"
    return Estimate(
        settings.name,
        rows,
        trainings,
        needs_gpu=True,
        hours=None if speed is None else work / (speed * count) / 3600,
        parameters={"all": plan.size.total, "trained": plan.size.trained if plan.is_trained else 0},
        tokens=_describe_lengths(lengths, cut) | {"each": trained, "all": trained * trainings + predicted},
        steps=steps,
        memory=memory.to_dict(),
        disk=training_disk(settings, plan, trainings) | {"download": _download(plan)},
        gpu=None if card is None else _describe_card(card, memory.peak),
        fitting=None if card is None else settings_that_fit(plan, card),
        origins=origins,
    )


def _training_rows(settings: Recipe, rows: int) -> int:
    """Count the rows that one training learns from: without its fold, and without those that choose the weights."""
    folds = settings.folds
    held = folds.fraction if folds.method == "single" else 1 / folds.n
    model = settings.model.dump()
    share = float(model.get("link_share", model.get("training", {}).get("valid_share", 0.0)))
    return max(1, round(rows * (1 - held) * (1 - share)))


def _held_out_rows(settings: Recipe, rows: int) -> float:
    """Count the rows that are predicted out of fold."""
    folds = settings.folds
    if folds.method == "single":
        return rows * folds.fraction
    return rows if folds.only is None else rows / folds.n


def _row_lengths(plan: TrainingPlan, battles: Battles, seed: int) -> tuple[Ints, float]:
    """Return the tokens of the sequences of some rows, shape (rows, views), and the share of truncated rows."""
    from votecast.models.neural.examples import NeuralPrepared

    if len(battles) > TOKENIZED:
        drawn = np.random.default_rng(seed).choice(len(battles), TOKENIZED, replace=False)
        battles = battles.take(np.sort(drawn))
    _ = plan.has_tokenizer  # which gives the member the one that there is
    prepared = NeuralPrepared(plan.model.text.tokenize(battles))
    encoded = plan.model.encode_battles(prepared)
    lengths = np.stack([part.sequences.lengths for part in encoded], axis=1)
    cut = np.any([(part.cut.kept < part.cut.full).any(axis=1) for part in encoded], axis=0)
    return lengths, float(cut.mean())


def _tokens_origin(plan: TrainingPlan, tokenized: int, rows: int) -> str:
    how = "by the model's tokenizer" if plan.has_tokenizer else "ASSUMED: 4 characters a token, for want of a tokenizer"
    return how if tokenized == rows else f"{how}; {tokenized:,} rows stand for all, max_length for the longest"


def _describe_lengths(lengths: Ints, cut: float) -> dict[str, float]:
    rows = lengths.max(axis=1)
    low, median, high = (float(each) for each in np.quantile(rows, _SHARES))
    return {"p05": low, "median": median, "p95": high, "longest": int(rows.max()), "truncated": cut}


def _download(plan: TrainingPlan) -> int:
    """Return about what the weights take on the hub, in half precision; 0 where they are here."""
    name = plan.model.settings.name
    is_here = Path(name).expanduser().is_dir() or name in ("minilm", "smollm2") or name.startswith("tiny:")
    return 0 if is_here else 2 * plan.size.total


def _describe_card(card: Gpu, peak: int) -> dict[str, Any]:
    facts = {"name": card.name, "count": card.count, "memory": int(card.memory), "usable": int(card.usable)}
    return facts | {"precision": card.precision, "fits": peak <= card.usable}
