"""Compare votecast's forward passes of encoders with the layers of transformers.

    python benchmarks/encoder_passes.py [--rows 96] [--rounds 5] [--precision fp32]

A pass of our own is worth its lines only where it is at least 1.2 times as fast as the simplest alternative: the same
engine and batches, but the network as transformers has it. Weights are drawn at random in the shapes of MiniLM-L6
and DeBERTa-v3-small (with a small vocabulary); row lengths are those of chats, at most 512 tokens. Each
contender is warmed up by a whole pass; rounds are interleaved; outputs are compared first.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from votecast.inference.engine import Engine
from votecast.inference.settings import InferenceSettings
from votecast.models.cross_encoder import CrossNetwork
from votecast.text.sequences import Sequences

VOCABULARY = 4_000
WORTH = 1.2
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT (MiniLM-L6)": (
        "bert",
        {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
    "DeBERTa-v3-small": (
        "deberta-v2",
        {
            "hidden_size": 768,
            "num_hidden_layers": 6,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "max_position_embeddings": 512,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "max_relative_positions": -1,
        },
    ),
}


def draw_sequences(rows: int) -> Sequences:
    """Draw token ids with chat-like lengths: median about 300, at most 512."""
    draw = np.random.default_rng(0)
    lengths = np.clip(np.exp(draw.normal(5.7, 0.7, rows)), 32, 512).astype(int)
    return Sequences.from_lists([[1, *draw.integers(5, VOCABULARY, n - 2), 2] for n in lengths])


def measure(kind: str, shape: dict[str, Any], sequences: Sequences, precision: Any, rounds: int) -> tuple[float, float]:
    """Return the median time ratio (plain over ours) and largest output difference."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, num_labels=3, pad_token_id=0, **shape)
    network = CrossNetwork(AutoModelForSequenceClassification.from_config(config).eval(), both_orders=False)
    own, plain = (Engine(network, InferenceSettings(precision=precision)) for _ in range(2))
    assert own.replicas[0].fast is not network, "the engine has no pass of its own for this network"
    plain.replicas[0].fast = network
    found, wanted = (engine.encode(sequences, pad_id=0) for engine in (own, plain))
    ratios = []
    for _ in range(rounds):
        times = []
        for engine in (own, plain):
            start = time.perf_counter()
            engine.encode(sequences, pad_id=0)
            times.append(time.perf_counter() - start)
        ratios.append(times[1] / times[0])
        print(f"  own {times[0]:.2f} s, transformers {times[1]:.2f} s, ratio {ratios[-1]:.2f}", flush=True)
    return float(np.median(ratios)), float(np.abs(found - wanted).max())


def main() -> int:
    """Print one line per architecture; return 1 if one is slow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--only", choices=list(SHAPES), action="append")
    options = parser.parse_args()
    sequences = draw_sequences(options.rows)
    worth = True
    for name in options.only or SHAPES:
        kind, shape = SHAPES[name]
        print(name, flush=True)
        ratio, difference = measure(kind, shape, sequences, options.precision, options.rounds)
        worth &= ratio >= WORTH
        print(
            f"{name}, {options.precision}: {ratio:.2f}x transformers (needs {WORTH}x), outputs {difference:.1e} apart"
        )
    return 0 if worth else 1


if __name__ == "__main__":
    sys.exit(main())
