"""The wheels of a pack: what a judge needs on the target, without what the user leaves out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from votecast.errors import ArtifactError, ConfigError
from votecast.packaging.pip import Pip
from votecast.packaging.target import Target

Versions = Literal["here", "newest"]
_OWN = "votecast"
_ROUNDS = 5


@dataclass(frozen=True)
class Wanted:
    """What is to be installed on the target.

    Args:
        extras: Extras of votecast.
        no_deps: Pinned packages that are installed without what they name.
        without: Packages that the target has already; what only they need stays away too.
        versions: Whether to keep to the versions installed here, with which the judge was tried.
    """

    extras: Sequence[str] = ()
    no_deps: Sequence[str] = ()
    without: Sequence[str] = ()
    versions: Versions = "here"

    @property
    def own(self) -> str:
        """The package votecast with its extras, as a requirement names it."""
        return f"{_OWN}[{','.join(sorted(self.extras))}]" if self.extras else _OWN


def collect(wanted: Wanted, own_wheel: Path, pip: Pip, folder: Path) -> dict[str, str]:
    """Put the wheels into a folder; votecast's own is there already.

    Args:
        wanted: What is to be installed.
        own_wheel: votecast's own wheel.
        pip: What fetches the others.
        folder: Where the wheels go.

    Returns:
        Package -> version, of all that were fetched.

    Raises:
        ConfigError: If nothing of a name in `without` is needed, or there is no pip.
        ArtifactError: If a wheel cannot be had.
    """
    found = _resolved(wanted, own_wheel, pip)
    chosen, _ = _reached(found, wanted, pip.target)
    if unknown := [name for name in wanted.without if canonicalize_name(name) not in found]:
        raise ConfigError(
            f"--without {', '.join(unknown)}: the judge does not need it; needed are {', '.join(sorted(found))}"
        )
    pins = {name: found[name]["version"] for name in sorted(chosen)}
    for pin in wanted.no_deps:
        name, _, version = pin.partition("==")
        pins[canonicalize_name(name)] = version
    pip.download([f"{name}=={version}" for name, version in pins.items()], folder)
    _check_all_there(pins, folder)
    return pins


def _resolved(wanted: Wanted, own_wheel: Path, pip: Pip) -> dict[str, dict[str, Any]]:
    """Package -> what its wheel tells; pip takes markers for those of the running Python, so it is asked again."""
    constraints, report = pip.work / "constraints.txt", pip.work / "report.json"
    constraints.write_text(_installed() if wanted.versions == "here" else "", "utf-8")
    asked = [f"{wanted.own} @ {own_wheel.resolve().as_uri()}"]
    found: dict[str, dict[str, Any]] = {}
    for _ in range(_ROUNDS):
        pip.resolve(asked, constraints, report)
        told = json.loads(report.read_text("utf-8"))["install"]
        found = {canonicalize_name(one["metadata"]["name"]): one["metadata"] for one in told}
        _, absent = _reached(found, wanted, pip.target)
        if not absent:
            break
        asked += sorted(absent)
    return found


def _installed() -> str:
    """The versions installed here, as constraints; a build of this machine, such as +cpu, is no part of them."""
    lines = set()
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name and canonicalize_name(name) != _OWN:
            lines.add(f"{name}=={re.sub(r'[+].*', '', each.version)}\n")
    return "".join(sorted(lines))


def _reached(found: Mapping[str, Mapping[str, Any]], wanted: Wanted, target: Target) -> tuple[set[str], set[str]]:
    """Packages that the target needs, votecast itself aside; and requirements that nothing satisfies yet."""
    left_out = {canonicalize_name(name) for name in wanted.without}
    seen: set[tuple[str, str]] = set()
    absent: set[str] = set()
    waiting: list[tuple[str, str]] = [(_OWN, extra) for extra in ("", *wanted.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for requirement in _requirements(found[name], target, extra):
            needed = canonicalize_name(requirement.name)
            if needed in left_out:
                continue
            if needed not in found:
                absent.add(_bare(requirement))
                continue
            waiting += [(needed, each) for each in ("", *requirement.extras)]
    return {name for name, _ in seen} - {_OWN}, absent


def _requirements(told: Mapping[str, Any], target: Target, extra: str) -> Iterator[Requirement]:
    environment = target.environment(extra)
    for line in told.get("requires_dist") or []:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            yield requirement


def _bare(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _check_all_there(pins: Mapping[str, str], folder: Path) -> None:
    there = {canonicalize_name(path.name.split("-")[0]) for path in folder.glob("*.whl")}
    if absent := [name for name in pins if canonicalize_name(name) not in there]:
        raise ArtifactError(f"pip fetched no wheel of {', '.join(absent)}; give a folder that holds it: --find-links")
