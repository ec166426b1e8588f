"""The names of a service's judges, from the options of `votecast serve`.

The command line calls `name_judges`; requests use the names, workers the folders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from votecast.artifacts import CONFIG_NAME
from votecast.config import user_settings
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.load import BUNDLED, DEFAULT, RECIPE, judge_folder

_NAME: Final = re.compile(r"[\w.-]{1,100}")
_ALLOWED: Final = "name one that `votecast train` has written, or bundled:baseline, which ships with votecast"


def name_judges(given: Sequence[str]) -> dict[str, str]:
    """Name judges, in the order given; the first is the default.

    Args:
        given: Folders or names of judges, each perhaps as NAME=FOLDER; the default judge if empty.

    Raises:
        ConfigError: If two have one name, or a name is invalid.
        ArtifactError: If there is no such judge.

    Example:
        >>> name_judges(["bundled:baseline", "quick=bundled:baseline"])
        {'baseline': 'bundled:baseline', 'quick': 'bundled:baseline'}
    """
    found: dict[str, str] = {}
    for text in given or [DEFAULT]:
        name, sign, place = text.partition("=")
        if not sign or Path(text).expanduser().exists() or "/" in name:
            place = _find_judge(text)
            is_named = place.startswith((BUNDLED, RECIPE))
            name = place.partition(":")[2] if is_named else Path(place).expanduser().resolve().name
        elif _NAME.fullmatch(name):
            place = _find_judge(place)
        else:
            raise ConfigError(
                f"--judge {text!r} names a judge {name!r}; allowed are 1 to 100 letters, digits, points, dashes and "
                "underscores"
            )
        if name in found:
            raise ConfigError(
                f"two judges are called {name!r}: {found[name]} and {place}; give them names: --judge NAME={place}"
            )
        found[name] = place
    return found


def _find_judge(place: str) -> str:
    """Check that a judge seems to exist; the workers load it."""
    if place == DEFAULT:
        place = user_settings().default_judge
    if place.startswith(RECIPE):
        return place
    folder = judge_folder(place)
    if not folder.exists():
        raise ArtifactError(f"there is no judge folder {place!r}; {_ALLOWED}")
    if not (folder / CONFIG_NAME).is_file():
        raise ArtifactError(f"{place} is not a judge folder: it has no {CONFIG_NAME}; {_ALLOWED}")
    return place
