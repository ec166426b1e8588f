"""Compare ways to join baseline, encoder and decoder on held-out human votes.

    python benchmarks/stack.py --data DIR [--judge FOLDER ...] [--predictions FILE ...] [--file dev_autoj] [--rows N]

`--judge` names judges beside bundled:baseline and bundled:encoder, such as the folder that train_smollm2.py wrote. What
a judge predicts is taken from a file of `--predictions` that votecast predict has written, recognised by the judge's
hash; without one it is asked, which takes a decoder half an hour.

Every way of joining them is fitted twice: on the out-of-fold rows of the training votes that the judges share, and on
the file itself, cross-fitted over five folds of prompts, where each row is joined as the rows of other prompts ask for.
Gains are over the best judge as it is, with 95 % intervals from prompts drawn in pairs.

A stack that is fitted on the file also learns how its crowd votes, which a single judge could learn too: so each
judge is put under the same regression by itself ("alone"), and the last lines compare stacks with the best of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _votes import data_parser, folder_or_leave
from votecast import load_judge
from votecast.data import Battles, read_votes
from votecast.data.duplicates import prompt_clusters
from votecast.errors import DataError
from votecast.judges.combiners import COMBINERS, ROWS_PER_PARAMETER, Combiner, combiner_class
from votecast.judges.evaluate import Predictions
from votecast.judges.shared_rows import Shared, shared_rows
from votecast.judges.trained import TrainedJudge
from votecast.metrics import accuracy, calibration_error, group_folds, log_loss, paired_gain

BUNDLED = ("bundled:baseline", "bundled:encoder")
HEADLINE = "stack/logistic"
HERE, ALONE = "this file", "alone"
SEED = 42


def predictions_of(judges: Mapping[str, TrainedJudge], votes: Battles, files: Sequence[Path]) -> NDArray[np.float64]:
    """Return each judge's predictions, shape (judges, n, 3), from files if given."""
    known = {one.hash: one for one in map(Predictions.read, files)}
    for name, judge in judges.items():
        if judge.prompt_hashes is not None:
            judge.prompt_hashes.check(votes)
        print(f"{name}: {'read from a file' if judge.hash in known else 'asked'}", flush=True)
    return np.stack(
        [
            known[judge.hash].on(votes) if judge.hash in known else judge.predict_proba(votes)
            for judge in judges.values()
        ]
    )


def crossfitted(kind: type[Combiner], rows: Shared) -> NDArray[np.float64]:
    """Return predictions of each fold by a combiner fitted on the others."""
    folds, p = group_folds(rows.clusters, seed=SEED), np.empty_like(rows.targets)
    for fold in np.unique(folds):
        held = folds == fold
        parts = (rows.targets[~held], rows.weights[~held], rows.clusters[~held])
        p[held] = kind().fit(rows.predictions[:, ~held], *parts, SEED).predict(rows.predictions[:, held])
    return p


def joined(judges: Mapping[str, TrainedJudge], rows: Shared) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """Return how judges were joined, where fitted, and their predictions."""
    yield "arithmetic mean", "", np.asarray(rows.predictions.mean(axis=0))
    yield "mean", "", crossfitted(combiner_class("mean"), rows)
    for place, name in enumerate(judges):
        alone = replace(rows, predictions=rows.predictions[[place]])
        yield f"{name} {ALONE}", HERE, crossfitted(combiner_class(HEADLINE), alone)
    for name in list(COMBINERS)[1:]:
        yield name, HERE, crossfitted(combiner_class(name), rows)
    try:
        shared = shared_rows(judges)
    except DataError as error:
        print(f"not fitted on out-of-fold rows: {error}")
        return
    for name in list(COMBINERS)[1:]:
        kind = combiner_class(name)
        if len(shared) >= ROWS_PER_PARAMETER * kind.parameters(len(judges)):
            fitted = kind().fit(shared.predictions, shared.targets, shared.weights, shared.clusters, SEED)
            yield name, f"{len(shared)} shared rows", fitted.predict(rows.predictions)


def main() -> int:
    """Print the figures; return 1 if a judge beats the stack."""
    parser = data_parser(__doc__)
    parser.add_argument("--judge", action="append", default=[], help="a judge beside the bundled ones")
    parser.add_argument("--predictions", action="append", default=[], type=Path, help="predictions of a judge")
    parser.add_argument("--file", default="dev_autoj")
    parser.add_argument("--rows", type=int, default=None, help="only so many rows, for a look")
    options = parser.parse_args()
    votes = read_votes(
        folder_or_leave(options.data) / f"{options.file}.jsonl.gz", labels="required", limit=options.rows
    )
    names = [*BUNDLED, *options.judge]
    judges = {Path(name).name: load_judge(name) for name in names}
    clusters = prompt_clusters(votes, seed=SEED)
    p = predictions_of(judges, votes, options.predictions)
    rows = Shared(votes.ids, votes.content_hashes(), p, None, votes.targets(), votes.weights(), clusters)
    losses = {name: log_loss(rows.targets, one) for name, one in zip(judges, p, strict=True)}
    best = min(losses, key=lambda name: losses[name])
    print(f"\n{options.file}: {len(votes)} votes, {clusters.max() + 1} prompts; best judge as it is: {best}")
    print(f"{'':30}{'fitted on':18}{'log loss':>9}{'agreement':>10}{'ECE':>8}   gain over {best}")
    for name, one in zip(judges, p, strict=True):
        show(rows, name, "", one, p[list(judges).index(best)])
    found = {}
    for name, place, q in joined(judges, rows):
        found[name, place] = (q, show(rows, name, place, q, p[list(judges).index(best)]))
    alone = min((key for key in found if ALONE in key[0]), key=lambda key: log_loss(rows.targets, found[key][0]))
    print(f"\nover {alone[0]}:")
    for name in ("weights", "greedy", "stack/logistic", "stack/lightgbm"):
        show(rows, name, HERE, found[name, HERE][0], found[alone][0])
    low, high = found[HEADLINE, HERE][1]
    worse = high < 0
    print(
        f"\n{HEADLINE} against {best}: {'MISSED, worse' if worse else 'not worse, reached'}; "
        f"better beyond chance (the aim): {'yes' if low > 0 else 'no'}"
    )
    return int(worse)


def show(rows: Shared, name: str, place: str, q: NDArray[np.float64], best: NDArray[np.float64]) -> tuple[float, float]:
    """Print one line; return the interval of the gain."""
    gain, low, high = paired_gain(rows.targets, q, best, groups=rows.clusters)
    beside = "" if q is best else f"   {gain:+.4f} [{low:+.4f}, {high:+.4f}]"
    figures = f"{log_loss(rows.targets, q):9.4f}{accuracy(rows.targets, q):10.4f}"
    print(f"{name:30}{place:18}{figures}{float(calibration_error(rows.targets, q)):8.4f}{beside}")
    return low, high


if __name__ == "__main__":
    raise SystemExit(main())
