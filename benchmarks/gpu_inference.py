"""Measure DeBERTa-v3-large on a GPU: rows per second and hardware utilisation.

    python benchmarks/gpu_inference.py [--rows 4096] [--peak 790]      # skips without CUDA
    python benchmarks/gpu_inference.py --try                           # a few rows of a small model on any machine

Random weights in bf16. Lengths are drawn by seed from a fixed table of an arena's, cut at 512 tokens; once more all
rows have 512. The peer takes rows in random order, 64 at a time, each batch padded to its longest row. Outputs are
compared before any speed is shown. The arithmetic of a token is counted as twice the weights of the layers, and 12 x
length x width in the attention of every layer (content to content, content to position, position to content).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = (40, 90, 150, 230, 320, 420, 512, 512, 512, 512, 512)
"""Tokens of prompt and both answers at every tenth of an arena's rows, cut at 512."""
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
LENGTH, BATCH, CLOSE = 512, 64, 0.1
MARKS = {"arena": (2.0, 5.0), "full": (1.3, 1.3)}


def network_of(shape: dict[str, int], vocabulary: int, device: str) -> Any:
    """Return a cross-encoder of DeBERTa-v3's shape with random weights."""
    import torch
    from transformers import AutoModelForSequenceClassification, DebertaV2Config

    from votecast.models.cross_encoder import CrossNetwork

    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=vocabulary,
        type_vocab_size=0,
        relative_attention=True,
        position_biased_input=False,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_buckets=256,
        max_relative_positions=-1,
        pooler_hidden_size=shape["hidden_size"],
        num_labels=3,
        **shape,
    )
    model = AutoModelForSequenceClassification.from_config(config).to(device).eval()
    return CrossNetwork(model, both_orders=False)


def rows_of(lengths: NDArray[np.int64], vocabulary: int) -> Any:
    """Return random token sequences of these lengths."""
    from votecast.text.sequences import Sequences

    drawn = np.random.default_rng(0).integers(10, vocabulary, lengths.sum()).astype(np.int32)
    return Sequences(drawn, np.concatenate([[0], np.cumsum(lengths)]))


def peer(network: Any, sequences: Any, device: str) -> NDArray[np.float32]:
    """Run transformers' classifier in bf16, padded batches in random order."""
    import torch

    order = np.random.default_rng(1).permutation(len(sequences))
    out = np.zeros((len(sequences), 3), np.float32)
    with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            padded = sequences.padded(rows, pad_id=0, multiple=1)
            ids, mask = (torch.from_numpy(x).to(device) for x in (padded.ids, padded.mask))
            out[rows] = network.backbone(ids, attention_mask=mask).logits.float().cpu().numpy()
    return out


def timed(score: Callable[[], NDArray[np.float32]]) -> tuple[float, NDArray[np.float32]]:
    """Return seconds and outputs of the second call."""
    score()
    start = time.perf_counter()
    found = score()
    return time.perf_counter() - start, found


def main() -> int:
    """Measure and print; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: the lengths stand in this file")
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--peak", type=float, default=790.0, help="10^12 operations a second of the device in bf16")
    parser.add_argument("--try", action="store_true", dest="trial")
    asked = parser.parse_args()
    import torch

    from votecast.inference.engine import Engine
    from votecast.inference.settings import InferenceSettings

    if not torch.cuda.is_available() and not asked.trial:
        print("skipped: needs a CUDA device; --try runs a small model on this machine")
        return 0
    device, shape, vocabulary = ("cpu", SMALL, 1000) if asked.trial else ("cuda", LARGE, 128_100)
    network = network_of(shape, vocabulary, device)
    engine = Engine(network, InferenceSettings(precision="bf16", devices=("cpu",) if asked.trial else ("cuda:0",)))
    weights = sum(p.numel() for name, p in network.named_parameters() if "embeddings" not in name)
    missed = False
    for name, (reach, aim) in MARKS.items():
        rows = 128 if asked.trial else asked.rows
        share = np.random.default_rng(2).random(rows)
        lengths = np.interp(share, np.linspace(0, 1, len(QUANTILES)), QUANTILES).astype(np.int64)
        sequences = rows_of(lengths if name == "arena" else np.full(rows, LENGTH), vocabulary)
        ours, mine = timed(lambda sequences=sequences: engine.encode(sequences, pad_id=0))
        theirs, their = timed(lambda sequences=sequences: peer(network, sequences, device))
        gap = float(np.abs(mine - their).max())
        wide = sequences.lengths.astype(np.float64)
        work = 2 * weights * wide.sum() + 12 * shape["num_hidden_layers"] * shape["hidden_size"] * (wide**2).sum()
        missed |= theirs / ours < reach or gap > CLOSE
        print(
            f"{name}: {rows / ours:,.0f} rows a second, transformers {rows / theirs:,.0f}: {theirs / ours:.2f}x "
            f"(reach {reach}x, aim {aim}x); outputs differ by {gap:.3f}, at most {CLOSE}; "
            f"{work / ours / asked.peak / 1e10:.1f} % of {asked.peak:.0f} TFLOP/s (reach 25, aim 40)"
        )
    return int(missed and not asked.trial)


if __name__ == "__main__":
    raise SystemExit(main())
