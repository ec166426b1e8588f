"""Measure the excess log loss of links fitted on few simulated votes.

Gaps between scores are drawn, votes are drawn from a known link, and a link is fitted on them. Its expected log loss on
other gaps, less that of the true link, is what it costs to have seen so few votes: no luck of a test file is in it.
Beside it stand the fits by the other curves, what links without votes cost, and how often the 95 % interval of the
scale holds the true one. At last the scores are given a length bias that the votes do not share.

    python benchmarks/link.py [--draws 50] [--votes 500 200]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.link_fit import fit_link
from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK, Link
from votecast.metrics.scores import log_losses

Floats = NDArray[np.float64]

REACH, AIM = 0.01, 0.005
SPREAD, TESTED = 2.5, 20_000
TRUE = {
    "davidson": Link("davidson", {"scale": 0.6, "nu": 0.9}),
    "rao_kupper": Link("rao_kupper", {"scale": 0.6, "theta": 2.0}),
    "ordered_logit": Link("ordered_logit", {"scale": 0.6, "cut": 1.1}),
}
"""The links that votes are drawn from: about a third are ties, and a gap of 2.5 is three wins to one loss or more."""

LENGTHS, BIAS = 0.7, 1.5
"""Standard deviation of the log length difference, and the score bias per unit."""


@dataclass(frozen=True)
class Arena:
    """Gaps on which a link is measured, with the true probabilities.

    Args:
        true: The link that votes are drawn from, on gaps without bias.
        gap: Gaps of the quality, shape (n,).
        form: Differences in log length, shape (n,).
        bias: What the scores add to the gap for each unit of form.
    """

    true: Link
    gap: Floats
    form: Floats
    bias: float = 0.0

    @classmethod
    def draw(cls, true: Link, rows: int, rng: np.random.Generator, bias: float = 0.0) -> Arena:
        """Draw the gaps."""
        return cls(true, rng.normal(size=rows) * SPREAD, rng.normal(size=rows) * LENGTHS, bias)

    @property
    def scored(self) -> Floats:
        """Return the gaps as the scores have them."""
        return self.gap + self.bias * self.form

    def votes(self, rng: np.random.Generator) -> Floats:
        """Draw one one-hot vote per gap."""
        edges = self.true.predict(self.gap).cumsum(axis=1)
        return np.eye(3)[(rng.random(len(self.gap))[:, None] > edges[:, :2]).sum(axis=1)]

    def above(self, link: Link) -> float:
        """Return the expected log loss above the true link."""
        truth = self.true.predict(self.gap)
        return float((log_losses(truth, link.predict(self.scored, self.form)) - log_losses(truth, truth)).mean())


def measure(test: Arena, votes: int, method: str, draws: int, *, length: bool = False) -> tuple[Floats, float]:
    """Return excess log loss per draw and coverage of the scale's interval."""
    rng = np.random.default_rng(votes)  # every method sees the same draws
    above, held = [], 0
    for _ in range(draws):
        seen = Arena.draw(test.true, votes, rng, test.bias)
        link = fit_link(seen.scored, seen.votes(rng), method=method, form=seen.form if length else None)
        above.append(test.above(link))
        low, high = link.intervals["scale"]
        held += low <= test.true.parameters["scale"] <= high
    return np.array(above), held / draws


def line(name: str, above: Floats, held: float | None = None) -> None:
    """Print one line of a table."""
    worst = f"{np.quantile(above, 0.95):9.4f}" if len(above) > 1 else " " * 9
    print(f"  {name:32} {above.mean():+9.4f} {worst} {'' if held is None else f'{held:8.0%}'}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--votes", type=int, nargs="+", default=[500, 200])
    asked = parser.parse_args()
    start, marks = time.perf_counter(), {}
    for true in TRUE:
        test = Arena.draw(TRUE[true], TESTED, np.random.default_rng(0))
        share = test.true.predict(test.gap).mean(axis=0)
        print(f"\ntrue link {true}: {share[0]:.0%} a, {share[1]:.0%} b, {share[2]:.0%} ties")
        print(f"  {'':32} {'above':>9} {'19 of 20':>9} {'interval':>8}")
        for votes in asked.votes:
            for method in TRUE:
                above, held = measure(test, votes, method, asked.draws)
                same = method == true or "davidson" not in (method, true)  # the other two are one curve
                line(f"{votes} votes, {method}", above, held if same else None)
                marks[true, votes, method] = float(above.mean())
        line("no votes, default link", np.array([test.above(DEFAULT_LINK)]))
        line("no votes, fixed rule", np.array([test.above(FIXED_LINK)]))
    test = Arena.draw(TRUE["davidson"], TESTED, np.random.default_rng(0), BIAS)
    print("\ntrue link davidson, scores biased towards length")
    for votes in asked.votes:
        for length in (False, True):
            above, held = measure(test, votes, "davidson", asked.draws, length=length)
            line(f"{votes} votes, {'with' if length else 'without'} the length", above, held if length else None)
    print(f"\n{time.perf_counter() - start:.0f} s, {asked.draws} draws of each")
    mark = marks["davidson", asked.votes[0], "davidson"]
    print(f"davidson from {asked.votes[0]} votes: {mark:+.4f} above the true link (reach {REACH}, aim {AIM})")
    return int(mark > REACH)


if __name__ == "__main__":
    sys.exit(main())
