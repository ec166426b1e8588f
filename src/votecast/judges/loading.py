"""From the name of a judge to the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from votecast.config import user_settings
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.trained import TrainedJudge

BUNDLED, RECIPE = "bundled:", "recipe:"
DEFAULT = "default"


def load_judge(
    name: str | Path = DEFAULT, overrides: Mapping[str, Any] | None = None, *, small: bool = False
) -> TrainedJudge:
    """Load a judge.

    Args:
        name: A judge folder; `bundled:NAME` for one that ships with votecast; `recipe:NAME` for a reward model that is
            used without votes, under a link that was not fitted; or `default`, which is `bundled:baseline` unless the
            user's settings file says otherwise.
        overrides: Settings of a recipe by dotted key.
        small: Take the small form of a recipe.

    Raises:
        ArtifactError: If there is no such judge, or its folder is damaged.
        ConfigError: If judges of the recipe cannot do without votes, or settings are given for what is no recipe.

    Example:
        >>> load_judge("bundled:baseline").name
        'baseline'
    """
    text = _settled(name)
    if text.startswith(RECIPE):
        from votecast.judges.unvoted import recipe_judge

        return recipe_judge(text.removeprefix(RECIPE), overrides, small=small)
    if overrides or small:
        given = ", ".join([*(overrides or {}), *(["small"] if small else [])])
        raise ConfigError(
            f"{given} is for a recipe, and {text!r} is a judge with settings of its own; name {RECIPE}NAME, or drop it"
        )
    return TrainedJudge.from_pretrained(judge_folder(text))


def judge_folder(name: str | Path = DEFAULT) -> Path:
    """Where a judge lies; a judge of `recipe:NAME` lies nowhere.

    Raises:
        ArtifactError: If no judge of that name ships with votecast.
        ConfigError: If it is the name of a recipe.

    Example:
        >>> judge_folder("bundled:baseline").name
        'baseline'
    """
    text = _settled(name)
    if text.startswith(RECIPE):
        raise ConfigError(f"{text!r} is a recipe without a folder; name a judge folder")
    return _bundled(text.removeprefix(BUNDLED)) if text.startswith(BUNDLED) else Path(text).expanduser()


def load_judges(judges: Sequence[TrainedJudge | str | Path], what: str) -> dict[str, TrainedJudge]:
    """Judges by what they are called: the name of their folder, else their own; numbered where these are alike.

    Args:
        judges: Judges, their folders or names; at least two.
        what: What is made of them, for messages.

    Raises:
        ArtifactError: If there is no such judge.
        ConfigError: If there are fewer than two, or one is given twice.
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


def bundled_names() -> list[str]:
    """The judges that ship with votecast."""
    root = Path(str(resources.files("votecast"))) / "bundled"
    return sorted(path.name for path in root.iterdir() if (path / "config.json").is_file()) if root.is_dir() else []


def _settled(name: str | Path) -> str:
    text = str(name)
    return str(user_settings().get("default_judge", "bundled:baseline")) if text == DEFAULT else text


def _bundled(name: str) -> Path:
    if name not in bundled_names():
        known = ", ".join(BUNDLED + known for known in bundled_names()) or "none"
        raise ArtifactError(f"there is no judge {BUNDLED + name!r}; those that ship with votecast are {known}")
    return Path(str(resources.files("votecast"))) / "bundled" / name
