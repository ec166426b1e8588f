"""Measure real tokens trained per second beside `transformers.Trainer`.

    python benchmarks/training_speed.py --data DIR [--rows 384]

MiniLM with a head of three labels, drawn by a fixed seed, reads `[CLS] P [SEP] A [SEP] B` of at most 512 tokens, one
order, on two cores; 32 rows a step, AdamW, clipping at 1, dropout off. Padding does not count as tokens. Every
contender runs in a process of its own with token ids made beforehand, and trains two steps before the clock starts.
Before any speed is shown, the loss of the untrained network over all rows is compared.

- trainer: `transformers.Trainer` in fp32, rows in random order, every batch padded to its longest row
- votecast: rows of similar length together, passes of a fixed number of tokens; in fp32, and as it is by default
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from _votes import data_parser, folder_or_leave, training_votes

LENGTH, THREADS, BATCH, WARM, CLOSE = 512, 2, 32, 2, 1e-4
CONTENDERS = ("votecast fp32", "votecast auto", "trainer")
REACH, AIM = 1.3, 2.0


def prepare(work: Path, data: Path, rows: int) -> None:
    """Write the model, token ids and labels of sampled rows."""
    import torch

    from votecast.models.neural.backbone import Source
    from votecast.models.neural.hub import silence_transformers
    from votecast.text.encoder import TextEncoder
    from votecast.text.settings import TextSettings

    source = Source.of("minilm")
    tokenizer = source.tokenizer()
    torch.manual_seed(0)
    model = source.load("classifier", dropout=0.0)
    with silence_transformers():
        model.save_pretrained(work / "model")
    votes = training_votes(data)
    battles = votes.take(np.sort(np.random.default_rng(0).permutation(len(votes))[:rows]))
    text = TextEncoder(tokenizer, TextSettings(cut="balanced", max_length=LENGTH))
    made = text.pairs(text.tokenize(battles)).sequences
    types = np.minimum(made.types, 1)  # BERT knows two segments
    np.savez(work / "rows.npz", ids=made.ids, offsets=made.offsets, types=types, targets=battles.targets())


def load(work: Path) -> tuple[Any, Any, Any]:
    """Return the classifier, its sequences and soft labels."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from votecast.text.sequences import Sequences

    torch.set_num_threads(THREADS)
    stored = np.load(work / "rows.npz")
    model = AutoModelForSequenceClassification.from_pretrained(work / "model", dtype=torch.float32)
    return model, Sequences(stored["ids"], stored["offsets"], stored["types"]), stored["targets"]


def votecast(work: Path, precision: Any) -> dict[str, float]:
    """Train one epoch with the engine of votecast."""
    from votecast.models.cross_encoder import CrossNetwork
    from votecast.models.neural.examples import PairExamples
    from votecast.training import loop
    from votecast.training.mixed_precision import choose_precision
    from votecast.training.processes import Processes
    from votecast.training.settings import TrainingSettings
    from votecast.training.step import evaluate
    from votecast.training.training_rows import Data
    from votecast.types import Run

    model, sequences, targets = load(work)
    network = CrossNetwork(model, both_orders=False)
    examples = PairExamples((sequences,), None, None, 0)
    data = Data(examples, targets, np.ones(len(targets)))
    processes = Processes()
    exact = choose_precision("fp32", processes.device)
    before = evaluate(network, data, budget=8192, precision=exact, processes=processes, place="start")
    settings = TrainingSettings(
        batch_size=BATCH, learning_rate=2e-5, warmup=0, valid_share=0, precision=precision, log_every=1000
    )
    ends: list[tuple[int, float]] = []
    run = Run(progress=lambda _, done, __: ends.append((done, time.perf_counter())))
    loop.train_network(network, data, None, settings, seed=0, run=run)
    plan = loop.StepPlan(costs=examples.costs, rows=BATCH, epochs=1, bucketing=settings.bucketing, seed=0)
    timed = np.concatenate(plan.epoch(0)[WARM:])
    seconds = ends[-1][1] - ends[WARM - 1][1]
    return {"loss": before["log_loss"], "rate": float(sequences.lengths[timed].sum()) / seconds}


def trainer(work: Path) -> dict[str, float]:
    """Train one epoch with the Trainer of transformers."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model, sequences, targets = load(work)
    taken: list[int] = []
    ends: list[float] = []

    def collate(rows: list[int]) -> dict[str, Any]:
        taken.extend(rows)
        padded = sequences.padded(rows, pad_id=0, multiple=1)
        tensors = {"input_ids": padded.ids, "attention_mask": padded.mask, "token_type_ids": padded.types}
        return {name: torch.from_numpy(array) for name, array in tensors.items()} | {
            "labels": torch.tensor(targets[rows], dtype=torch.float32)
        }

    class Clock(TrainerCallback):
        """Record when every step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    class Soft(Trainer):
        """Train on soft labels with cross entropy, rows in the given order."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = -(labels * torch.log_softmax(outputs.logits, -1)).sum(1).mean()
            return (loss, outputs) if return_outputs else loss

    with torch.no_grad():
        model.eval()
        parts = [np.arange(start, min(start + 16, len(targets))) for start in range(0, len(targets), 16)]
        total = 0.0
        for part in parts:
            batch = collate(part.tolist())
            labels = batch.pop("labels")
            total -= float((labels * torch.log_softmax(model(**batch).logits, -1)).sum())
    taken.clear()
    arguments = TrainingArguments(
        output_dir=str(work / "trainer"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=2e-5,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    worker = Soft(
        model=model, args=arguments, train_dataset=list(range(len(targets))), data_collator=collate, callbacks=[Clock()]
    )
    worker.train()
    timed = np.array(taken[WARM * BATCH :])
    seconds = ends[-1] - ends[WARM - 1]
    return {"loss": total / len(targets), "rate": float(sequences.lengths[timed].sum()) / seconds}


def run_contender(name: str, work: Path) -> None:
    """Train in this process and print the figures."""
    warnings.simplefilter("ignore")
    print(json.dumps(trainer(work) if name == "trainer" else votecast(work, name.split()[1])))


def main() -> int:
    """Measure and print; return 1 if the mark is missed."""
    parser = data_parser(__doc__)
    parser.add_argument("--rows", type=int, default=384)
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--work", type=Path)
    asked = parser.parse_args()
    if asked.contender:
        run_contender(asked.contender, asked.work)
        return 0
    data = folder_or_leave(asked.data)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        prepare(work, data, asked.rows)
        print(f"{asked.rows} rows, {BATCH} a step; load {os.getloadavg()[0]:.1f}", flush=True)
        found: dict[str, dict[str, float]] = {}
        for name in CONTENDERS:
            command = [sys.executable, __file__, "--contender", name, "--work", place]
            environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
            ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
            if ran.returncode:
                raise SystemExit(f"{name} failed:\n{ran.stderr[-3000:]}")
            found[name] = json.loads(ran.stdout.splitlines()[-1])
            print(f"  {name}: {found[name]['rate']:,.0f} tokens a second", flush=True)
    gap = max(abs(one["loss"] - found["trainer"]["loss"]) for one in found.values())
    print(f"losses before training differ by {gap:.1e}, at most {CLOSE:.0e}: {'fine' if gap <= CLOSE else 'DIFFERENT'}")
    ratios = {name: one["rate"] / found["trainer"]["rate"] for name, one in found.items() if name != "trainer"}
    for name, ratio in ratios.items():
        print(f"{name} against trainer: {ratio:.2f}x (reach {REACH}x, aim {AIM:.0f}x)")
    fine = gap <= CLOSE and max(ratios.values()) >= REACH
    print(f"mark: {'reached' if fine else 'MISSED'}")
    return int(not fine)


if __name__ == "__main__":
    raise SystemExit(main())
