"""Test the training loop with invalid rows, settings and numbers."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tolerances import after_training, rounding
from tests.training.networks import Numbers, Small, numbers
from torch import Tensor, nn

import votecast
from votecast.errors import ConfigError, JudgeError, MissingExtraError
from votecast.training import step_log
from votecast.training.loop import train_network
from votecast.training.network import TrainableNetwork
from votecast.training.optimizer import make_schedule
from votecast.training.settings import TrainingSettings
from votecast.training.tracking import History, Journal
from votecast.training.training_rows import Data
from votecast.types import Run

FAST = {"batch_size": 8, "max_tokens": 64, "learning_rate": 1e-2, "precision": "fp32", "log_every": 1}


HERE = Run()


def train(
    network: nn.Module | None = None,
    train: Data | None = None,
    valid: Data | None = None,
    run: Run = HERE,
    **other: Any,
) -> tuple[nn.Module, History]:
    network = network or Small()
    settings = TrainingSettings(**{**FAST, **other})
    return network, train_network(network, train or numbers(), valid, settings, seed=1, run=run)


def weights(network: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach()


def test_a_learnable_signal_is_learned() -> None:
    _, history = train(valid=numbers(30, seed=1), epochs=8)
    first, *_, last = history.evaluations
    assert last["log_loss"] < 0.5 * first["log_loss"]
    assert last["accuracy"] > 0.9
    assert 0 <= last["flip_rate"] <= 1


def test_the_same_seed_gives_the_same_weights_and_the_same_lines(tmp_path: Path) -> None:
    runs = [train(Small(dropout=0.3), run=Run(tmp_path / name)) for name in "ab"]
    assert torch.equal(weights(runs[0][0]), weights(runs[1][0]))
    assert (tmp_path / "a/metrics.jsonl").read_bytes() == (tmp_path / "b/metrics.jsonl").read_bytes()


def test_dropout_depends_on_the_seed_and_keeps_the_global_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    found = [Small(dropout=0.5), Small(dropout=0.5)]
    for seed, network in enumerate(found):
        settings = TrainingSettings(**FAST, max_steps=1, warmup=0)
        train_network(network, numbers(8), None, settings, seed=seed, run=Run())
    assert not torch.equal(weights(found[0]), weights(found[1]))
    assert torch.equal(torch.rand(1), expected)


def test_a_step_in_eight_passes_is_the_undivided_step() -> None:
    whole, _ = train(max_tokens=10_000, epochs=2, symmetric=0.3)
    divided, _ = train(max_tokens=1, epochs=2, symmetric=0.3)
    assert torch.allclose(weights(whole), weights(divided), atol=after_training(steps=16, learning_rate=1e-2))


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    few = numbers(8)
    doubled = replace(few, weights=np.array([2.0] * 4 + [1.0] * 4))
    rows = [*range(4), *range(8)]
    repeated = Data(Numbers([few.examples.ids[row] for row in rows]), few.targets[rows], np.ones(12))
    weighted, _ = train(train=doubled, epochs=3)
    plain, _ = train(train=repeated, epochs=3, batch_size=12)
    assert torch.allclose(weights(weighted), weights(plain), atol=after_training(steps=3, learning_rate=1e-2))


def test_a_row_of_weight_zero_has_no_effect() -> None:
    few = numbers(8)
    wrong = few.targets.copy()
    wrong[0] = wrong[0][[1, 2, 0]]
    silent = np.array([0.0] + [1.0] * 7)
    one, _ = train(train=replace(few, weights=silent))
    other, _ = train(train=replace(few, weights=silent, targets=wrong))
    assert torch.equal(weights(one), weights(other))


def test_soft_labels_are_met_softly() -> None:
    rows = numbers(30)
    soft = Data(rows.examples, np.tile([0.5, 0.3, 0.2], (30, 1)), rows.weights)
    network, _ = train(train=soft, epochs=30)
    with torch.no_grad():
        found = network(**soft.examples.batch(np.arange(30))).exp().mean((0, 1))
    assert found.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=0.05)


def test_the_best_weights_are_left_in_the_network() -> None:
    valid = numbers(30, seed=1)
    valid = replace(valid, targets=np.roll(valid.targets, 1, axis=1))  # more training is worse
    network, history = train(valid=valid, epochs=6)
    losses = [record["log_loss"] for record in history.evaluations]
    assert history.best_log_loss == min(losses) < losses[-1]
    again = TrainingSettings(**{**FAST, "learning_rate": 1e-12, "max_steps": 1})
    kept = train_network(network, numbers(), valid, again, seed=1, run=Run()).evaluations[0]["log_loss"]
    assert kept == pytest.approx(history.best_log_loss, abs=rounding(width=64, layers=1))


def test_training_stops_early_without_improvement() -> None:
    valid = numbers(30, seed=1)
    valid = replace(valid, targets=np.roll(valid.targets, 1, axis=1))
    _, history = train(valid=valid, epochs=20, patience=2, eval_every=4)
    assert history.records[-1]["step"] == history.best_step + 8
    _, history = train(valid=numbers(30, seed=1), epochs=20, patience=2, eval_every=4, threshold=10.0)
    assert history.records[-1]["step"] == 12  # the first counts as better than nothing


def test_evaluation_comes_by_steps_or_epochs_and_at_the_end() -> None:
    _, by_steps = train(valid=numbers(9), epochs=2, eval_every=7)
    assert [record["step"] for record in by_steps.evaluations] == [7, 14, 16]
    _, by_epochs = train(valid=numbers(9), epochs=2)
    assert [record["step"] for record in by_epochs.evaluations] == [8, 16]


def test_records_count_tokens_and_follow_the_schedule() -> None:
    _, history = train(epochs=2, warmup=4, schedule="linear", learning_rate=1.0, max_steps=12)
    assert [round(record["learning_rate"], 6) for record in history.records[:5]] == [0, 0.25, 0.5, 0.75, 1]
    assert history.records[7]["tokens"] == numbers().examples.costs.sum()
    assert history.records[-1]["step"] == 12
    assert all(np.isfinite(record["grad_norm"]) for record in history.records)


@pytest.mark.parametrize(
    ("schedule", "name"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
def test_schedules_are_those_of_transformers(schedule: str, name: str) -> None:
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=3, num_training_steps=20).lr_lambdas[0]
    ours = make_schedule(TrainingSettings(schedule=schedule, warmup=0.15), steps=20)
    assert [ours(step) for step in range(20)] == pytest.approx([theirs(step) for step in range(20)])


@pytest.mark.parametrize("average", ["ema", "last"])
def test_averaged_weights_are_evaluated_and_kept(average: str) -> None:
    last, _ = train(epochs=4)
    kept, _ = train(epochs=4, average=average, average_last=3)
    assert not torch.equal(weights(last), weights(kept))


def test_the_mean_over_the_last_evaluations_is_their_mean() -> None:
    ends = [weights(train(epochs=3, max_steps=steps, schedule="constant", warmup=0)[0]) for steps in (16, 24)]
    kept, _ = train(epochs=3, schedule="constant", warmup=0, average="last", average_last=2)
    assert torch.allclose(weights(kept), (ends[0] + ends[1]) / 2, atol=float(torch.finfo(torch.float32).eps) * 4)


def test_lower_layers_move_less_when_their_learning_rate_decays() -> None:
    def moved(network: nn.Module) -> list[float]:
        start = Small()
        return [
            float((after - before).detach().abs().max())
            for after, before in zip(network.parameters(), start.parameters(), strict=True)
        ]

    network, _ = train(layer_decay=0.1, max_steps=1, warmup=0, weight_decay=0.0)
    embedding, *_, head = moved(network)
    assert embedding == pytest.approx(head / 1000, rel=0.01)


def test_frozen_parameters_stay_and_a_frozen_network_is_refused() -> None:
    network = Small()
    network.embedding.requires_grad_(False)
    before = network.embedding.weight.clone()
    train(network)
    assert torch.equal(network.embedding.weight, before)
    with pytest.raises(JudgeError, match="every parameter of the network is frozen"):
        train(Small().requires_grad_(False))


def test_biases_and_norms_do_not_decay() -> None:
    network, _ = train(learning_rate=1e-9, weight_decay=1e8, max_steps=1, warmup=0, schedule="constant", epsilon=1e3)
    start = Small()
    assert torch.allclose(network.norm.weight, start.norm.weight)
    assert network.head.weight.detach().norm() < 0.95 * start.head.weight.detach().norm()


class Faulty(Small):
    """A network whose outputs are changed by `fault`."""

    def __init__(self, fault: Callable[[Tensor, nn.Module], Tensor]) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.fault(super().forward(ids, mask), self)


def test_a_loss_that_is_not_finite_stops_and_names_step_and_rows() -> None:
    rows = numbers(16)
    rows.examples.ids[11][:] = 49  # a token of no other row
    network = Small()
    with torch.no_grad():
        network.embedding.weight[49] = float("nan")
    with pytest.raises(JudgeError, match=r"step [12]: the loss of row 11 is not a number"):
        train(network, train=rows)
    with pytest.raises(JudgeError, match=r"the loss of row 'row-11' is not a number"):
        train(network, train=replace(rows, ids=tuple(f"row-{row}" for row in range(16))))


def test_a_gradient_that_is_not_finite_stops() -> None:
    def fault(out: Tensor, network: nn.Module) -> Tensor:
        out.register_hook(lambda gradient: gradient * float("inf"))
        return out

    with pytest.raises(JudgeError, match="step 1: the gradient is not finite"):
        train(Faulty(fault))


def test_a_prediction_that_is_not_finite_stops_training() -> None:
    with pytest.raises(JudgeError, match=r"step 8: the predictions of rows 0, 1, 2, .*are not numbers"):
        train(Faulty(lambda out, network: out if network.training else out * float("nan")), valid=numbers(9))


def test_a_network_of_another_shape_is_refused() -> None:
    with pytest.raises(JudgeError, match=r"shape \(\d+, 3\); needed are log-probabilities"):
        train(Faulty(lambda out, network: out[:, 0]))


@pytest.mark.parametrize(
    ("targets", "given_weights", "message"),
    [
        ([[1, 0, 0], [np.nan, 0, 0]], [1, 1], "row 1 cannot be trained on: the first label is"),
        ([[1, 0, 0], [1, 1, 0]], [1, 1], "row 1 cannot be trained on: the first label is"),
        ([[1, 0, 0], [0, 1, 0]], [np.inf, 1], "row 0 cannot be trained on: the first weight is inf"),
        ([[1, 0, 0], [0, 1, 0]], [0, 0], "the weights of all rows are 0"),
        ([[1, 0, 0]], [1, 1], "2 examples came with targets of shape"),
    ],
)
def test_labels_and_weights_that_are_none_are_refused(targets: Any, given_weights: Any, message: str) -> None:
    with pytest.raises(JudgeError, match=message):
        Data(numbers(2).examples, np.array(targets, float), np.array(given_weights, float))


def test_out_of_memory_halves_the_tokens_of_a_pass_and_changes_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def fault(out: Tensor, network: nn.Module) -> Tensor:
        if network.training and len(out) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return out

    with caplog.at_level(logging.WARNING):
        small, _ = train(Faulty(fault), max_tokens=400)
    assert "step 1: out of memory with 400 tokens in one pass; going on with 200" in caplog.text
    plain, _ = train(max_tokens=400)
    assert torch.allclose(weights(small), weights(plain), atol=after_training(steps=8, learning_rate=1e-2))


def test_a_single_row_that_does_not_fit_in_memory_is_named_by_its_length() -> None:
    def fault(out: Tensor, network: nn.Module) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(JudgeError, match=r"one row of \d+ tokens does not fit in the memory"):
        train(Faulty(fault))


def test_bf16_learns_and_fp16_needs_a_gpu() -> None:
    _, history = train(valid=numbers(30, seed=1), epochs=6, precision="bf16")
    assert history.best_log_loss < 0.7
    with pytest.raises(
        ConfigError, match=r"precision is fp16, which cpu does not compute in; allowed there are auto, fp32 and"
    ):
        train(precision="fp16")


def test_options_that_a_network_does_not_have_are_refused() -> None:
    class Plain(Small):
        layer_groups = TrainableNetwork.layer_groups

    with pytest.raises(ConfigError, match="does not name its layers"):
        train(Plain(), layer_decay=0.9)
    with pytest.raises(ConfigError, match="gradient_checkpointing is on"):
        train(gradient_checkpointing=True)


def test_progress_is_reported_for_every_step() -> None:
    reported: list[tuple[str, int, int]] = []
    train(run=Run(progress=lambda *message: reported.append(message)), max_steps=5)
    assert reported == [("training steps", step, 5) for step in range(1, 6)]


def test_the_log_says_where_a_training_stands(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    run = Run(tmp_path, name=("judge",)).within("fold_0", place="1 of 5")
    caplog.set_level(logging.INFO, logger="votecast")
    train(run=run, max_steps=3)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("fold_0 (1 of 5): Small, 2 layers, 515 parameters, 515 of them trained (100.000%); ")
    assert lines[1] == ("fold_0 (1 of 5): 60 rows in 3 steps, without evaluations (valid_share and eval_rows are 0)")
    assert [line.partition(" in ")[0] for line in lines[2:]] == ["fold_0 (1 of 5): 3 steps"]
    quiet = (tmp_path / "fold_0" / "metrics.jsonl").read_bytes()
    monkeypatch.setattr(step_log, "EVERY", 0.0)
    caplog.clear()
    shutil.rmtree(tmp_path / "fold_0")
    train(run=run, valid=numbers(30, seed=1), max_steps=3, eval_every=2)
    shown = [
        r"fold_0 \(1 of 5\): Small, .* of moments",
        r"fold_0 \(1 of 5\): 60 rows in 3 steps, evaluated every 2 steps on 30 rows to choose the weights",
        r"fold_0 \(1 of 5\): step 1 of 3, loss \d\.\d{4}, [\d,]+ tokens/s, 0:\d\d:\d\d left",
        r"fold_0 \(1 of 5\): step 2, epoch [\d.]+, log_loss [\d.]+, accuracy [\d.]+, flip_rate [\d.]+",
        r"fold_0 \(1 of 5\): step 2 of 3, .* left",
        r"fold_0 \(1 of 5\): step 3, .*log_loss.*",
        r"fold_0 \(1 of 5\): 3 steps in 0:\d\d:\d\d, [\d,]+ tokens/s",
    ]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(shown)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(shown, lines, strict=True)), lines
    assert (tmp_path / "fold_0" / "metrics.jsonl").read_bytes().splitlines()[0] == quiet.splitlines()[0]


def test_watched_rows_are_measured_and_change_nothing() -> None:
    plain, _ = train(Small(dropout=0.3), max_steps=6, eval_every=2)
    settings = TrainingSettings(**FAST, max_steps=6, eval_every=2, patience=1)
    network = Small(dropout=0.3)
    watched = numbers(30, seed=1)
    history = train_network(network, numbers(), None, settings, seed=1, run=HERE, watched=watched)
    assert [record["step"] for record in history.evaluations] == [2, 4, 6]
    assert (history.best_step, history.best_log_loss) == (None, None)
    assert torch.equal(weights(network), weights(plain))


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict[str, Any]]]:
    """Register a tracker of accelerate's own class, and return what it logs by run."""
    from accelerate import PartialState, tracking
    from accelerate.logging import get_logger

    monkeypatch.setattr(PartialState, "_shared_state", {})  # a family without torch has not made it
    pages: dict[str, list[dict[str, Any]]] = {}

    class Notebook(tracking.GeneralTracker):
        name = "notebook"
        requires_logging_directory = True
        tracker = None

        def __init__(self, run_name: str, logging_dir: str) -> None:
            super().__init__()
            self.run_name = f"{logging_dir}: {run_name}"

        def start(self) -> None:
            get_logger(__name__).debug("as trackers of accelerate do, which asks for its state")
            self.page = pages[self.run_name] = []

        def store_init_configuration(self, values: dict[str, Any]) -> None:
            assert values["max_steps"] == 3

        def log(self, values: dict[str, Any], step: int) -> None:
            if len(self.page) == 2:
                raise ConnectionError("gone")
            self.page.append({"step": step, **values})

        def finish(self) -> None:
            self.page.append({})

    monkeypatch.setattr(tracking, "LOGGER_TYPE_TO_CLASS", dict(tracking.LOGGER_TYPE_TO_CLASS))
    tracking.register_tracker_class(Notebook)
    return pages


def test_unknown_and_absent_trackers_are_refused(notebook: dict[str, list[dict[str, Any]]]) -> None:
    with pytest.raises(ConfigError, match=r"report_to names 'paper'; allowed are .*tensorboard"):
        train(report_to="paper")
    with pytest.raises(MissingExtraError, match=r"report_to names 'comet_ml', .*: pip install comet-ml"):
        train(report_to=("comet_ml",))
    with pytest.raises(ConfigError, match="'notebook', which writes files beside the judge folder, and .* has none"):
        train(report_to=("notebook",))
    assert not notebook
    member = {"family": "cross_encoder", "model": {"training": {"report_to": "comet_ml"}}}
    with pytest.raises(MissingExtraError, match="report_to names 'comet_ml'"):  # before the file is opened
        votecast.train({"family": "average", "model": {"members": [member]}}, "missing.csv")


def test_a_tracker_gets_every_line_and_may_fail(
    notebook: dict[str, list[dict[str, Any]]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(name=("judge",), logs=tmp_path / "judge.logs")
    with Journal(run.within("keras"), [], report_to=["notebook"], settings={"max_steps": 3}) as journal:
        journal.add({"step": 1, "loss": 1.1})
    assert notebook[f"{tmp_path}/judge.logs: judge/keras"] == [*journal.records, {}]
    notebook.clear()
    _, history = train(report_to="notebook", max_steps=3, log_every=2, run=run.within("fold_0"))
    assert notebook == {f"{tmp_path}/judge.logs: judge/fold_0": [*history.records, {}]}
    assert not caplog.records
    _, history = train(report_to="notebook", max_steps=3, log_every=1, run=run.within("fold_1"))
    assert notebook[f"{tmp_path}/judge.logs: judge/fold_1"] == history.records[:2]
    assert [record.getMessage() for record in caplog.records] == [
        "the tracker notebook is left out from now on: ConnectionError: gone"
    ]


def test_a_warm_up_of_half_steps_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"warmup is 2\.5"):
        TrainingSettings.parse({"warmup": 2.5})
