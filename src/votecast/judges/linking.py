"""Scores and votes, joined by id, become a judge: a link fitted on the votes, measured on those it did not see."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from votecast.calibration import make_calibrator
from votecast.calibration.link import DEFAULT_LINK, FIXED_LINK, Link, LinkSettings, crossfit_link, fit_link
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.outputs.score_files import Scores
from votecast.errors import DataError, LeakError
from votecast.features.form import length_gap
from votecast.judges.fitted import Fitted, OutOfFold
from votecast.judges.recipe import load_recipe
from votecast.judges.scorers import ABOUT, REWARD, Scorer, scorer
from votecast.judges.trained import TrainedJudge
from votecast.metrics import group_folds
from votecast.models.scored import ScoredModel
from votecast.splits import PromptHashes
from votecast.types import CLASSES, Probabilities

BARE: Final = "scores"
_NAMED: Final = 5
_NOT_FITTED: Final = "link not fitted: a fixed rule was taken as it is, whatever the votes say"
_TOLD: Final = ("model", "revision", "sha256", "template", "cut", "judge")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """Votes with the scores of their answers.

    Args:
        votes: The votes that have scores, n of them, in the order of their file.
        a: Scores of the first answers, shape (n,).
        b: Scores of the second answers, shape (n,).
        unscored: Votes without scores.
        unvoted: Scores without a vote.
    """

    votes: Battles
    a: Floats
    b: Floats
    unscored: int
    unvoted: int

    @property
    def gap(self) -> Floats:
        """Score of a minus score of b, shape (n,)."""
        return self.a - self.b


def match(scores: Scores, votes: Battles) -> Matched:
    """Join scores and votes by id.

    Raises:
        DataError: If they have no id in common, or one occurs twice among the votes.

    Example:
        >>> battle = {"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}
        >>> votes = Battles.from_rows([battle | {"id": "1"}, battle | {"id": "2"}])
        >>> found = match(Scores(["2", "3"], np.array([1.0, 2.0]), np.array([0.5, 0.5])), votes)
        >>> found.votes.ids, found.gap.tolist(), found.unscored, found.unvoted
        (['2'], [0.5], 1, 1)
    """
    place = {name: row for row, name in enumerate(scores.ids)}
    ids = votes.ids
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise DataError(
            f"{len(twice)} ids occur more than once in the votes (first: {_named(twice)}), so that scores cannot be "
            "matched; give every vote an id of its own"
        )
    rows = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    known = np.flatnonzero(rows >= 0)
    if not len(known):
        raise DataError(
            f"no id is in both files: the scores have {_named(scores.ids)}, the votes {_named(ids)}; both need the "
            "same names for the same rows"
        )
    rows = rows[known]
    unscored, unvoted = len(ids) - len(known), len(scores) - len(known)
    return Matched(votes.take(known), scores.a[rows], scores.b[rows], unscored, unvoted)


def link_judge(
    scores: Scores,
    votes: Battles,
    *,
    method: str = "davidson",
    length: bool = False,
    bare: bool = False,
    name: str | None = None,
    seed: int = 42,
) -> tuple[TrainedJudge, Matched]:
    """Fit a link from scores to votes.

    Where the scores say which reward model made them, the judge scores texts with it; else it forecasts only battles
    that bring score_a and score_b.

    Args:
        scores: Scores of both answers; rows without a vote are left alone.
        votes: Votes; rows without scores are left alone.
        method: A name in `votecast.calibration.link.METHODS`.
        length: Whether the difference in length takes part, so that a length bias of the scores is taken out.
        bare: Take the scores as bare numbers, although it is known what made them.
        name: What the judge is called; "reward" or "scores" where None.
        seed: Seed of the folds.

    Returns:
        The judge, with forecasts of every vote by a link that was fitted on other prompts, and what was joined.

    Raises:
        DataError: If the scores or votes do not suffice; each fault has its own message.
        LeakError: If votes share prompts with the training of what made the scores.
        ArtifactError: If the reward model is not the one that made the scores.
    """
    matched = match(scores, votes)
    seen = _unseen(scores.described, matched.votes)
    settings = LinkSettings.parse({"method": method, "length": length}, origin="link")
    held, link = _fitted(matched, settings, seed)
    described = None if bare else scores.described
    known = described is not None and described.get("family", REWARD) == REWARD
    made = scorer(cast("dict[str, Any]", described), settings, name) if known else _bare(settings, name, seed)
    made.member.link = link
    hashes = PromptHashes.of(matched.votes, seed=seed) if seen is None else seen.joined(matched.votes)
    fitted = Fitted([made.member], make_calibrator("none"), held, hashes, _facts(matched.votes, held))
    judge = TrainedJudge.of(made.recipe, fitted)
    told = {key: described[key] for key in _TOLD if described.get(key) is not None} if known and described else None
    joined = {"made_by": told, "unscored": matched.unscored, "unvoted": matched.unvoted}
    judge.record(link=link.to_dict(), scores=joined, limits=[] if link.fitted else [_NOT_FITTED])
    return judge, matched


def _fitted(matched: Matched, settings: LinkSettings, seed: int) -> tuple[OutOfFold, Link]:
    """The link on all votes, and the forecasts of each fold by a link of the others."""
    votes = matched.votes
    targets, weights = votes.targets(), votes.weights()
    clusters = prompt_clusters(votes, seed=seed)
    form = length_gap(votes) if settings.length else None
    link = fit_link(matched.gap, targets, weights, method=settings.method, form=form, groups=clusters)
    folds = group_folds(clusters, seed=seed)
    raw = crossfit_link(matched.gap, targets, weights, folds, method=settings.method, form=form)
    rows = np.arange(len(votes))
    content, turned = votes.content_hashes(), votes.swapped().content_hashes()
    return OutOfFold(rows, votes.ids, content, folds, raw, targets, weights, clusters, turned=turned), link


def _unseen(described: dict[str, Any] | None, votes: Battles) -> PromptHashes | None:
    """The prompts on which the scorer was trained, none of them among the votes."""
    values = (described or {}).get("trained_on")
    if values is None:
        return None
    hashes = PromptHashes.from_dict(values)
    rows = hashes.overlap(votes)
    if len(rows):
        raise LeakError(
            f"{len(rows)} of {len(votes)} votes have prompts on which the reward model was trained (first ids: "
            f"{_named(votes.take(rows[:_NAMED]).ids)}): a link fitted on them would take its scores for surer than "
            "they are; give votes on other prompts"
        )
    return hashes


def _bare(settings: LinkSettings, name: str | None, seed: int) -> Scorer:
    values = ABOUT | {"family": BARE, "name": name or BARE, "seed": seed, "model": {"link": settings.dump()}}
    recipe = load_recipe(values)
    return Scorer(recipe, ScoredModel(recipe.model, seed=recipe.seed))


def _facts(votes: Battles, held: OutOfFold) -> dict[str, Any]:
    sources = votes.column("source").value_counts().to_pylist()
    named = {entry["values"]: entry["counts"] for entry in sources if entry["values"] is not None}
    folds = int(held.fold.max()) + 1
    return {
        "rows": len(votes),
        "labels": dict(zip(CLASSES, held.targets.mean(axis=0).round(6).tolist(), strict=True)),
        "sources": dict(sorted(named.items())),
        "folds": {"method": "grouped", "n": folds, "sizes": np.bincount(held.fold).tolist()},
        "prompt_clusters": int(held.clusters.max()) + 1,
    }


def rules(matched: Matched) -> dict[str, Probabilities]:
    """Forecasts of the same votes by links that are not fitted, by name: the default link, and the fixed rule."""
    return {"default_link": DEFAULT_LINK.predict(matched.gap), "fixed_rule": FIXED_LINK.predict(matched.gap)}


def _named(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED]))
