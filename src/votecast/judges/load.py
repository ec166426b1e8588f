"""Load judges by name, and the votes that judges are made or measured with.

The command line, the service and everything that combines judges call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK
from votecast.config import user_settings
from votecast.data.battles import Battles
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.judges.out_of_fold import Fitted
from votecast.judges.recipe import load_recipe, warn_of_random_weights
from votecast.judges.trained import TrainedJudge
from votecast.models.registry import family

if TYPE_CHECKING:
    from votecast.models.reward.settings import RewardSettings

BUNDLED, RECIPE = "bundled:", "recipe:"
DEFAULT = "default"
NOT_FITTED: Final = (
    "link not fitted: no votes were used; how far rewards move the probabilities is a default, not measured on people"
)
"""Limit of a judge whose link was not fitted on votes, on screen and in its card."""


def load_judge(
    name: str | Path = DEFAULT, overrides: Mapping[str, object] | None = None, *, small: bool = False
) -> TrainedJudge:
    """Load a judge by folder or name.

    Args:
        name: A judge folder; `bundled:NAME` for one that ships with votecast; `recipe:NAME` for a reward model that is
            used without votes, under a link that was not fitted; or `default`, which is `bundled:baseline` unless the
            user's settings file says otherwise.
        overrides: Settings of a recipe by dotted key.
        small: Take the small form of a recipe.

    Raises:
        ArtifactError: If there is no such judge, or its folder is damaged.
        ConfigError: If judges of the recipe need votes, or settings are given for what is no recipe.

    Example:
        >>> load_judge("bundled:baseline").name
        'baseline'
    """
    text = _resolve_default(name)
    if text.startswith(RECIPE):
        return reward_judge(text.removeprefix(RECIPE), overrides, small=small)
    if overrides or small:
        given = ", ".join([*(overrides or {}), *(["small"] if small else [])])
        raise ConfigError(
            f"{given} is for a recipe, and {text!r} is a judge with settings of its own; name {RECIPE}NAME, or drop it"
        )
    return TrainedJudge.from_pretrained(judge_folder(text))


def judge_folder(name: str | Path = DEFAULT) -> Path:
    """Return the folder of a judge; a judge of `recipe:NAME` has none.

    Raises:
        ArtifactError: If no judge of that name ships with votecast.
        ConfigError: If it is the name of a recipe.

    Example:
        >>> judge_folder("bundled:baseline").name
        'baseline'
    """
    text = _resolve_default(name)
    if text.startswith(RECIPE):
        raise ConfigError(f"{text!r} is a recipe without a folder; name a judge folder")
    if not text.startswith(BUNDLED):
        return Path(text).expanduser()
    if text.removeprefix(BUNDLED) not in bundled_names():
        known = ", ".join(BUNDLED + known for known in bundled_names()) or "none"
        raise ArtifactError(f"there is no judge {text!r}; those that ship with votecast are {known}")
    return Path(str(resources.files("votecast"))) / "bundled" / text.removeprefix(BUNDLED)


def bundled_names() -> list[str]:
    """List the judges that ship with votecast."""
    root = Path(str(resources.files("votecast"))) / "bundled"
    return sorted(path.name for path in root.iterdir() if (path / "config.json").is_file()) if root.is_dir() else []


def load_judges(judges: Sequence[TrainedJudge | str | Path], what: str) -> dict[str, TrainedJudge]:
    """Load at least two judges and label each: by its folder, else by its name, numbered where labels repeat.

    Raises:
        ArtifactError: If there is no such judge.
        ConfigError: If there are fewer than two, or one is given twice; `what` names what is made of them.
    """
    if len(judges) < 2:
        raise ConfigError(f"{what} needs at least two judges, and {len(judges)} is given")
    named: dict[str, TrainedJudge] = {}
    labels: dict[str, str] = {}
    for given in judges:
        judge = given if isinstance(given, TrainedJudge) else load_judge(given)
        bare = judge.name if isinstance(given, TrainedJudge) else (Path(given).name or judge.name)
        label = next(name for name in (bare, *(f"{bare} ({n})" for n in range(2, 100))) if name not in named)
        if (twin := labels.setdefault(judge.hash, label)) != label:
            raise ConfigError(f"{twin!r} and {label!r} are the same judge ({judge.hash[:12]}); name each judge once")
        named[label] = judge
    return named


def reward_judge(name: str, overrides: Mapping[str, object] | None = None, *, small: bool = False) -> TrainedJudge:
    """Make a judge of a reward model without any votes; ConfigError if judges of this recipe need some.

    Its link is `votecast.calibration.score_link.DEFAULT_LINK`, or the fixed rule where the recipe names it.

    Example:
        >>> reward_judge("baseline")
        Traceback (most recent call last):
            ...
        votecast.errors.ConfigError: recipe 'baseline' is of the family baseline, which learns everything from votes...
    """
    recipe = load_recipe(name, overrides, small=small)
    if recipe.family != "reward":
        raise ConfigError(
            f"recipe {name!r} is of the family {recipe.family}, which learns everything from votes; train it with "
            "votecast train and name its folder, or take a recipe of the family reward, such as internlm2_reward"
        )
    settings = cast("RewardSettings", recipe.model)
    if settings.adapter is not None:
        raise ConfigError(
            f"recipe {name!r} trains its network on votes (model.adapter is set); train it with votecast train, or set "
            "model.adapter to null and model.name to a reward model"
        )
    if settings.link.method not in ("davidson", "fixed"):
        raise ConfigError(
            f"model.link.method is {settings.link.method}; without votes it must be davidson (the default link) or "
            "fixed. Set one of these, or fit the link with votecast train"
        )
    # nothing can be fitted without votes: neither a calibrator nor the slope of the length
    recipe = load_recipe(recipe, {"calibration.method": "none", "model.link.length": False})
    member = family("reward")(recipe.model, seed=recipe.seed)
    member.link = FIXED_LINK if settings.link.method == "fixed" else DEFAULT_LINK
    judge = TrainedJudge.of(recipe, Fitted.without_votes([member], "no votes were used"))
    remark = warn_of_random_weights(recipe.model)
    judge.record(link=member.link.to_dict(), limits=[NOT_FITTED, *([remark] if remark else [])])
    return judge


def load_votes(
    votes: object, reader: Mapping[str, object] | None = None, *, judges: Iterable[TrainedJudge] = (), **options: object
) -> Battles:
    """Read a file of votes, or take battles, a frame or a list of dicts as they are.

    Args:
        votes: Path of a file, or rows.
        reader: Options of `read_votes`, where `votes` is a path; DataError if it is not.
        judges: Judges whose columns of numbers, such as scores, are read too.
        **options: Further options of `read_votes`, which `reader` overrides.
    """
    if isinstance(votes, str | Path):
        if numbers := tuple(dict.fromkeys(name for judge in judges for name in judge.numbers)):
            options["numbers"] = numbers
        return read_votes(votes, **({"labels": "required"} | options | dict(reader or {})))
    if reader:
        raise DataError(f"reader options {sorted(reader)} are for files; the votes came as {type(votes).__name__}")
    return as_battles(votes)


def reading_note(battles: Battles) -> dict[str, object]:
    """Return the note on how the votes were read, where they came from a file."""
    report = battles.report
    return {} if report is None else {"reading": report.to_dict() | {"path": Path(report.path).name}}


def _resolve_default(name: str | Path) -> str:
    text = str(name)
    return user_settings().default_judge if text == DEFAULT else text
