"""The reward model that made the scores of a file, found again by what the file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from votecast.calibration.link import LinkSettings
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges.loading import load_judge
from votecast.judges.recipe import Recipe, load_recipe
from votecast.models.registry import family

REWARD: Final = "reward"
ABOUT: Final[dict[str, Any]] = {
    "description": "a link from scores to votes",
    "calibration": {"method": "none"},
    "final": "refit",
}
"""What the recipes of all linked judges have in common."""

_OTHERWISE: Final = "score again with what there is now, or pass --bare to link the numbers alone"


@dataclass(frozen=True)
class Scorer:
    """What scores the texts of a judge.

    Args:
        recipe: The recipe of the judge.
        member: Its model, without a link as yet.
    """

    recipe: Recipe
    member: Any


def scorer(described: Mapping[str, Any], settings: LinkSettings, name: str | None) -> Scorer:
    """The reward model that made some scores.

    Args:
        described: What their file says of it.
        settings: The link that it is to have.
        name: What the judge is to be called.

    Raises:
        ArtifactError: If it is not there any more, or has other weights.
        DataError: If what is said of it does not suffice.
        MissingExtraError: If the packages that reward models need are not installed.
    """
    judge = described.get("judge")
    if isinstance(judge, Mapping):
        return _trained(judge, settings, name)
    values = ABOUT | {"family": REWARD, "name": name or REWARD, "seed": described.get("seed", 42)}
    try:
        recipe = load_recipe(values | {"model": _settings(described) | {"link": settings.dump()}})
    except ConfigError as error:
        raise DataError(f"the scores do not say in full what made them ({error}); {_OTHERWISE}") from error
    member: Any = family(REWARD)(recipe.model, seed=recipe.seed)
    expected, found = described.get("sha256"), (member.base or {}).get("sha256")
    if expected is not None and expected != found:
        raise ArtifactError(
            f"the scores were made by weights of SHA-256 {expected}, and {described.get('model')} has {found}; "
            f"{_OTHERWISE}"
        )
    return Scorer(recipe, member)


def _trained(judge: Mapping[str, Any], settings: LinkSettings, name: str | None) -> Scorer:
    """A judge whose network was trained here: its folder holds the weights."""
    folder = str(judge.get("folder"))
    if not Path(folder).is_dir():
        raise ArtifactError(
            f"the scores were made by the judge {judge.get('name')!r} in {folder}, which is not there; run where it "
            f"was scored, or {_OTHERWISE}"
        )
    found = load_judge(folder)
    if found.hash != judge.get("hash"):
        raise ArtifactError(
            f"the judge in {folder} has the hash {found.hash[:12]}, and the scores were made by "
            f"{str(judge.get('hash'))[:12]}; {_OTHERWISE}"
        )
    values = found.recipe.dump()
    values |= ABOUT | {"name": name or found.name, "model": values["model"] | {"link": settings.dump()}}
    return Scorer(load_recipe(values | {"folds": {}}), found.fitted.members[0])


def _settings(described: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(described.get("settings"), Mapping):
        return dict(described["settings"])
    text = {key: described[key] for key in ("template", "cut") if described.get(key) is not None}
    named = {key: described[key] for key in ("revision",) if described.get(key) is not None}
    return {"name": described.get("model"), **named, **({"text": text} if text else {})}
