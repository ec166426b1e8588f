"""Measure sequences scored per second by causal models: packed, shared prefixes, padded.

    python benchmarks/decoder_speed.py [--rows 48] [--rounds 2] [--threads 2] [--model smollm2] [--try]

SmolLM2-135M with a random head of three labels reads random tokens in the lengths of an arena's pairs, cut at 512:
every prompt before both orders of its answers, or before each of eight answers. The rounds take the contenders in turn,
forwards and backwards; the best round counts. Outputs are compared before any speed is shown. `--try` takes a small
random model.

- padded: the model of transformers in bf16 where votecast computes in it, batches of 8 in random order
- sorted: the same, rows sorted by length
- packed: the engine of votecast without shared prefixes; shared: with them, off by itself where they save too little
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PROMPTS = (8, 12, 18, 26, 36, 52, 78, 120, 180, 280, 420)
ANSWERS = (8, 30, 60, 95, 130, 170, 210, 260, 320, 400, 600)
"""Tokens of prompts and answers at every tenth of an arena's."""
LENGTH, BATCH, REACH = 512, 8, 1.3
CLOSE = {"fp32": 1e-3, "bf16": 0.2}


def sequences_of(kind: str, rows: int, vocabulary: int) -> Any:
    """Return both orders of each pair, or prompts with eight responses each."""
    from votecast.text.sequences import Sequences

    rng = np.random.default_rng(0)

    def drawn(table: tuple[int, ...], most: int) -> list[int]:
        length = min(int(np.interp(rng.random(), np.linspace(0, 1, len(table)), table)), most)
        return rng.integers(10, vocabulary, length).tolist()

    if kind == "eight answers":
        prompts = [drawn(PROMPTS, LENGTH // 2) for _ in range(max(1, rows // 8))]
        return Sequences.from_lists([p + drawn(ANSWERS, LENGTH - len(p)) for p in prompts for _ in range(8)])
    parts = [[drawn(PROMPTS, LENGTH // 5), *(drawn(ANSWERS, LENGTH * 2 // 5) for _ in "ab")] for _ in range(rows // 2)]
    if kind == "unlike":
        return Sequences.from_lists([a + p + b for p, a, b in parts] + [b + p + a for p, a, b in parts])
    return Sequences.from_lists([p + a + b for p, a, b in parts] + [p + b + a for p, a, b in parts])


def padded(network: Any, sequences: Any, precision: str, *, ordered: bool) -> Floats:
    """Compute with transformers, batch by batch."""
    import torch

    from votecast.models.neural.last_states import padded_last_states

    order = np.random.default_rng(1).permutation(len(sequences))
    if ordered:
        order = np.argsort(-sequences.lengths, kind="stable")
    out = np.zeros((len(sequences), 3), np.float32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            made = sequences.padded(rows, pad_id=0, multiple=1)
            states = padded_last_states(network.backbone, torch.from_numpy(made.ids), torch.from_numpy(made.mask))
            out[rows] = network.score(states.float()).float().numpy()
    return out


def contenders(network: Any, sequences: Any, precision: Any, threads: int) -> dict[str, Callable[[], Floats]]:
    """Return the contenders; each scores all sequences."""
    from votecast.inference.engine import Engine
    from votecast.inference.settings import InferenceSettings

    engines = {
        name: Engine(network, InferenceSettings(precision=precision, threads=threads, shared_prefixes=name == "shared"))
        for name in ("packed", "shared")
    }
    return {
        "padded": lambda: padded(network, sequences, precision, ordered=False),
        "sorted": lambda: padded(network, sequences, precision, ordered=True),
        "packed": lambda: engines["packed"].encode(sequences, pad_id=0),
        "shared": lambda: engines["shared"].encode(sequences, pad_id=0),
    }


def measure(network: Any, kind: str, precision: str, asked: argparse.Namespace) -> bool:
    """Print results for one kind of sequences; return whether the marks hold."""
    from votecast.text.batching import shared_prefixes

    sequences = sequences_of(kind, asked.rows, network.backbone.config.vocab_size)
    ready = contenders(network, sequences, precision, asked.threads)
    found = {name: score() for name, score in ready.items()}
    gap = max(float(np.abs(one - found["padded"]).max()) for one in found.values())
    best = dict.fromkeys(ready, np.inf)
    for number in range(asked.rounds):
        for name in list(ready)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            ready[name]()
            best[name] = min(best[name], time.perf_counter() - start)
    saved = shared_prefixes(sequences).saved / len(sequences.ids)
    print(
        f"{kind}, {precision}: outputs, which spread by {found['padded'].std():.2f}, differ by {gap:.1e}, at most "
        f"{CLOSE[precision]:.0e}; prefixes save {saved:.0%} of {len(sequences.ids)} tokens"
    )
    for name, seconds in best.items():
        print(f"  {name:<7}{len(sequences) / seconds:8.2f} rows a second, {best['padded'] / seconds:5.2f}x padded")
    print(f"  shared against packed: {best['packed'] / best['shared']:.2f}x", flush=True)
    return gap <= CLOSE[precision] and best["padded"] / best["shared"] >= REACH


def main() -> int:
    """Measure and print; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="not used: tokens are drawn")
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--precision", choices=["fp32", "bf16"], nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--kinds", nargs="+", default=["both orders", "eight answers", "unlike"])
    parser.add_argument("--try", action="store_true", dest="trial")
    asked = parser.parse_args()
    import torch

    from votecast.errors import MissingExtraError
    from votecast.models.decoder import DecoderNetwork
    from votecast.models.neural.backbone import Source

    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    fine = True
    for precision in asked.precision:
        try:
            source = Source.of("tiny:llama" if asked.trial else asked.model)
        except MissingExtraError as error:
            print(f"skipped: {error}")
            return 0
        options = {"dtype": torch.float32 if precision == "fp32" else torch.bfloat16}
        network = DecoderNetwork(source.load("decoder", options=options), both_orders=False).eval()
        torch.nn.init.normal_(network.score.weight, std=0.5 if asked.trial else 0.02)
        print(f"load {os.getloadavg()[0]:.1f}")
        for kind in asked.kinds:
            fine &= measure(network, kind, precision, asked)
    return int(not fine and not asked.trial)


if __name__ == "__main__":
    raise SystemExit(main())
