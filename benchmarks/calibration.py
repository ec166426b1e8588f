"""Measure the calibration error of the baseline judge on held-out votes.

Members of the judge predict folds they were not trained on, folds hold whole clusters of near-duplicate prompts, and
each fold is calibrated on the other folds. Beside the expected calibration error (15 bins, top label) stands
the error of a judge whose confidences are exactly right, from votes drawn from these confidences: as they hang together
within a prompt in the file, and, more strictly, each row for itself.

    python benchmarks/calibration.py --data DIR [--votes votes_train.jsonl.gz] [--limit N]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from votecast.calibration import CALIBRATORS, crossfit_calibrate
from votecast.data.clean import clean
from votecast.data.reader import read_votes
from votecast.judges.out_of_fold import OutOfFold, calibration_folds
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.metrics import evaluate_probabilities, perfect_calibration_error

REACH, AIM = 0.01, 0.005
LEGEND = """ECE: 15 bins, top label. perfect: votes drawn from the predictions, first hanging together within prompts as
in the file, then each row for itself. above: ECE above that.
"""


def out_of_fold(path: Path, limit: int | None) -> tuple[OutOfFold, int]:
    """Return uncalibrated out-of-fold predictions and the seed of the recipe."""
    recipe = load_recipe("baseline")
    battles, _ = clean(read_votes(path, labels="required", limit=limit), recipe.cleaning)
    return TrainedJudge(recipe).fit(battles).fitted.out_of_fold, recipe.seed


def error_above_perfect(held: OutOfFold, method: str, seed: int) -> float:
    """Print one table line; return the calibration error above a perfect judge."""
    p = crossfit_calibrate(method, held.raw, held.targets, held.weights, calibration_folds(held, seed))
    page = evaluate_probabilities(held.targets, p, groups=held.clusters, weights=held.weights).metrics
    alone = perfect_calibration_error(held.targets, p, held.weights)
    ece, perfect = page["ece"], page["ece_perfect"]
    above, strictly = ece.value - perfect.value, ece.value - alone
    print(
        f"{method:12} {page['log_loss'].value:8.4f} {ece.value:8.4f} ({ece.low:.4f} to {ece.high:.4f})"
        f" {perfect.value:8.4f} {above:+8.4f} {alone:8.4f} {strictly:+8.4f}"
    )
    return above


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("VOTECAST_DATA"), help="folder of outside votes")
    parser.add_argument("--votes", default="votes_train.jsonl.gz", help="file in that folder")
    parser.add_argument("--limit", type=int, help="only so many rows, for a quick look")
    asked = parser.parse_args()
    if not asked.data:
        print("skipped: needs outside votes, pass --data DIR or set VOTECAST_DATA (see benchmarks/DATA.md)")
        return 0
    start = time.perf_counter()
    held, seed = out_of_fold(Path(asked.data) / asked.votes, asked.limit)
    clusters, seconds = len(set(held.clusters.tolist())), time.perf_counter() - start
    print(f"{len(held):,} out-of-fold rows of {clusters:,} prompts, baseline judge, {seconds:.0f} s")
    print(LEGEND)
    print(f"{'calibration':12} {'log loss':>8} {'ECE':>8} {'95 % interval':18}" + 2 * f" {'perfect':>8} {'above':>8}")
    above = {method: error_above_perfect(held, method, seed) for method in CALIBRATORS}
    chosen = above[load_recipe("baseline").calibration.method]
    print(f"\nabove the perfect judge: {chosen:+.4f} (reach {REACH:+.3f}, aim {AIM:+.3f})")
    return int(chosen > REACH)


if __name__ == "__main__":
    sys.exit(main())
