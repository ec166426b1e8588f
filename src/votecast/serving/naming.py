"""What the judges of a service are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from votecast.artifacts import CONFIG_NAME
from votecast.config import user_settings
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.load import BUNDLED, DEFAULT, RECIPE, bundled_names

_NAME: Final = re.compile(r"[\w.-]{1,100}")
_MEANT: Final = "name one that `votecast train` has written, or bundled:baseline, which ships with votecast"


def name_judges(given: Sequence[str]) -> dict[str, str]:
    """Judges by the names they get, in the order given; the first is the default.

    Args:
        given: Folders or names of judges, each perhaps as NAME=FOLDER; the default judge where there are none.

    Raises:
        ConfigError: If two have one name, or a name cannot be used.
        ArtifactError: If there is no such judge.

    Example:
        >>> name_judges(["bundled:baseline", "quick=bundled:baseline"])
        {'baseline': 'bundled:baseline', 'quick': 'bundled:baseline'}
    """
    found: dict[str, str] = {}
    for text in given or [DEFAULT]:
        name, place = _named(text)
        if name in found:
            raise ConfigError(
                f"two judges are called {name!r}: {found[name]} and {place}; give them names: --judge NAME={place}"
            )
        found[name] = place
    return found


def _named(text: str) -> tuple[str, str]:
    name, sign, place = text.partition("=")
    if sign and not Path(text).expanduser().exists() and "/" not in name:
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"--judge {text!r} names a judge {name!r}; allowed are 1 to 100 letters, digits, points, dashes and "
                "underscores"
            )
        return name, _checked(place)
    place = _checked(text)
    if place.startswith((BUNDLED, RECIPE)):
        return place.partition(":")[2], place
    return Path(place).expanduser().resolve().name, place


def _checked(place: str) -> str:
    """A judge that seems to be there; the workers look closer."""
    if place == DEFAULT:
        place = str(user_settings().get("default_judge", "bundled:baseline"))
    if place.startswith(RECIPE):
        return place
    if place.startswith(BUNDLED):
        if place.removeprefix(BUNDLED) not in bundled_names():
            known = ", ".join(BUNDLED + name for name in bundled_names())
            raise ArtifactError(f"there is no judge {place!r}; those that ship with votecast are {known}")
        return place
    folder = Path(place).expanduser()
    if not folder.exists():
        raise ArtifactError(f"there is no judge folder {place!r}; {_MEANT}")
    if not (folder / CONFIG_NAME).is_file():
        raise ArtifactError(f"{place} is no judge folder: it has no {CONFIG_NAME}; {_MEANT}")
    return place
