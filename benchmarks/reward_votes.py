"""Compare a link fitted on votes with system 2's fixed rule.

    python benchmarks/reward_votes.py --data DIR --judge FOLDER [--rows N]

The judge is one of the family reward, such as train_smollm2.py makes: its link was fitted on training votes that its
network has not seen. All links see the same rewards. Intervals are 95 %, from prompts drawn in pairs with the class
prior of the same votes.
"""

from __future__ import annotations

import numpy as np

from _votes import data_parser, folder_or_leave
from votecast import load_judge
from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK
from votecast.data import read_votes
from votecast.metrics import accuracy, calibration_error, log_loss, paired_gain

FILE, AIM = "dev_autoj", 1.05


def main() -> int:
    """Print the figures; return 1 if the class prior wins."""
    parser = data_parser(__doc__)
    parser.add_argument("--judge", required=True, help="folder of a reward judge")
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()
    battles = read_votes(folder_or_leave(options.data) / f"{FILE}.jsonl.gz", labels="required")[: options.rows]
    targets, groups = battles.targets(), np.unique(battles.text("prompt"), return_inverse=True)[1]
    judge = load_judge(options.judge)
    member = judge.fitted.members[0]
    member.set_inference(precision="bf16")
    prepared = member.prepare(battles)
    scores = member.answer_scores(prepared)
    gap = scores[:, 0] - scores[:, 1]
    prior = np.tile(targets.mean(axis=0), (len(targets), 1))
    found = {
        "fitted link": member.link.predict(gap, prepared.length),
        "default link, not fitted": DEFAULT_LINK.predict(gap),
        "system 2's fixed rule": FIXED_LINK.predict(gap),
        "class prior": prior,
    }
    print(f"{FILE}: {len(battles)} votes; {judge.name} {judge.hash[:8]}, link {member.link.method}")
    print(f"gap between two rewards: standard deviation {gap.std():.3f}")
    print(f"{'':26}{'log loss':>9}{'agreement':>10}{'ECE':>7}   gain over the class prior")
    for who, p in found.items():
        gain, low, high = paired_gain(targets, p, prior, groups=groups)
        beside = "" if p is prior else f"   {gain:.4f} [{low:.4f}, {high:.4f}]"
        ece = float(calibration_error(targets, p))
        print(f"{who:26}{log_loss(targets, p):9.4f}{accuracy(targets, p):10.4f}{ece:7.4f}{beside}")
    ours, theirs = log_loss(targets, found["fitted link"]), log_loss(targets, prior)
    print(f"mark: {'reached' if ours < theirs else 'MISSED'} (below the class prior; aim {AIM})")
    return int(not ours < theirs)


if __name__ == "__main__":
    raise SystemExit(main())
