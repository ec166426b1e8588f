"""Train the SmolLM2-135M judges on two cores from the votes in DATA.md.

    python benchmarks/train_smollm2.py {lora,reward} --data DIR --out FOLDER [--resume] [--overwrite]

`lora` is the recipe smollm2_lora, a decoder judge on top of the baseline; `reward` is smollm2_reward, a reward model
with its link fitted on votes that its network has not seen. Neither ships. Their figures on votes of other people are
printed by encoder_votes.py --judge FOLDER and reward_votes.py --judge FOLDER.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from _votes import SOURCES, data_parser, folder_or_leave, training_rows, training_votes
from train_bundled import SHOWN, progress
from votecast.judges.train import train


def main() -> int:
    """Train, save and print."""
    parser = data_parser(__doc__)
    parser.add_argument("kind", choices=["lora", "reward"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = training_rows(training_votes(folder_or_leave(options.data)))
    start = time.perf_counter()
    judge = train(
        f"smollm2_{options.kind}",
        rows,
        out=options.out,
        overwrite=options.overwrite,
        resume=options.resume,
        data_sources=SOURCES,
        progress=progress,
    )
    drawn = judge.notes.get("drawn", {}).get("rows", len(rows))
    minutes = (time.perf_counter() - start) / 60
    print(f"{drawn} of {len(rows)} pairs, {minutes:.0f} minutes; {judge.name} {judge.hash[:12]}, in {options.out}")
    for name in SHOWN:
        figure = judge.figures["metrics"].get(name)
        if figure and figure["value"] is not None:
            print(f"held out  {name:<20}{figure['value']:8.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
