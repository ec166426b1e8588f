"""Selective prediction: decide pairs with a bound on the error, and abstain on the others.

`votecast decide` calls it; the bounds are computed in `votecast.calibration.selective`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.selective import (
    Method,
    Selection,
    fewest_rows,
    learn_then_test,
    selection_with_guaranteed_risk,
)
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.outputs import DecisionWriter, read_counts
from votecast.errors import ConfigError, DataError
from votecast.jobs.file_run import RowProgress, json_values
from votecast.jobs.predict import PredictRun, Unscored, gives_prior
from votecast.judges.evaluate import vote_clusters
from votecast.judges.predict_batch import cite, trained_prompts, unknown_prompts
from votecast.splits import PromptHashes
from votecast.splits.leaks import SharedPrompts
from votecast.types import Judge, Probabilities

OPEN: Final = "open"
"""The decision for a pair on which the rule abstains."""


@dataclass(frozen=True)
class DecisionRule:
    """A confidence threshold for a judge's predictions, and the bound on the error above it.

    A pair is decided for the likelier response. Its confidence is the probability of that response, max(p_a, p_b); a
    vote for a tie counts as an error. Below the threshold, and where p_a = p_b, the rule abstains: the pair is "open".

    The bound: with probability at least `confidence` over the votes the rule was fitted on, a decision differs from the
    vote with probability at most `error` over a pair and a vote drawn like these: a prompt, one of its pairs, one of
    its votes. It needs independent prompts on which the judge was not trained. It does not need calibrated predictions:
    with a poor judge the rule abstains more often. It does not hold for another population, or for single decisions.

    Args:
        error: Allowed share of wrong decisions.
        confidence: Probability that the bound holds.
        method: How the threshold was found.
        found: The threshold, and the decisions above it.
        votes: Calibration votes.
        prompts: Clusters of prompts among them; one vote of each is used.
        judge: Name and hash of the judge.
        seed: Seed of the draws.
        leaks: How many of the votes were on prompts the judge was trained on; if any were, there is no bound.
        notes: Further limits of the bound.

    Example:
        >>> rule = DecisionRule(0.1, 0.9, "ltt", Selection(0.6, 80, 40, 1, 5), 100, 100, {"name": "mine", "hash": "1f"})
        >>> rule.decide(np.array([[0.7, 0.1, 0.2], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1]]))[0]
        ['a', 'b', 'open']
    """

    error: float
    confidence: float
    method: Method
    found: Selection
    votes: int
    prompts: int
    judge: Mapping[str, str]
    seed: int = 0
    leaks: int = 0
    notes: tuple[str, ...] = ()

    @property
    def threshold(self) -> float | None:
        """Confidence from which pairs are decided; None where every pair is abstained on."""
        return self.found.threshold

    def decide(self, p: Probabilities) -> tuple[list[str], NDArray[np.float64]]:
        """Decide pairs, and return the confidence of each.

        Args:
            p: Predictions of the judge, shape (n, 3).

        Returns:
            "a", "b" or "open" for each pair, and max(p_a, p_b) of shape (n,).
        """
        sure = np.maximum(p[:, 0], p[:, 1])
        decided = np.zeros(len(p), dtype=bool) if self.threshold is None else _scores(p) >= self.threshold
        names = np.where(decided, np.where(p[:, 0] > p[:, 1], "a", "b"), OPEN)
        return [str(name) for name in names], sure

    def describe_bound(self) -> str:
        """State the bound in words, or why there is none."""
        most, sure = f"{self.error:.3g}", f"{self.confidence:.3g}"
        if self.leaks:
            return (
                f"there is no bound: {self.leaks:,} of the {self.votes:,} calibration votes are on prompts on which "
                "the judge was trained, where its confidence is too high"
            )
        if self.threshold is not None:
            return (
                f"with confidence {sure}, a vote on a decided pair differs from the decision with a probability of at "
                f"most {most} (a tie counts as an error). This holds for pairs drawn like the calibration votes, one "
                "from each prompt, on prompts the judge was not trained on; it does not hold for another population, "
                "or for a single pair"
            )
        fewest = fewest_rows(self.error, self.confidence)
        if self.found.rows < fewest:
            return (
                f"every row is abstained on: {self.found.rows:,} votes on different prompts tested the judge, and even "
                f"without a wrong decision it takes {fewest:,} to rule out an error above {most} with confidence "
                f"{sure}; give more votes, a higher --error or a lower --confidence"
            )
        return (
            f"every row is abstained on: of the {self.found.decided:,} most confident decisions {self.found.wrong:,} "
            f"were wrong, which does not rule out an error above {most} with confidence {sure}; give more votes, a "
            "better judge, a higher --error or a lower --confidence"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON-able values."""
        return asdict(self) | {"judge": dict(self.judge), "notes": list(self.notes), "promise": self.describe_bound()}


def fit_rule(
    judge: Judge,
    votes: object,
    *,
    error: float,
    confidence: float,
    method: Method = "ltt",
    seed: int = 0,
    allow_leak: bool = False,
) -> DecisionRule:
    """Find the lowest confidence threshold that keeps the error of decisions below a bound.

    Votes on one pair or one prompt are dependent. So one vote of each cluster of near-duplicate prompts is used,
    drawn by its weight, and from a soft label one vote is drawn: the tests are independent, however many votes a
    popular prompt has.

    Args:
        judge: The judge.
        votes: Battles, a frame or a list of dicts, every row with a vote or a soft label; not on prompts the judge was
            trained on.
        error: Allowed share of wrong decisions among the decided, above 0 and below 1.
        confidence: Probability that the bound holds, above 0 and below 1.
        method: ltt, Learn then Test, or sgr, selection with guaranteed risk.
        seed: Seed of the draws.
        allow_leak: Continue although votes share prompts with the judge's training; there is no bound then.

    Raises:
        ConfigError: If a number or the method is out of range.
        DataError: If there are no votes.
        LeakError: If votes share prompts with the training data of the judge.

    Example:
        >>> from votecast.data.simulation import simulate
        >>> from votecast import load_judge
        >>> battles, _ = next(simulate(rows=60, batch=60))
        >>> fit_rule(load_judge("bundled:baseline"), battles, error=0.1, confidence=0.9).threshold is None
        True
    """
    check_bound(error, confidence, method)
    battles = as_battles(votes)
    if not len(battles):
        raise DataError("there are no calibration votes; give a file of votes, at least a few hundred")
    hashes = trained_prompts(judge)
    leaks = 0 if hashes is None else len(hashes.check(battles, allow=allow_leak))
    notes = []
    if hashes is None:
        notes.append("leaks are not checked: the judge has no hashes of its training prompts")
    elif names := unknown_prompts(judge):
        notes.append(f"leaks are checked in part: the training prompts of {', '.join(names)} are unknown")
    weights = battles.weights()
    if np.ptp(weights[weights > 0] if (weights > 0).any() else weights) > 0:
        notes.append("weights count among the votes of one prompt; every prompt counts once")
    clusters = vote_clusters(battles, seed)
    # One vote of each cluster by its weight: the first arrival in an exponential race, whose rates are the weights.
    clock = np.random.default_rng(seed).exponential(size=len(clusters))
    arrival = np.divide(clock, weights, out=np.full(len(clusters), np.inf), where=weights > 0)
    order = np.lexsort((arrival, clusters))
    first = order[np.unique(clusters[order], return_index=True)[1]]
    rows = np.sort(first[np.isfinite(arrival[first])])
    if not len(rows):
        raise DataError("the weights of all calibration votes are 0; at least some must count")
    p = np.asarray(judge.predict_proba(battles.take(rows)), dtype=np.float64)  # (n, 3)
    targets = battles.targets()[rows]  # (n, 3)
    right = np.where(p[:, 0] > p[:, 1], targets[:, 0], targets[:, 1])
    wrong = np.asarray(np.random.default_rng([seed, 1]).random(len(p)) >= right)  # draws a vote from each soft label
    # Learn then Test: Angelopoulos et al. 2021. SGR: Geifman and El-Yaniv 2017.
    if method == "ltt":
        found = learn_then_test(_scores(p), wrong, error=error, confidence=confidence, seed=seed)
    else:
        found = selection_with_guaranteed_risk(_scores(p), wrong, error=error, confidence=confidence)
    prompts = len(np.unique(clusters))
    return DecisionRule(error, confidence, method, found, len(battles), prompts, cite(judge), seed, leaks, tuple(notes))


def decide_file(
    judge: Judge,
    rule: DecisionRule,
    source: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    reader: Mapping[str, object] | None = None,
    inference: Mapping[str, object] | None = None,
    unscored: Unscored = "error",
    about: Mapping[str, object] | None = None,
    votes: Battles | None = None,
    progress: RowProgress | None = None,
) -> dict[str, Any]:
    """Decide or abstain on every row of a file, in its order, in flat memory.

    Args:
        judge: The judge the rule was fitted for.
        rule: When to decide.
        source: File of battles; votes in it are ignored.
        out: File of decisions (`id, p_a, p_b, p_tie, decision, confidence`); its suffix chooses the container.
        overwrite: Whether an existing file may be replaced.
        resume: Continue from the partial output of a killed run of the same call.
        reader: Options of `VoteReader`.
        inference: Settings of inference for the judge.
        unscored: "error" or "prior", as in `predict_file`; under "prior" such a row is abstained on.
        about: JSON-able: kept beside the rule with the settings, such as the source of the votes.
        votes: The votes the rule was fitted on, if the pairs on their prompts are to be counted.
        progress: Called with the rows done, and about how many there are (None if unknown).

    Returns:
        What `predict_file` returns, rule, decisions (how many rows are a, b, or open) and shared (how many are on
        prompts of the judge's training or of the votes); the settings file has them too.

    Raises:
        DataError: If a row cannot be read; nothing is written.
        ArtifactError: If `out` or partial output is in the way.
        ConfigError: If the rule was fitted for another judge.
    """
    if rule.judge != cite(judge):
        raise ConfigError(
            f"the rule was fitted for the judge {rule.judge['name']!r} ({rule.judge['hash'][:12]}), not for "
            f"{judge.name!r} ({judge.hash[:12]}); fit a rule for that judge"
        )
    shared = SharedPrompts(trained_prompts(judge), None if votes is None else PromptHashes.of(votes))
    run = _DecideRun(
        rule=rule,
        shared=shared,
        judge=judge,
        source=source,
        out=Path(out),
        reader=reader,
        inference=inference,
        gives_prior=gives_prior(unscored),
        progress=progress,
    )
    run.settings |= {"about": json_values(rule.to_dict() | dict(about or {}))}
    summary = run.predict(resume=resume, overwrite=overwrite)
    return summary | {"rule": rule.to_dict(), "decisions": read_counts(out), "shared": shared.to_dict()}


@dataclass(kw_only=True)
class _DecideRun(PredictRun):
    """A run of predictions that writes decisions and counts the prompts that are not new."""

    rule: DecisionRule
    shared: SharedPrompts

    def fingerprint(self, batch: Battles) -> str:
        """Hash a shard, and count its rows on prompts of the training or of the calibration votes."""
        self.shared.watch(batch)
        return super().fingerprint(batch)

    def writer(self, *, overwrite: bool, settings: Mapping[str, object]) -> DecisionWriter:
        """Return the writer of decisions."""
        return DecisionWriter(
            self.out,
            decide=self.rule.decide,
            beside=lambda: {"shared": self.shared.to_dict()},
            judge=cite(self.judge),
            metadata=settings,
            overwrite=overwrite,
        )


def check_bound(error: float, confidence: float, method: str) -> None:
    """Check the bound that is asked for.

    Raises:
        ConfigError: If a share is not above 0 and below 1, or the method is unknown.
    """
    for name, value in (("error", error), ("confidence", confidence)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} is {value:g}; allowed are numbers above 0 and below 1, such as 0.1 and 0.9")
    if method not in get_args(Method):
        raise ConfigError(f"method is {method!r}; allowed are {' and '.join(get_args(Method))}")


def _scores(p: Probabilities) -> NDArray[np.float64]:
    """Confidence of each decision, shape (n,); minus infinity where neither response leads."""
    return np.where(p[:, 0] == p[:, 1], -np.inf, np.maximum(p[:, 0], p[:, 1]))
