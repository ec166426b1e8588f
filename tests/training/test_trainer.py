"""Compare losses, rates, gradients and weights step by step with transformers' Trainer, whose users come here.

Both begin with the same weights and get the same rows in the same order, with a last step of fewer rows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tolerances import after_training
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

from votecast.data.simulation import simulate
from votecast.models.registry import family, settings_type
from votecast.training.loop import train_network
from votecast.training.settings import TrainingSettings
from votecast.training.training_rows import Data, StepPlan
from votecast.types import Ints, Run

RATE, ROWS, STEP = 1e-3, 43, 8
CLOSE = 1e-5
"""Of losses near 1 in fp32: less than `rounding(width=64, layers=2)` allows."""
LEARNING = {
    "epochs": 2,
    "batch_size": STEP,
    "learning_rate": RATE,
    "warmup": 0.2,  # of 12 steps: 3, rounded up
    "weight_decay": 0.1,
    "clip": 0.5,
    "log_every": 1,
    "precision": "fp32",
    "valid_share": 0,
}
LORA = {"rank": 2, "alpha": 4, "targets": ["q_proj", "v_proj"]}
SYSTEMS = {
    "deberta_v3_large": ("cross_encoder", {"name": "tiny:deberta-v2", "dropout": 0.0}),
    "gemma2_9b_qlora": ("decoder", {"name": "tiny:gemma2", "adapter": LORA}),
    "llama31_8b_lora": ("decoder", {"name": "tiny:llama", "adapter": LORA}),
    "internlm2_reward": ("reward", {"name": "tiny:llama", "adapter": LORA}),
}


def prepare(system: str, learning: dict[str, Any], rows: int = ROWS) -> tuple[Any, Data]:
    """Return the network of a system in its small form before the first step, and rows to train it on."""
    name, model = SYSTEMS[system]
    orders = {} if name == "reward" else {"orders": "shown"}
    text = {"max_length": 256 if name == "reward" else 96}
    settings = settings_type(name).parse(model | orders | {"training": learning, "text": text})
    member: Any = family(name)(settings, seed=3)
    battles = next(simulate(rows=rows, seed=7, batch=rows))[0]
    targets, prepared = battles.targets(), member.prepare(battles)
    if name == "reward":  # decided votes alone
        targets = np.where(targets[:, [2]] == 1, [[1.0, 0.0, 0.0]], targets)
    network = member.new_network(prepared, targets, np.ones(rows))
    return network, member.label_rows(prepared, targets, np.ones(rows), np.arange(rows))


class Order:
    """The rows of each pass, epoch by epoch, as a batch sampler."""

    def __init__(self, data: Data, settings: TrainingSettings, passes: int) -> None:
        group = settings.group if settings.order == "length" else None
        self.plan = StepPlan(data.examples.costs, STEP, settings.epochs, seed=1, group=group)
        self.size, self.epoch = STEP // passes, 0

    def __len__(self) -> int:
        return sum(-(-len(rows) // self.size) for rows in self.plan.epoch(0))

    def __iter__(self) -> Iterator[Ints]:
        steps = self.plan.epoch(self.epoch)
        self.epoch += 1
        return (rows[start : start + self.size] for rows in steps for start in range(0, len(rows), self.size))


class Oracle(Trainer):
    """Trainer over rows in a given order; `losses` are those of its passes, each divided as Trainer does."""

    def __init__(self, data: Data, order: Order, **options: Any) -> None:
        super().__init__(**options, train_dataset=range(len(data)))
        self.data, self.order, self.losses = data, order, list[float]()

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train_dataset, batch_sampler=self.order, collate_fn=self.collate)

    def collate(self, rows: list[int]) -> dict[str, Tensor]:
        given = self.data.examples.batch(np.array(rows))
        return {
            "input_ids": given["ids"],
            "attention_mask": given["mask"],
            "labels": torch.from_numpy(self.data.targets[rows].argmax(1)),
        }

    def training_step(self, *args: Any, **options: Any) -> Tensor:
        loss = super().training_step(*args, **options)
        self.losses.append(float(loss))
        return loss


class RewardOracle(Oracle):
    """Trainer with the loss of Bradley and Terry, as trl's RewardTrainer has it."""

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], **_: Any) -> Tensor:
        labels = inputs.pop("labels")
        a, b = model(**inputs).logits.view(2, -1)  # the answers A of all rows come first
        return -nn.functional.logsigmoid(torch.where(labels == 0, a - b, b - a)).mean()


def as_transformers_has_it(network: Any) -> nn.Module:
    """Return a classifier of transformers with the weights and adapters of a network."""
    network = copy.deepcopy(network)
    if not hasattr(network, "score"):
        return network.backbone
    config = copy.deepcopy(network.backbone.get_base_model().config)
    config.num_labels = len(network.score.weight)
    model = AutoModelForSequenceClassification.from_config(config)
    model.model, model.score = network.backbone, network.score
    return model


def trainer(
    system: str,
    network: Any,
    data: Data,
    folder: Path,
    learning: dict[str, Any],
    *,
    passes: int = 1,
    optim: str = "adamw_torch",
) -> Oracle:
    """Return Trainer on a copy of a network, with the same settings."""
    settings = TrainingSettings(**learning)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=STEP // passes,
        gradient_accumulation_steps=passes,
        learning_rate=RATE,
        warmup_steps=settings.warmup,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        optim=optim,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    kind = RewardOracle if system == "internlm2_reward" else Oracle
    made = kind(data, Order(data, settings, passes), model=as_transformers_has_it(network), args=arguments)
    # Trainer 5.23 takes the loss of its classifiers as divided by all rows already, and sums that of the passes
    made.loss_is_scaled_for_ga = False
    return made


def compare(system: str, folder: Path, passes: int = 1, optim: str = "adamw_torch", **learning: Any) -> None:
    """Train with both and check every step."""
    settings = LEARNING | learning
    network, data = prepare(system, settings)
    theirs = trainer(system, network, data, folder, settings, passes=passes, optim=optim)
    theirs.train()
    ours = train_network(network, data, None, TrainingSettings(**settings), seed=1, run=Run()).records
    lines = [line for line in theirs.state.log_history if "grad_norm" in line]
    assert len(ours) == len(lines) == theirs.state.max_steps
    assert [line["learning_rate"] for line in ours] == pytest.approx([line["learning_rate"] for line in lines])
    moved = after_training(steps=len(lines), learning_rate=RATE)
    assert [line["loss"] for line in ours] == pytest.approx([line["loss"] for line in lines], abs=CLOSE)
    assert [line["grad_norm"] for line in ours] == pytest.approx([line["grad_norm"] for line in lines], rel=10 * CLOSE)
    weights = dict(network.named_parameters())
    for name, value in theirs.model.named_parameters():
        found = weights.get(name.replace("model.", "backbone.", 1)) if hasattr(network, "score") else None
        found = weights.get(name, weights.get(f"backbone.{name}")) if found is None else found
        assert found is not None, name
        torch.testing.assert_close(found, value, rtol=0, atol=moved)


@pytest.mark.parametrize(
    ("system", "options"),
    [
        ("deberta_v3_large", {}),
        ("gemma2_9b_qlora", {"passes": 2, "max_tokens": 4 * 96, "optimizer": "adamw_8bit", "optim": "adamw_bnb_8bit"}),
        ("llama31_8b_lora", {"order": "length", "group": 20, "schedule": "cosine"}),
        ("internlm2_reward", {"schedule": "constant"}),
    ],
)
def test_every_step_is_that_of_trainer(system: str, options: dict[str, Any], tmp_path: Path) -> None:
    compare(system, tmp_path, **options)


def test_every_row_of_a_step_counts_alike_where_trainer_weighs_its_passes_alike(tmp_path: Path) -> None:
    settings = {**LEARNING, "epochs": 1, "max_tokens": 4 * 96}
    network, data = prepare("llama31_8b_lora", settings, rows=21)  # the last step has 5 rows: 4 and 1
    theirs = trainer("llama31_8b_lora", network, data, tmp_path, settings, passes=2)
    theirs.train()
    ours = train_network(network, data, None, TrainingSettings(**settings), seed=1, run=Run()).records
    full, (four, one) = theirs.losses[:-2], theirs.losses[-2:]  # each is half the mean of its rows
    found = [line["loss"] for line in ours]
    assert found[:-1] == pytest.approx(np.reshape(full, (-1, 2)).sum(1), abs=CLOSE)
    assert found[-1] == pytest.approx((4 * 2 * four + 1 * 2 * one) / 5, abs=CLOSE)
    assert found[-1] != pytest.approx(four + one, abs=CLOSE)
