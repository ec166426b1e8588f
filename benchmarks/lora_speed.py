"""Measure LoRA training of SmolLM2 on two cores beside Trainer and peft.

    python benchmarks/lora_speed.py --data DIR [--steps 100] [--rows 16] [--length 384] [--checkpointing] [--all]

SmolLM2-135M with a head of three labels reads prompt and both answers, one order; adapters of rank 16 on queries, keys
and values of the layers 15 to 29. All contenders begin with the same adapters and the same head, and take the same rows
in the same random order, so many a step, with the same learning rates. Padding does not count as tokens. Each runs in a
process of its own with token ids made beforehand, and trains two steps before the clock starts.

- votecast: weights held in bf16, sequences end to end
- trainer bf16: the sequence classifier of transformers in bf16, `Trainer` with bf16 on, default padding
- trainer fp32 (with --all): the same in fp32

A mark counts against the faster of them. The curve is the mean loss over every 20 steps in a row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from _votes import data_parser, folder_or_leave, training_votes

THREADS, WARM, SMOOTH, RATE = 2, 2, 20, 2e-4
CONTENDERS = ("votecast", "trainer bf16", "trainer fp32")
REACH, AIM, MEMORY, MEMORY_AIM, CURVE = 1.3, 2.0, 0.9, 0.6, 0.005


def prepare(work: Path, data: Path, asked: argparse.Namespace) -> None:
    """Write token ids, labels, row order and initial weights."""
    import torch
    from safetensors.torch import save_file

    from votecast.models.neural.backbone import Source
    from votecast.text.encoder import TextEncoder
    from votecast.text.settings import TextSettings
    from votecast.training.training_rows import StepPlan

    source = Source.of(asked.model)
    votes, count = training_votes(data), asked.steps * asked.rows
    battles = votes.take(np.sort(np.random.default_rng(0).permutation(len(votes))[:count]))
    settings = TextSettings(template="tags", cut="balanced", max_length=asked.length, eos=True)
    text = TextEncoder(source.tokenizer(eos_as_padding=True), settings)
    made = text.pairs(text.tokenize(battles)).sequences
    order = np.concatenate(StepPlan(made.lengths, rows=asked.rows, epochs=1, bucketing=1, seed=0).epoch(0))
    np.savez(work / "rows.npz", ids=made.ids, offsets=made.offsets, targets=battles.targets(), order=order)
    torch.manual_seed(0)
    network = our_network(source.path)
    save_file(begun(network), work / "start.safetensors")
    (work / "asked.json").write_text(json.dumps(vars(asked) | {"path": source.path, "work": None, "data": None}))


def our_network(path: str) -> Any:
    """Return the judge's network: bf16 causal model, fp32 adapters and head."""
    import torch
    from transformers import AutoModel

    from votecast.models.decoder import DecoderNetwork
    from votecast.models.neural.adapters import add_adapter
    from votecast.models.neural.settings import AdapterSettings

    backbone = AutoModel.from_pretrained(path, dtype=torch.bfloat16)
    adapter = AdapterSettings(rank=16, alpha=32.0, targets=("q_proj", "k_proj", "v_proj"), layers=(15, 29))
    return add_adapter(DecoderNetwork(backbone, both_orders=False), adapter)


def begun(model: Any) -> dict[str, Any]:
    """Return the trainable tensors by names that all contenders share."""
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return {"score" if "score" in name else name[name.index("layers.") :]: p for name, p in learning.items()}


def load(work: Path, model: Any) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Load the initial adapters and head; return the training data."""
    import torch
    from safetensors.torch import load_file

    from votecast.text.sequences import Sequences

    torch.set_num_threads(THREADS)
    start, mine = load_file(work / "start.safetensors"), begun(model)
    if start.keys() != mine.keys():
        raise SystemExit(f"the adapters differ: {sorted(start.keys() ^ mine.keys())[:4]}")
    with torch.no_grad():
        for name, value in start.items():
            mine[name].copy_(value)
    stored, asked = np.load(work / "rows.npz"), json.loads((work / "asked.json").read_text())
    return Sequences(stored["ids"], stored["offsets"]), stored["targets"], stored["order"], asked


def figures(losses: list[float], ends: list[float], sequences: Any, order: Any, rows: int) -> dict[str, Any]:
    """Print the figures of a contender."""
    tokens = float(sequences.lengths[order[WARM * rows :]].sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"losses": losses, "rate": tokens / (ends[-1] - ends[WARM - 1]), "peak": peak}


def votecast(work: Path) -> dict[str, Any]:
    """Train with the engine of votecast."""
    from votecast.models.neural.examples import PairExamples
    from votecast.training.loop import train_network
    from votecast.training.settings import TrainingSettings
    from votecast.training.training_rows import Data
    from votecast.types import Run

    network = our_network(json.loads((work / "asked.json").read_text())["path"])
    sequences, targets, order, asked = load(work, network)
    data = Data(PairExamples((sequences,), None, None, 0), targets, np.ones(len(targets)))
    settings = TrainingSettings(
        batch_size=asked["rows"],
        max_tokens=2048,
        bucketing=1,
        learning_rate=RATE,
        warmup=0,
        weight_decay=0,
        valid_share=0,
        log_every=1,
        gradient_checkpointing=asked["checkpointing"],
    )
    ends: list[float] = []
    run = Run(progress=lambda *_: ends.append(time.perf_counter()))
    history = train_network(network, data, None, settings, seed=0, run=run)
    losses = [record["loss"] for record in history.records if "loss" in record]
    return figures(losses, ends[-len(losses) :], sequences, order, asked["rows"])


def trainer(work: Path, precision: str) -> dict[str, Any]:
    """Train with the Trainer of transformers, adapters of peft in its classifier."""
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

    path = json.loads((work / "asked.json").read_text())["path"]
    half = precision == "bf16"
    dtype = torch.bfloat16 if half else torch.float32
    model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=3, dtype=dtype)
    model.config.pad_token_id = 0  # not the end token, which SmolLM2 also uses as padding
    model.config.use_cache = False
    model.score.float()
    names = [f"layers.{i}.self_attn.{name}" for i in range(15, 30) for name in ("q_proj", "k_proj", "v_proj")]
    adapter = peft.LoraConfig(r=16, lora_alpha=32, target_modules=names, task_type=peft.TaskType.SEQ_CLS)
    model = peft.get_peft_model(model, adapter)
    sequences, targets, order, asked = load(work, model)
    losses: list[float] = []
    ends: list[float] = []

    def collate(rows: list[int]) -> dict[str, Any]:
        padded = sequences.padded(rows, pad_id=model.config.pad_token_id, multiple=1)
        tensors = {"input_ids": padded.ids, "attention_mask": padded.mask}
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
            loss = -(labels * torch.log_softmax(outputs.logits.float(), -1)).sum(1).mean()
            losses.append(float(loss))
            return (loss, outputs) if return_outputs else loss

        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return torch.utils.data.SequentialSampler(order)

    arguments = TrainingArguments(
        output_dir=str(work / "trainer"),
        per_device_train_batch_size=asked["rows"],
        num_train_epochs=1,
        learning_rate=RATE,
        use_cpu=True,
        bf16=half,
        gradient_checkpointing=asked["checkpointing"],
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    dataset = [int(row) for row in order]
    Soft(model=model, args=arguments, train_dataset=dataset, data_collator=collate, callbacks=[Clock()]).train()
    return figures(losses, ends, sequences, order, asked["rows"])


def compare(found: dict[str, dict[str, Any]]) -> bool:
    """Print votecast against each contender; return whether all marks are reached."""
    ours, fine = found["votecast"], True
    steady = min(SMOOTH, len(ours["losses"]))
    smooth = {name: np.convolve(one["losses"], np.ones(steady) / steady, "valid") for name, one in found.items()}
    fastest = max((name for name in found if name != "votecast"), key=lambda name: found[name]["rate"])
    for name, one in found.items():
        if name == "votecast":
            continue
        ratio, memory = ours["rate"] / one["rate"], ours["peak"] / one["peak"]
        apart = float(np.abs(smooth["votecast"] / smooth[name] - 1).max())
        print(
            f"votecast against {name}: {ratio:.2f}x (reach {REACH}x, aim {AIM:.0f}x); peak memory {memory:.2f}x (reach "
            f"{MEMORY}x, aim {MEMORY_AIM}x); loss curves differ by {apart:.2%}, at most {CURVE:.1%}"
        )
        if name == fastest:
            fine = ratio >= REACH and memory <= MEMORY and apart <= CURVE
    print(f"mark, against {fastest}: {'reached' if fine else 'MISSED'}")
    return fine


def main() -> int:
    """Measure and print; return 1 if a mark is missed."""
    parser = data_parser(__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rows", type=int, default=16, help="of one step")
    parser.add_argument("--length", type=int, default=384, help="most tokens of a row")
    parser.add_argument("--model", default="smollm2", help="another folder of the same architecture")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--all", action="store_true", help="with Trainer in fp32 too")
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        warnings.simplefilter("ignore")
        kind = asked.contender.split()
        print(json.dumps(votecast(asked.work) if kind[0] == "votecast" else trainer(asked.work, kind[1])))
        return 0
    data = folder_or_leave(asked.data)
    if asked.steps <= WARM:
        parser.error(f"--steps is {asked.steps}, and {WARM} pass before the clock starts; give more")
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place), data, asked)
        print(f"{asked.steps} steps of {asked.rows} rows; load {os.getloadavg()[0]:.1f}", flush=True)
        found: dict[str, dict[str, Any]] = {}
        for name in CONTENDERS if asked.all else CONTENDERS[:2]:
            command = [sys.executable, __file__, "--contender", name, "--work", place]
            environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
            ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
            if ran.returncode:
                raise SystemExit(f"{name} failed:\n{ran.stderr[-3000:]}")
            found[name] = json.loads(ran.stdout.splitlines()[-1])
            one = found[name]
            print(
                f"  {name}: {one['rate']:,.0f} tokens a second, {one['peak']:,.0f} MiB at most, "
                f"mean loss {np.mean(one['losses']):.4f}",
                flush=True,
            )
    return int(not compare(found))


if __name__ == "__main__":
    raise SystemExit(main())
