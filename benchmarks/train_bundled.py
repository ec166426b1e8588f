"""Rebuild the judge that ships with votecast, from the votes that DATA.md names, and print its figures.

    python benchmarks/train_bundled.py --data DIR [--out src/votecast/bundled/baseline] [--overwrite]

The same votes give the same judge. What is written holds hashed features and numbers, and no text of the votes.
"""

from __future__ import annotations

import time
from pathlib import Path

from _votes import LIMITS, SOURCES, data_parser, folder_or_leave, training_rows, training_votes
from votecast.artifacts import check_free
from votecast.pipeline import train

OUT = Path(__file__).parent.parent / "src" / "votecast" / "bundled" / "baseline"
LIMIT = 2_000_000
SHOWN = ("log_loss", "accuracy", "brier", "ece", "ece_perfect", "auc", "agreement_decided")


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Train, save and print; the exit code says whether the judge is small enough to ship."""
    parser = data_parser(__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    folder = folder_or_leave(options.data)
    check_free(options.out, overwrite=options.overwrite)
    rows = training_rows(training_votes(folder))
    start = time.perf_counter()
    judge = train("baseline", rows, data_sources=SOURCES)
    judge.record(limits=LIMITS)
    judge.save_pretrained(options.out, overwrite=options.overwrite)
    seconds, size = time.perf_counter() - start, size_of(options.out)
    print(
        f"{len(rows)} pairs, five folds, {seconds:.0f} s; {judge.name} {judge.hash[:12]}, {size:,} bytes, "
        f"in {options.out}"
    )
    for name in SHOWN:
        figure = judge.figures["metrics"].get(name)
        if figure and figure["value"] is not None:
            print(f"out of fold  {name:<20}{figure['value']:8.4f}  [{figure['low']:.4f}, {figure['high']:.4f}]")
    print(f"size: {'fine' if size <= LIMIT else 'TOO LARGE'}, at most {LIMIT:,} bytes")
    return int(size > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
