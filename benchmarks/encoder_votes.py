"""Compare the bundled encoder with the bundled baseline on held-out human votes.

    python benchmarks/encoder_votes.py --data DIR [--judge bundled:encoder] [--precision bf16] [--file dev_autoj ...]

Any other judge that reads text, such as those of train_smollm2.py, takes the encoder's place with --judge. The encoder
starts from the predictions of a baseline fitted on nine tenths of the votes, which is shown by itself too.
Intervals are 95 %, from prompts drawn in pairs for both judges. dev_oasst has no ties: its rows are read by who of A
and B is favoured, and its log loss is that of the prediction conditional on no tie. "Longer loses" is the share of
decided rows won by the shorter answer on which the favoured answer won.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from _votes import data_parser, folder_or_leave
from votecast import load_judge
from votecast.data import Battles, read_votes
from votecast.judges.trained import TrainedJudge
from votecast.metrics import accuracy, calibration_error, log_loss, paired_gain
from votecast.models.neural.neural_model import NeuralModel
from votecast.types import Probabilities

Flags = NDArray[np.bool_]
FILES = ("dev_autoj", "dev_pandalm", "dev_oasst")
MARKS = {
    "dev_autoj": "reach a gain above 0; aim 0.97 and 0.56 (Auto-J-13B agrees on 0.550)",
    "dev_pandalm": "reach a gain above 0; aim 0.80 and 0.668 (PandaLM-7B)",
    "dev_oasst": "reach 0.62 of decided rows; aim 0.68",
}


def decided_share(targets: Probabilities, p: Probabilities, rows: Flags | None = None) -> float:
    """Return the share of decided rows where the favoured response won."""
    rows = (targets[:, 2] < 0.5) & (True if rows is None else rows)
    return float(((p[:, 0] > p[:, 1]) == (targets[:, 0] > targets[:, 1]))[rows].mean())


def longer_loses(battles: Battles, targets: Probabilities) -> Flags:
    """Return the rows on which the shorter response won."""
    a, b = (np.array([len(text) for text in battles.text(f"response_{side}")]) for side in "ab")
    return ((a > b) & (targets[:, 1] > targets[:, 0])) | ((b > a) & (targets[:, 0] > targets[:, 1]))


def without_ties(p: Probabilities) -> Probabilities:
    """Return the predictions conditional on no tie."""
    decided = np.column_stack([p[:, :2], np.zeros(len(p))])
    return np.asarray(decided / decided.sum(axis=1, keepdims=True))


def predictions(judge: TrainedJudge, battles: Battles) -> dict[str, Probabilities]:
    """Return predictions of the judge, the bundled baseline and its starting baseline."""
    baseline = load_judge("bundled:baseline")
    found = {f"{judge.name} {judge.hash[:8]}": judge.predict_proba(battles)}
    found["bundled:baseline"] = baseline.predict_proba(battles)
    member = judge.fitted.members[0]
    if isinstance(member, NeuralModel) and member.offset_judge is not None:
        found["the baseline it adds to"] = member.offset_judge.predict(member.offset_judge.prepare(battles))
    return found


def main() -> int:
    """Print the figures; return 1 if a mark is missed."""
    parser = data_parser(__doc__)
    parser.add_argument("--judge", default="bundled:encoder")
    parser.add_argument("--precision", default="auto", help="arithmetic of the predictions")
    parser.add_argument("--file", nargs="+", choices=FILES, default=FILES)
    options = parser.parse_args()
    folder, missed = folder_or_leave(options.data), []
    judge = load_judge(options.judge)
    judge.run_with(precision=options.precision)
    for name in options.file:
        battles = read_votes(folder / f"{name}.jsonl.gz", labels="required")
        targets, groups = battles.targets(), np.unique(battles.text("prompt"), return_inverse=True)[1]
        binary, shorter = name == "dev_oasst", longer_loses(battles, targets)
        print(f"\n{name}: {len(battles)} votes, {groups.max() + 1} prompts; {MARKS[name]}")
        print(f"{'':26}{'log loss':>9}{'agreement':>10}{'decided':>9}{'longer loses':>13}{'ECE':>7}   its gain")
        found = predictions(judge, battles)
        first = next(iter(found.values()))
        for who, p in found.items():
            p, ours = (without_ties(p), without_ties(first)) if binary else (p, first)
            gain, low, high = paired_gain(targets, ours, p, groups=groups)
            beside = "" if p is first or np.array_equal(p, ours) else f"   {gain:.4f} [{low:.4f}, {high:.4f}]"
            decided, swapped = decided_share(targets, p), decided_share(targets, p, shorter)
            if who == "bundled:baseline" and not binary and not low > 0:
                missed.append(name)
            if binary and np.array_equal(p, ours) and decided < 0.62:
                missed.append(name)
            print(
                f"{who:26}{log_loss(targets, p):9.4f}{accuracy(targets, p):10.4f}{decided:9.4f}{swapped:13.4f}"
                f"{float(calibration_error(targets, p)):7.4f}{beside}"
            )
    print(f"\nmarks: {'missed on ' + ', '.join(missed) if missed else 'all reached'}")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
