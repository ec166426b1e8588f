"""Compare the bundled judge with logistic regression on held-out human votes.

    python benchmarks/dev_votes.py --data DIR [--judge bundled:baseline]

The peer is fitted on the very votes the judge was trained on, in three ways: every vote as it was cast, every pair once
with the shares of its votes, and the weighted rows the judge was trained on. Intervals are 95 %, from prompts drawn in
pairs for judge and peer.

The judge was never fitted or calibrated on these files, but they were used for choosing between designs of it; so the
figures are optimistic compared with unseen votes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from _votes import DEVELOPMENT, data_parser, folder_or_leave, training_rows, training_votes
from votecast import load_judge
from votecast.data import Battles, read_votes
from votecast.data.battles import SCHEMA
from votecast.data.clean import aggregate_votes
from votecast.metrics import accuracy, calibration_error, log_loss, paired_gain
from votecast.types import Probabilities

Floats = NDArray[np.float64]
FORMAT = {
    "items": r"(?m)^\s*(?:[-*•]|\d+[.)])\s",
    "headings": r"(?m)^#+\s",
    "bold": r"\*\*[^*\n]+\*\*",
    "code": r"```",
    "tables": r"(?m)^\|",
    "lines": r"\n",
}
CHOSEN = (
    "These files were used for choosing between designs of the judge (never for fitting or calibrating it), "
    "so expect a little worse elsewhere."
)
AIMS = {"dev_autoj": (1.04, 0.53), "dev_pandalm": (0.92, 0.60)}


def counts(text: str) -> list[float]:
    """Return length and format counts of one response."""
    return [
        np.log1p(len(text)),
        np.log1p(len(text.split())),
        *(np.log1p(len(re.findall(p, text))) for p in FORMAT.values()),
    ]


def length_and_format(battles: Battles) -> Floats:
    """Return differences between the responses and their sizes, shape (n, 16)."""
    a, b = (np.array([counts(text) for text in battles.text(f"response_{side}")]) for side in "ab")
    return np.hstack([a - b, np.abs(a - b)])


def swapped(features: Floats) -> Floats:
    """Return the features with the responses swapped."""
    half = features.shape[1] // 2
    return np.hstack([-features[:, :half], features[:, half:]])


def fit_peer(battles: Battles) -> Callable[[Battles], Probabilities]:
    """Fit multinomial logistic regression on both orders; predictions average both."""
    features, targets, weights = length_and_format(battles), battles.targets(), battles.weights()
    x = np.vstack([features, swapped(features)] * 3)
    y = np.repeat([0, 1, 2], 2 * len(battles))
    share = [np.concatenate([targets[:, k], targets[:, (1, 0, 2)[k]]]) * np.tile(weights, 2) for k in range(3)]
    model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(x, y, logisticregression__sample_weight=np.concatenate(share))

    def predict(others: Battles) -> Probabilities:
        seen = length_and_format(others)
        p = (model.predict_proba(seen) + model.predict_proba(swapped(seen))[:, [1, 0, 2]]) / 2
        return np.asarray(p / p.sum(axis=1, keepdims=True))

    return predict


def evenly(battles: Battles) -> Battles:
    """Return the same rows with weight 1."""
    place = battles.table.column_names.index("weight")
    return Battles(battles.table.set_column(place, SCHEMA.field("weight"), pa.array(np.ones(len(battles)))))


def main() -> int:
    """Print the figures; return 1 if a peer beats the judge."""
    parser = data_parser(__doc__)
    parser.add_argument("--judge", default="bundled:baseline")
    options = parser.parse_args()
    folder = folder_or_leave(options.data)
    judge = load_judge(options.judge)
    votes = training_votes(folder)
    taught = {"every vote": votes, "every pair": evenly(aggregate_votes(votes)), "as the judge": training_rows(votes)}
    peers = {f"length and format, {how}": fit_peer(rows) for how, rows in taught.items()}
    missed = 0
    for name in DEVELOPMENT:
        battles = read_votes(folder / f"{name}.jsonl.gz", labels="required")
        targets, groups = battles.targets(), np.unique(battles.text("prompt"), return_inverse=True)[1]
        p = judge.predict_proba(battles)
        print(f"\n{name}: {len(battles)} votes, {groups.max() + 1} prompts; aim {AIMS[name][0]} and {AIMS[name][1]}")
        print(f"{'':32}{'log loss':>9}{'agreement':>10}{'ECE':>7}   judge better by")
        predictions = {f"{judge.name} {judge.hash[:8]}": p} | {who: peer(battles) for who, peer in peers.items()}
        for who, q in predictions.items():
            gain, low, high = paired_gain(targets, p, q, groups=groups)
            beside = "" if q is p else f"   {gain:.4f} [{low:.4f}, {high:.4f}]"
            missed += q is not p and not low > 0
            ece = calibration_error(targets, q)
            print(f"{who:32}{log_loss(targets, q):9.4f}{accuracy(targets, q):10.4f}{float(ece):7.4f}{beside}")
    print(f"\n{CHOSEN}")
    print(f"better than every peer on both files: {'no, MISSED' if missed else 'yes, reached'}")
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
