"""Measure scoring and training of a Gemma-2-9B-sized decoder on a GPU.

    python benchmarks/gpu_decoder.py [--rows 512] [--steps 12] [--peak 790]      # skips without CUDA
    python benchmarks/gpu_decoder.py --try                                       # a small model on any machine

Random weights in bf16. Lengths are drawn by seed from a fixed table of an arena's, cut at 2 048 tokens. The peers take
rows in random order, each batch padded to its longest row: for scoring the bare model of transformers, for training
`Trainer` with adapters of peft. Outputs are compared before any speed is shown; of the two kinds of work, a seed draws
which contender comes first. Arithmetic of a token: twice the weights of the layers, and 4 x width of the heads x the
tokens it sees in the attention of every layer; training counts this forward once, and once more for the share of layers
trained through, nothing for recomputation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (60, 140, 230, 340, 470, 620, 800, 1040, 1420, 2048, 2048)
"""Tokens of prompt and both answers at every tenth of an arena's rows, cut at 2 048."""
LARGE = {
    "hidden_size": 3584,
    "num_hidden_layers": 42,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "intermediate_size": 14336,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "vocab_size": 256_000,
}
SMALL = LARGE | {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "sliding_window": 64,
    "vocab_size": 1000,
}
BATCH, STEP, WARM, CLOSE = 16, 16, 2, 0.2
MARKS = {"scoring": (40, 65, 1.8, 3.0), "training": (30, 55, 1.8, 3.0)}


def network_of(shape: dict[str, Any], device: str) -> Any:
    """Return a decoder network with random bf16 weights."""
    import torch
    from transformers import AutoConfig, AutoModel

    from votecast.models.decoder import DecoderNetwork

    torch.manual_seed(0)
    config = AutoConfig.for_model("gemma2", max_position_embeddings=8192, pad_token_id=0, use_cache=False, **shape)
    with torch.device(device):
        backbone = AutoModel.from_config(config, dtype=torch.bfloat16, attn_implementation="eager")
    network = DecoderNetwork(backbone, both_orders=False).to(device)
    torch.nn.init.normal_(network.score.weight, std=0.02)
    return network


def rows_of(count: int, vocabulary: int) -> Any:
    """Return sequences of random tokens with arena-like lengths."""
    from votecast.text.sequences import Sequences

    rng = np.random.default_rng(2)
    lengths = np.interp(rng.random(count), np.linspace(0, 1, len(QUANTILES)), QUANTILES).astype(np.int64)
    return Sequences(
        rng.integers(10, vocabulary, lengths.sum()).astype(np.int32), np.concatenate([[0], np.cumsum(lengths)])
    )


def work_of(network: Any, sequences: Any, shape: dict[str, Any], trained: float = 0.0) -> float:
    """Return the floating point operations of a pass over all sequences."""
    weights = sum(p.numel() for p in network.backbone.layers.parameters())
    lengths = sequences.lengths.astype(np.float64)
    width = shape["num_attention_heads"] * shape["head_dim"]
    attention = 4 * shape["num_hidden_layers"] * width * (lengths * (lengths + 1) / 2).sum()
    return float((2 * weights * lengths.sum() + attention) * (1 + trained))


def timed(run: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Return seconds and result of a call."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, found


def padded_scores(network: Any, sequences: Any, device: str) -> NDArray[np.float32]:
    """Score with transformers, rows in random order."""
    import torch

    from votecast.models.neural.last_states import padded_last_states

    order = np.random.default_rng(1).permutation(len(sequences))
    out = np.zeros((len(sequences), 3), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            made = sequences.padded(rows, pad_id=0, multiple=1)
            ids, mask = (torch.from_numpy(x).to(device) for x in (made.ids, made.mask))
            out[rows] = network.score(padded_last_states(network.backbone, ids, mask).float()).cpu().numpy()
    return out


def scoring(network: Any, sequences: Any, device: str) -> tuple[float, float, float]:
    """Return seconds of votecast and transformers, and the output difference."""
    from votecast.inference.engine import Engine
    from votecast.inference.settings import InferenceSettings

    network.eval()
    places = ("cuda:0",) if device == "cuda" else ("cpu",)
    engine = Engine(network, InferenceSettings(precision="bf16", devices=places, max_tokens=65536))
    runs: dict[str, Callable[[], Any]] = {
        "votecast": lambda: engine.encode(sequences, pad_id=0),
        "transformers": lambda: padded_scores(network, sequences, device),
    }
    first = {name: run() for name, run in runs.items()}  # warm
    names = np.random.default_rng(3).permutation(list(runs))
    seconds = {name: timed(runs[name], device)[0] for name in names}
    gap = float(np.abs(first["votecast"] - first["transformers"]).max())
    return seconds["votecast"], seconds["transformers"], gap


def adapted(network: Any, layers: int) -> Any:
    """Add the adapters of system 3 to the upper layers."""
    from votecast.models.neural.adapters import add_adapter
    from votecast.models.neural.settings import AdapterSettings

    targets = ("q_proj", "k_proj", "v_proj")
    return add_adapter(
        network, AdapterSettings(rank=16, alpha=32.0, targets=targets, layers=(layers * 16 // 42, layers - 1))
    )


def our_training(network: Any, sequences: Any) -> float:
    """Return the seconds of all steps but the first ones."""
    from votecast.models.neural.examples import PairExamples
    from votecast.training.loop import train_network
    from votecast.training.settings import TrainingSettings
    from votecast.training.training_rows import Data
    from votecast.types import Run

    targets = np.eye(3)[np.arange(len(sequences)) % 3]
    data = Data(PairExamples((sequences,), None, None, 0), targets, np.ones(len(targets)))
    settings = TrainingSettings(
        batch_size=STEP, max_tokens=16384, bucketing=1, warmup=0, valid_share=0, precision="bf16", log_every=1000
    )
    ends: list[float] = []
    train_network(network, data, None, settings, seed=0, run=Run(progress=lambda *_: ends.append(time.perf_counter())))
    return ends[-1] - ends[WARM - 1]


def peer_training(network: Any, sequences: Any, device: str) -> float:
    """Train with Trainer: random order, padded batches."""
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from votecast.models.neural.last_states import padded_last_states

    ends: list[float] = []

    class Whole(torch.nn.Module):
        """A padded forward pass under the same head."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any) -> dict[str, Any]:
            logits = network.score(padded_last_states(network.backbone, input_ids, attention_mask).float())
            return {"loss": torch.nn.functional.cross_entropy(logits, labels)}

    class Clock(TrainerCallback):
        """Record when every step ends."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            if device == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    def collate(rows: list[int]) -> dict[str, Any]:
        made = sequences.padded(rows, pad_id=0, multiple=1)
        labels = torch.tensor([row % 3 for row in rows])
        return {
            "input_ids": torch.from_numpy(made.ids),
            "attention_mask": torch.from_numpy(made.mask),
            "labels": labels,
        }

    with tempfile.TemporaryDirectory() as place:
        arguments = TrainingArguments(
            output_dir=place,
            per_device_train_batch_size=STEP // 4,
            gradient_accumulation_steps=4,
            num_train_epochs=1,
            use_cpu=device == "cpu",
            bf16=True,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        rows = list(range(len(sequences)))
        Trainer(model=Whole(), args=arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]).train()
    return ends[-1] - ends[WARM - 1]


def report_speed(name: str, ours: float, theirs: float, work: float, peak: float) -> bool:
    """Print a line; return whether its marks are reached."""
    share, aim, ratio, ratio_aim = MARKS[name]
    reached = work / ours / peak / 1e10
    print(
        f"{name}: {reached:.1f} % of {peak:.0f} TFLOP/s (reach {share}, aim {aim}); {theirs / ours:.2f}x transformers "
        f"(reach {ratio}x, aim {ratio_aim:.0f}x)",
        flush=True,
    )
    return reached >= share and theirs / ours >= ratio


def main() -> int:
    """Measure and print; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: the lengths stand in this file")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--peak", type=float, default=790.0, help="10^12 operations a second of the device in bf16")
    parser.add_argument("--try", action="store_true", dest="trial")
    asked = parser.parse_args()
    import torch

    if not torch.cuda.is_available() and not asked.trial:
        print("skipped: needs a CUDA device; --try runs a small model on this machine")
        return 0
    device, shape = ("cpu", SMALL) if asked.trial else ("cuda", LARGE)
    rows, steps = (4, WARM + 1) if asked.trial else (asked.rows, asked.steps)
    network = network_of(shape, device)
    sequences = rows_of(rows, shape["vocab_size"])
    ours, theirs, gap = scoring(network, sequences, device)
    print(f"outputs differ by {gap:.3f}, at most {CLOSE}")
    fine = report_speed("scoring", ours, theirs, work_of(network, sequences, shape), asked.peak) and gap <= CLOSE
    examples = rows_of(steps * STEP, shape["vocab_size"])
    layers = shape["num_hidden_layers"]
    share = 1 - (layers * 16 // 42) / layers
    timed_work = work_of(network, examples, shape, share) * (steps - WARM) / steps
    network = adapted(network, layers)
    network.train()
    runs = [("votecast", lambda: our_training(network, examples))]
    runs.insert(
        int(np.random.default_rng(4).integers(2)), ("Trainer", lambda: peer_training(network, examples, device))
    )
    seconds = {name: run() for name, run in runs}
    fine &= report_speed("training", seconds["votecast"], seconds["Trainer"], timed_work, asked.peak)
    return int(not fine and not asked.trial)


if __name__ == "__main__":
    raise SystemExit(main())
