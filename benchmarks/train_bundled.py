"""Rebuild a bundled judge from the votes named in DATA.md.

    python benchmarks/train_bundled.py baseline --data DIR [--out FOLDER] [--overwrite]
    python benchmarks/train_bundled.py encoder --data DIR [--out FOLDER] [--overwrite] [--resume]

The same votes give the same judge on the same kind of machine. What is written holds hashed features, numbers and
changes of weights, and no text of the votes.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import NamedTuple

from _votes import ENCODER_LIMITS, LIMITS, SOURCES, data_parser, folder_or_leave, training_rows, training_votes
from votecast.judges.train import train


class Kind(NamedTuple):
    """How a bundled judge is trained, and its size limit."""

    recipe: str
    limits: list[str]
    most: int


KINDS = {
    "baseline": Kind("baseline", LIMITS, 2_000_000),
    "encoder": Kind("minilm", ENCODER_LIMITS, 6_000_000),
}
BUNDLED = Path(__file__).parent.parent / "src" / "votecast" / "bundled"
SHOWN = ("log_loss", "accuracy", "brier", "ece", "ece_perfect", "auc", "agreement_decided")


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def progress(doing: str, done: int, steps: int) -> None:
    """Print one line every twenty training steps."""
    if steps > 20 and done % 20 == 0:
        print(f"{time.strftime('%H:%M:%S')} {doing} {done} of {steps}", flush=True)


def main() -> int:
    """Train, save and print; return 1 if the judge is too large."""
    parser = data_parser(__doc__)
    parser.add_argument("kind", choices=KINDS, nargs="?", default="baseline")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder, kind = folder_or_leave(options.data), KINDS[options.kind]
    out = options.out or BUNDLED / options.kind
    rows = training_rows(training_votes(folder))
    start = time.perf_counter()
    judge = train(
        kind.recipe,
        rows,
        out=out,
        overrides={"name": options.kind},
        overwrite=options.overwrite,
        resume=options.resume,
        data_sources=SOURCES,
        progress=progress,
    )
    judge.record(limits=kind.limits)
    judge.save_pretrained(out, overwrite=True)
    seconds, size = time.perf_counter() - start, size_of(out)
    print(f"{len(rows)} pairs, {seconds:.0f} s; {judge.name} {judge.hash[:12]}, {size:,} bytes, in {out}")
    for name in SHOWN:
        figure = judge.figures["metrics"].get(name)
        if figure and figure["value"] is not None:
            print(f"out of fold  {name:<20}{figure['value']:8.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]")
    print(f"size: {'fine' if size <= kind.most else 'TOO LARGE'}, at most {kind.most:,} bytes")
    return int(size > kind.most)


if __name__ == "__main__":
    raise SystemExit(main())
