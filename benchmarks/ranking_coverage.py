"""Measure the coverage of leaderboard intervals on simulated arenas.

Models of known strength meet on prompts, some models and pairs far more often than others; prompts repeat, and votes on
one prompt lean the same way. Every arena is ranked, and counted is how often the 95 % interval of a model's score holds
its true score: the mean over models must be 93 to 97 %. Then the same with style control, with intervals from the
bootstrap, and with a biased judge's predictions of games without votes. At last Davidson's and Rao and Kupper's
parameters are recovered from many arenas, and must be within 3 standard errors in 99 % of them.

    python benchmarks/ranking_coverage.py [--draws 1000] [--models 20] [--votes 4000]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from votecast.leaderboard import Games, Predicted, Ranking, fit_ranking, rank_models
from votecast.leaderboard.ranking_likelihood import RANKING_MODELS

Floats = NDArray[np.float64]
REACH, WITHIN = (0.93, 0.97), 0.99
TIES = {"bradley_terry": 0.0, "davidson": -0.2, "rao_kupper": 0.6}
LEAN, BIG_LEAN, STYLE = 0.5, 1.5, 0.4
"""Standard deviations of prompt effects (default, large), and the effect of style."""


@dataclass(frozen=True)
class Arena:
    """Models of known strength and how often they meet.

    Args:
        strengths: Log odds, mean 0.
        pairs: Models of each pair, shape (p, 2).
        often: Chance of each pair.
        method: The curve that votes are drawn from.
        ties: Its number for ties.
        style: Effect of a feature of style.
    """

    strengths: Floats
    pairs: NDArray[np.int64]
    often: Floats
    method: str
    style: float = 0.0

    @classmethod
    def of(cls, models: int, method: str, style: float = 0.0) -> Arena:
        """Return fixed strengths; model popularity falls as 1 / rank."""
        rng = np.random.default_rng(models)
        strengths = rng.normal(size=models) * 0.7
        popular = 1 / rng.permutation(np.arange(2, models + 2))
        pairs = np.array([(i, j) for i in range(models) for j in range(models) if i != j])
        often = popular[pairs[:, 0]] * popular[pairs[:, 1]]
        return cls(strengths - strengths.mean(), pairs, often / often.sum(), method, style)

    def chances(self, lead: Floats) -> Floats:
        """Return the probabilities of a, b and tie."""
        t, curve = TIES[self.method], RANKING_MODELS[self.method]
        logs = [curve.terms(lead, t, np.tile(unit, (len(lead), 1))).value for unit in np.eye(3)]
        p = np.exp(np.stack(logs, axis=1))
        if self.method == "bradley_terry":
            p[:, 2] = 0.0
        return p / p.sum(axis=1, keepdims=True)

    def games(self, votes: int, rng: np.random.Generator, lean: float = 0.0) -> tuple[Games, Floats]:
        """Return votes on a third as many prompts, and their true probabilities."""
        a, b = self.pairs[rng.choice(len(self.pairs), size=votes, p=self.often)].T
        prompts = rng.integers(max(votes // 3, 2), size=votes)
        effects = rng.normal(size=(prompts.max() + 1, len(self.strengths))) * lean
        x = rng.normal(size=votes)
        lead = self.strengths[a] - self.strengths[b] + effects[prompts, a] - effects[prompts, b] + self.style * x
        p = self.chances(lead)
        y = np.eye(3)[(rng.random(votes)[:, None] > p.cumsum(axis=1)[:, :2]).sum(axis=1)]
        style = (x[:, None], ["form"]) if self.style else (None, [])
        return Games.of(names(len(self.strengths)), a, b, y, None, prompts, *style), p

    def truth(self, lean: float = 0.0) -> Floats:
        """Return the strengths a fit finds with unlimited votes."""
        if not lean:
            return self.strengths
        lead = self.strengths[self.pairs[:, 0]] - self.strengths[self.pairs[:, 1]]
        nodes, mass = np.polynomial.hermite_e.hermegauss(41)
        p = sum(w * self.chances(lead + np.sqrt(2) * lean * z) for z, w in zip(nodes, mass / mass.sum(), strict=True))
        endless = Games.of(names(len(self.strengths)), *self.pairs.T, p / p.sum(axis=1, keepdims=True), self.often)
        return fit_ranking(endless, method=self.method).strengths


def names(models: int) -> list[str]:
    return [f"m{number}" for number in range(models)]


def biased(p: Floats, rng: np.random.Generator) -> Floats:
    """Return predictions that correlate with votes but favour response A."""
    z = np.log(np.maximum(p, 1e-6)) + rng.normal(size=p.shape) * 0.3 + np.array([0.4, 0.0, 0.0])
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def coverage(draws: int, truth: Floats, ranked: Callable[[int], Ranking]) -> tuple[float, float, float]:
    """Return mean coverage, least coverage over models and mean interval width."""
    scores = 1000 + 400 / np.log(10) * truth
    held, width = np.zeros(len(truth)), 0.0
    for draw in range(draws):
        ranking = ranked(draw)
        order = [int(name[1:]) for name in ranking.models]
        held[order] += (ranking.low <= scores[order]) & (scores[order] <= ranking.high)
        width += float(np.mean(ranking.high - ranking.low))
    return float(held.mean() / draws), float(held.min() / draws), width / draws


def rankings(asked: argparse.Namespace) -> dict[str, tuple[int, Floats, Callable[[int], Ranking]]]:
    """Return what is measured: number of arenas, truth and ranking function."""
    out: dict[str, tuple[int, Floats, Callable[[int], Ranking]]] = {}
    for method in TIES:
        arena = Arena.of(asked.models, method)

        def sandwich(draw: int, arena: Arena = arena) -> Ranking:
            return rank_models(arena.games(asked.votes, np.random.default_rng(draw), LEAN)[0], method=arena.method)

        def powered(draw: int, arena: Arena = arena) -> Ranking:
            rng = np.random.default_rng(draw)
            games, p = arena.games(asked.votes, rng, BIG_LEAN)
            more, q = arena.games(3 * asked.votes, rng, BIG_LEAN)
            judged = biased(q, rng)
            unlabelled = Games.of(more.models, more.a, more.b, judged, None, more.clusters)
            return rank_models(games, method=arena.method, predicted=Predicted(biased(p, rng), unlabelled))

        def alone(draw: int, arena: Arena = arena) -> Ranking:
            return rank_models(arena.games(asked.votes, np.random.default_rng(draw), BIG_LEAN)[0], method=arena.method)

        out[f"{method}, sandwich"] = (asked.draws, arena.truth(LEAN), sandwich)
        out[f"{method}, prompts differ more"] = (asked.draws // 4, arena.truth(BIG_LEAN), alone)
        out[f"{method}, and predictions"] = (asked.draws // 4, arena.truth(BIG_LEAN), powered)
    styled, plain = Arena.of(asked.models, "davidson", STYLE), Arena.of(asked.models, "bradley_terry")

    def controlled(draw: int) -> Ranking:
        return rank_models(styled.games(asked.votes, np.random.default_rng(draw))[0], method="davidson")

    def resampled(draw: int) -> Ranking:
        games = plain.games(asked.votes, np.random.default_rng(draw), LEAN)[0]
        return rank_models(games, intervals="bootstrap", draws=100, seed=draw)

    out["davidson, style control"] = (asked.draws // 2, styled.truth(), controlled)
    out["bradley_terry, bootstrap"] = (asked.draws // 5, plain.truth(LEAN), resampled)
    return out


def recovered(arena: Arena, votes: int, draws: int) -> float:
    """Return the share of parameters within 3 standard errors of the truth."""
    true = np.append(arena.strengths, TIES[arena.method])
    close = []
    for draw in range(draws):
        fit = fit_ranking(arena.games(votes, np.random.default_rng(10**6 + draw))[0], method=arena.method)
        assert fit.tie is not None
        assert fit.covariance is not None
        off = np.append(fit.strengths, np.log(fit.tie)) - true
        close.append(np.abs(off) <= 3 * np.sqrt(np.diag(fit.covariance)))
    return float(np.mean(close))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, help="arenas drawn for each line (fewer where slow)")
    parser.add_argument("--recovered", type=int, default=300, help="arenas from which parameters are recovered")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--votes", type=int, default=4000)
    asked = parser.parse_args()
    missed = []
    print(f"{asked.models} models, {asked.votes} votes on {asked.votes // 3} prompts; 95 % intervals")
    print(f"  {'':36} {'arenas':>6} {'coverage':>9} {'least':>7} {'width':>7}")
    for name, (draws, truth, ranked) in rankings(asked).items():
        start = time.perf_counter()
        mean, least, width = coverage(draws, truth, ranked)
        took = time.perf_counter() - start
        print(f"  {name:36} {draws:6} {mean:9.1%} {least:7.1%} {width:7.1f}   {took:4.0f} s", flush=True)
        missed += [] if REACH[0] <= mean <= REACH[1] else [name]
    for method in ("davidson", "rao_kupper"):
        share = recovered(Arena.of(asked.models, method), asked.votes, asked.recovered)
        print(f"{method}: {share:.2%} of parameters within 3 standard errors in {asked.recovered} arenas", flush=True)
        missed += [] if share >= WITHIN else [f"{method} recovered"]
    print(f"outside {REACH[0]:.0%} to {REACH[1]:.0%} or below {WITHIN:.0%}: {', '.join(missed) or 'none'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
