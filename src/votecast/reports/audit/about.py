"""What a judge is, and what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from votecast.calibration.names import describe
from votecast.judges.evaluate import Predictions
from votecast.judges.trained import TrainedJudge
from votecast.models.base import Model


@dataclass(frozen=True)
class About:
    """What is known of a judge.

    Args:
        name: Its name; None where predictions do not say.
        hash: Hash of all its predictions depend on; empty where there is none.
        family: Family, or the name of its class.
        members: How many models it averages.
        calibration: How its probabilities were calibrated.
        rows: Votes it was trained on; None where unknown.
        prompts: Clusters of prompts among them.
        labels: Share of each outcome among them.
        sources: Rows of each source among them.
        folds: How it was trained over folds.
        bases: Names of the weights that it stands on and its folder does not hold.
        inside: The judges that it is made of.
        reached: Log loss it was saved with, on rows it had not seen.
        limits: What its card says is known to go wrong.
    """

    name: str | None
    hash: str
    family: str | None = None
    members: int | None = None
    calibration: str | None = None
    rows: int | None = None
    prompts: int | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    folds: str | None = None
    bases: tuple[str, ...] = ()
    inside: tuple[About, ...] = ()
    reached: float | None = None
    limits: tuple[str, ...] = ()


def about(judge: Any) -> About:
    """Say what a judge is.

    Args:
        judge: A judge of any kind, or `Predictions`.

    Example:
        >>> about(Predictions(["1"], [[0.5, 0.3, 0.2]], name="mine")).name
        'mine'
    """
    if isinstance(judge, TrainedJudge):
        return _trained(judge)
    name, hashed = getattr(judge, "name", None), getattr(judge, "hash", None)
    family = None if isinstance(judge, Predictions) else type(judge).__name__
    return About(None if name is None else str(name), str(hashed or ""), family)


def _trained(judge: TrainedJudge) -> About:
    fitted, facts = judge.fitted, judge.fitted.facts
    reached = judge.figures.get("metrics", {}).get("log_loss", {})
    return About(
        name=judge.name,
        hash=judge.hash,
        family=judge.recipe.family,
        members=len(fitted.members),
        calibration=describe(fitted.calibrator.state()[0]),
        rows=facts.get("rows"),
        prompts=facts.get("prompt_clusters"),
        labels=facts.get("labels") or {},
        sources=facts.get("sources") or {},
        folds=_folds(facts.get("folds") or {}),
        bases=tuple(dict.fromkeys(_bases(fitted.members))),
        inside=tuple(map(_trained, _inside(fitted.members))),
        reached=reached.get("value") if isinstance(reached, Mapping) else None,
        limits=tuple(str(limit) for limit in judge.notes.get("limits", [])),
    )


def _folds(folds: Mapping[str, Any]) -> str | None:
    return f"{folds.get('method', 'grouped')}, {folds['n']}" if folds.get("n") else None


def _inside(members: list[Model]) -> list[TrainedJudge]:
    return [each for member in members for each in getattr(member, "judges", ()) if isinstance(each, TrainedJudge)]


def _bases(members: list[Model]) -> list[str]:
    """Names of all weights that the members, and the judges inside them, stand on."""
    found = [member.base for member in members]
    names = [str(base["name"]) for base in found if base is not None and base.get("name")]
    for judge in _inside(members):
        names += _bases(judge.fitted.members)
    return names
