"""Judges without a single vote: a recipe of the reward family under the default link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from votecast.calibration import make_calibrator
from votecast.calibration.link import DEFAULT_LINK, FIXED_LINK
from votecast.errors import ConfigError
from votecast.judges.fitted import Fitted, OutOfFold
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.models.registry import family

FAMILY: Final = "reward"
NOT_FITTED: Final = (
    "link not fitted: no votes were used, so its probabilities are as sure as the default link takes the rewards to be"
)
"""What is said of a judge whose link was not fitted on votes, on screen and in its card."""


def recipe_judge(name: str, overrides: Mapping[str, Any] | None = None, *, small: bool = False) -> TrainedJudge:
    """A judge that forecasts without having seen a vote.

    Its link is `votecast.calibration.link.DEFAULT_LINK`, or the fixed rule where the recipe names it.

    Args:
        name: A recipe of the family reward whose network is not trained, or the path of one.
        overrides: Settings by dotted key.
        small: Take the small form of the recipe.

    Raises:
        ConfigError: If judges of this recipe cannot do without votes.

    Example:
        >>> recipe_judge("baseline")
        Traceback (most recent call last):
            ...
        votecast.errors.ConfigError: recipe 'baseline' is of the family baseline, which learns everything from votes...
    """
    recipe = load_recipe(name, overrides, small=small)
    if recipe.family != FAMILY:
        raise ConfigError(
            f"recipe {name!r} is of the family {recipe.family}, which learns everything from votes; train it with "
            "votecast train and name its folder, or take a recipe of the family reward, such as internlm2_reward"
        )
    settings = cast("Any", recipe.model)
    if settings.adapter is not None:
        raise ConfigError(
            f"recipe {name!r} trains its network on votes (model.adapter is set); train it with votecast train, or set "
            "model.adapter to null and model.name to a reward model"
        )
    if settings.link.method not in ("davidson", "fixed"):
        raise ConfigError(
            f"model.link.method is {settings.link.method}, and without votes there are davidson (the default link) and "
            "fixed; set one of these, or fit the link with votecast train"
        )
    recipe = load_recipe(recipe, {"calibration.method": "none", "model.link.length": False})
    member: Any = family(FAMILY)(recipe.model, seed=recipe.seed)
    member.link = FIXED_LINK if settings.link.method == "fixed" else DEFAULT_LINK
    facts = {"rows": 0, "labels": {}, "sources": {}, "folds": {"method": "no votes were used", "n": 1}}
    judge = TrainedJudge.of(recipe, Fitted([member], make_calibrator("none"), OutOfFold.none(), None, facts))
    judge.record(link=member.link.to_dict(), limits=[NOT_FITTED])
    return judge
