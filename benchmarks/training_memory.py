"""Compare the memory that `votecast estimate` gives for a training with the peak of live tensors of that training.

    python benchmarks/training_memory.py [--kind llama] [--bits]

Networks of random weights of three architectures train two steps on this CPU through votecast's own loop, in four
sizes and in two that the formulas were not adjusted to, in fp32 and bf16, with and without gradient checkpointing;
every byte of every live tensor is counted. `--bits` adds backbones in 4 bits (bitsandbytes). What an operator takes and
frees within itself, such as the workspace of a kernel, is not seen; on a GPU the allocator and CUDA itself come on top.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from _memory import HELD_OUT, KINDS, SIZES, Case, compare

AIM = 0.15


def cases(kinds: list[str], *, bits: bool) -> Iterator[Case]:
    """Yield the trainings to measure."""
    for kind in kinds:
        held = [("fp32", "fp32"), ("fp32", "bf16")]
        if kind != "deberta-v2":
            held += [("bf16", "bf16")] + [("nf4", "bf16")] * bits
        for size in (*SIZES, *HELD_OUT):
            for weights, precision in held:
                for checkpointing in (False, True):
                    yield Case(kind, size, weights, precision, checkpointing)
        yield Case(kind, "small", passes=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, action="append", help="architectures; by default all")
    parser.add_argument("--bits", action="store_true", help="decoders in 4 bits too")
    asked = parser.parse_args()
    worst = {False: 0.0, True: 0.0}
    print(f"{'training':<58}{'estimate':>10}{'measured':>10}{'ratio':>8}")
    for case in cases(asked.kind or list(KINDS), bits=asked.bits):
        estimate, measured = compare(case)
        held_out = case.size in HELD_OUT
        worst[held_out] = max(worst[held_out], abs(estimate / measured - 1))
        sizes = f"{estimate / 1e6:>7,.1f} MB{measured / 1e6:>7,.1f} MB"
        print(f"{case!s:<58}{sizes}{estimate / measured:>8.3f}", flush=True)
    print(f"largest difference {worst[False]:.1%}; wanted at most {AIM:.0%}")
    print(f"largest difference on held-out shapes ({', '.join(HELD_OUT)}) {worst[True]:.1%}")
    sys.exit(worst[False] > AIM)


if __name__ == "__main__":
    main()
