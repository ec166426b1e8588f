"""How a network is trained: every setting, with its unit."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from votecast.config import Settings

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Interval = Count | Literal["epoch", "group"]
Trackers = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
"""Names of trackers; one may be given without a list."""


class TrainingSettings(Settings):
    """How a network is trained.

    Args:
        epochs: Passes over the training rows.
        max_steps: Stop after this many steps, and lay the schedule out over them; None trains all epochs.
        batch_size: Rows of one optimizer step, on each device.
        max_tokens: Tokens of one forward pass on each device, padding included; a step is divided into as many passes
            as this asks for, and its gradient stays that of the undivided step. Halved when a GPU runs out of memory.
        order: In which order an epoch takes the rows: "shuffled", or "length", a curriculum: groups of similar length,
            shortest first, each shuffled, under one schedule.
        group: Rows of one group of the curriculum; no step holds rows of two.
        bucketing: Steps whose rows are sorted by length together, which saves padding; 1 deals rows at random.
        optimizer: "adamw" keeps the moments of AdamW in fp32, "adamw_8bit" in 8 bits (Dettmers et al., 2021) through
            bitsandbytes; the paged ones let them leave a GPU whose memory is full, and are the same elsewhere.
        learning_rate: Peak learning rate of the last layers.
        head_learning_rate: Peak learning rate of the head, which starts from nothing; None takes `learning_rate`.
        schedule: What the learning rate does after the warm-up.
        warmup: Steps over which the learning rate rises from 0; below 1 a share of all steps.
        weight_decay: Of AdamW, per step and unit of learning rate; biases and norms have none.
        layer_decay: Factor on the learning rate from each layer to the one below; 1 treats all alike.
        betas: Decay of the moments of AdamW.
        epsilon: Added to the denominator of AdamW.
        clip: Largest norm of the gradient; None does not clip.
        precision: Arithmetic of the forward pass; weights are always kept in fp32. "auto" takes bf16 on GPUs that have
            it and on CPUs with avx512_bf16, fp16 on GPUs without it such as a T4, else fp32. In fp16 the loss is
            scaled, and steps that overflow are skipped and counted.
        gradient_checkpointing: Compute activations twice to save memory.
        label_smoothing: Share of every label that is spread evenly over the three outcomes.
        symmetric: Share of the loss taken on the mean probability of both orders; the rest is the mean of their losses.
        average: Which weights are evaluated and kept: the current ones ("none"), their exponential moving average
            ("ema"), or the mean of those of the last evaluations ("last").
        average_decay: Weight of the past in the moving average, per step.
        average_last: Number of evaluations whose weights are averaged.
        eval_every: Steps between evaluations, or "epoch", or "group" of the curriculum.
        eval_rows: Rows of the held-out fold that each evaluation measures where `valid_share` is 0, drawn by seed; they
            choose nothing. 0 evaluates on none.
        save_every: Steps between checkpoints, or "epoch" or "group"; None saves after every group of the curriculum,
            or without one after every evaluation.
        log_every: Steps between lines of metrics.jsonl.
        keep: Checkpoints kept on disk.
        patience: Stop after this many evaluations without a better log loss; None trains to the end.
        threshold: Smallest gain of log loss that counts as better for `patience`, in nats.
        valid_share: Share of the training rows held back, by groups of one prompt, to choose the weights; 0 keeps the
            last ones.
        report_to: Trackers of accelerate that get every line of metrics.jsonl, one run for each fold: "tensorboard"
            (files in `NAME.logs` beside the judge folder), "wandb", "mlflow", "trackio" and others that it knows.

    Example:
        >>> TrainingSettings(epochs=5, batch_size=32, learning_rate=5e-5).schedule
        'linear'
    """

    epochs: Count = 1
    max_steps: Count | None = None
    batch_size: Count = 16
    max_tokens: Count = 8192
    order: Literal["shuffled", "length"] = "shuffled"
    group: Count = 200
    bucketing: Count = 50
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: Annotated[float, Field(ge=0)] = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False
    label_smoothing: Share = 0.0
    symmetric: Share = 0.0
    average: Literal["none", "ema", "last"] = "none"
    average_decay: Share = 0.999
    average_last: Count = 3
    eval_every: Interval = "epoch"
    eval_rows: Annotated[int, Field(ge=0)] = 0
    save_every: Interval | None = None
    log_every: Count = 10
    keep: Count = 2
    patience: Count | None = None
    threshold: Annotated[float, Field(ge=0)] = 0.0
    valid_share: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    report_to: Trackers = ()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.warmup >= 1 and self.warmup != int(self.warmup):
            raise ValueError(
                f"warmup is {self.warmup}; allowed is a share of all steps below 1, or a whole number of steps"
            )
        if self.order == "shuffled" and "group" in {self.eval_every, self.save_every}:
            raise ValueError(
                "eval_every or save_every is 'group', and order 'shuffled' has no groups; allowed are a number of "
                "steps and 'epoch', or set order to 'length'"
            )
        return self
