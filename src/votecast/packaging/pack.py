"""Packs: a judge, the wheels it needs and a notebook, in one folder for a machine without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from votecast import __version__
from votecast.artifacts import read_folder
from votecast.errors import ConfigError
from votecast.judges.load import RECIPE, judge_folder, load_judge
from votecast.packaging.contests import CONTESTS, ContestName
from votecast.packaging.folder import NOTEBOOK, README, WHEELS, check_place, whole_folder, write_manifest
from votecast.packaging.judge import Base, copy_judge, find_bases
from votecast.packaging.needs import needs_of
from votecast.packaging.notebook import notebook
from votecast.packaging.own_wheel import write_own_wheel
from votecast.packaging.pip import Pip
from votecast.packaging.readme import readme
from votecast.packaging.target import Target
from votecast.packaging.wheels import Versions, Wanted, collect


@dataclass(frozen=True)
class Sources:
    """Where the wheels come from, and which.

    Args:
        find_links: Folders or pages to look in beside the index.
        no_index: Whether to ask no index at all.
        without: Packages that the target has already; what only they need stays away too.
        versions: Whether to keep to the versions installed here, with which the judge was tried.
    """

    find_links: Sequence[str] = ()
    no_index: bool = False
    without: Sequence[str] = ()
    versions: Versions = "here"

    def check(self) -> None:
        """Refuse places that can hold no wheel, before any work.

        Raises:
            ConfigError: If there is one, or none is named and no index is to be asked.
        """
        if self.no_index and not self.find_links and "PIP_FIND_LINKS" not in os.environ:
            raise ConfigError(
                "--no-index asks no index for wheels, so name a folder that holds them: --find-links FOLDER"
            )
        for place in self.find_links:
            path = Path(place).expanduser()
            if "://" not in place and not path.exists():
                raise ConfigError(f"--find-links {place} does not exist; name a folder of wheels or the URL of a page")
            if self.no_index and path.is_dir() and not any(path.glob("*.whl")):
                raise ConfigError(
                    f"--find-links {place} holds no wheel; name a folder that does, filled with pip download or by an "
                    "earlier pack (its folder wheels)"
                )


def pack(
    judge: str | Path,
    out: str | Path,
    *,
    contest: ContestName = "lmsys",
    target: Target = Target(),  # noqa: B008 - frozen
    sources: Sources = Sources(),
    bases: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make a pack, whole or not at all.

    Args:
        judge: A judge by its folder or name; one of a recipe that needs no votes is saved into the pack.
        out: Folder to write.
        contest: What the notebook writes a submission for.
        target: The machine it is for.
        sources: Where the wheels come from.
        bases: Local copies of weights that the judge stands on and calls by a name on a hub.
        overwrite: Whether an existing pack may be replaced.

    Returns:
        What the manifest says.

    Raises:
        ArtifactError: If the judge does not load, a wheel cannot be had, or something is in the way.
        ConfigError: If there is no pip, or a setting does not fit the judge.
    """
    place = Path(out).absolute()
    check_place(place, overwrite=overwrite)
    sources.check()
    log = place.with_name(f"{place.name}.pip.log")
    with tempfile.TemporaryDirectory(prefix="votecast-pack-") as scratch:
        work = Path(scratch)
        source = _checked(judge, work)
        found, needs = read_folder(source), needs_of(source)
        stands_on = find_bases(needs.bases, bases or {})
        wanted = Wanted(needs.extras, needs.no_deps, sources.without, sources.versions)
        with whole_folder(place, overwrite=overwrite) as part:
            (part / WHEELS).mkdir()
            own = write_own_wheel(part / WHEELS)
            pip = Pip(target, work, log, sources.find_links, no_index=sources.no_index)
            packages = collect(wanted, own, pip, part / WHEELS)
            packed = copy_judge(source, part, stands_on)
            cited = {"name": found.config["name"], "family": found.config["family"], "hash": packed}
            facts = {
                "votecast": __version__,
                "python": target.python,
                "platform": target.platform,
                "contest": contest,
                "judge": cited | {"made_of": found.hash},
                "bases": [_told(base) for base in stands_on],
                "install": f"{wanted.own}=={__version__}",
                "no_deps": list(needs.no_deps),
                "without": sorted(sources.without),
                "packages": packages,
            }
            (part / NOTEBOOK).write_text(notebook(facts, CONTESTS[contest]), "utf-8")
            (part / README).write_text(readme(facts, part), "utf-8")
            return write_manifest(part, facts)


def _checked(judge: str | Path, work: Path) -> Path:
    """The folder of a judge that loads; a judge without a folder is saved into one."""
    loaded = load_judge(judge)
    if not str(judge).startswith(RECIPE):
        return judge_folder(judge)
    loaded.save_pretrained(work / "judge")
    return work / "judge"


def _told(base: Base) -> dict[str, str]:
    return {"name": base.name, "place": base.place, "sha256": base.sha256}
