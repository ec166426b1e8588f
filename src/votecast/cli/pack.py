"""votecast pack: a judge, its wheels and a notebook for a machine without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.screen import cite, facts, remark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def pack(
    *,
    judge: str,
    out: Path,
    contest: Literal["lmsys", "wsdm"] = "lmsys",
    python: str | None = None,
    platform: str | None = None,
    without: Annotated[list[str] | None, Parameter(negative=())] = None,
    base: Annotated[list[str] | None, Parameter(negative=())] = None,
    versions: Literal["here", "newest"] = "here",
    find_links: Annotated[list[str] | None, Parameter(negative=())] = None,
    no_index: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Put a judge, the wheels it needs and a notebook that writes a submission into a folder for offline machines.

    Args:
        judge: A judge folder, bundled:baseline, default, or recipe:NAME for a reward model that is used without votes.
        out: Folder to write; beside it lies <out>.pip.log if pip fails.
        contest: The contest whose test file the notebook reads: lmsys (three probabilities) or wsdm (the winner).
        python: Python of the target, such as 3.11; the one that runs here if not given.
        platform: Newest manylinux of the target; manylinux_2_28_x86_64 if not given.
        without: A package that the target has already, such as torch: it stays away, and what only it needs.
        base: NAME=FOLDER, a local copy of weights that the judge stands on and calls NAME.
        versions: Packages as they are installed here, or the newest that fit.
        find_links: A folder or page to look for wheels in, beside pip's index.
        no_index: Ask no index; take wheels from --find-links alone.
        json: Write what the manifest says as JSON ("-" is standard output).
        overwrite: Replace an existing pack.
    """
    from votecast.packaging.pack import pack as make
    from votecast.packaging.pip import PLATFORM, RUNNING, TargetMachine

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    target = TargetMachine(python or RUNNING, platform or PLATFORM)
    remark(f"collecting wheels for Python {target.python} on {target.platform}")
    made = make(
        judge,
        out,
        contest=contest,
        target=target,
        find_links=find_links or (),
        no_index=no_index,
        without=without or (),
        versions=versions,
        bases=_named(base or ()),
        overwrite=overwrite,
    )
    if json is not None:
        write_json(made, json, overwrite=overwrite)
        write_settings(json, "pack", {"judge": judge, "out": str(out), "contest": contest}, judge=made["judge"])
    if json != STANDARD:
        facts(_told(made, out))


def _named(given: Sequence[str]) -> dict[str, Path]:
    from votecast.errors import ConfigError

    named = {}
    for each in given:
        name, equals, folder = each.rpartition("=")
        if not (equals and name and folder):
            raise ConfigError(
                f"--base {each}: allowed is NAME=FOLDER, the judge's name of the weights and a local copy"
            )
        named[name] = Path(folder)
    return named


def _told(made: Mapping[str, Any], out: Path) -> dict[str, str]:
    from votecast.packaging.pack import megabytes

    sizes = {name: file["size"] for name, file in made["files"].items()}
    shares = {top: [size for name, size in sizes.items() if name.startswith(f"{top}/")] for top in ("wheels", "base")}
    largest = sorted((name for name in sizes if name.startswith("wheels/")), key=lambda name: -sizes[name])[:3]
    told = {
        "judge": cite(made["judge"]),
        "wheels": f"{len(shares['wheels'])}, {megabytes(sum(shares['wheels']))}; the largest: "
        + ", ".join(f"{Path(name).name.split('-')[0]} {megabytes(sizes[name])}" for name in largest),
    }
    if made["without"]:
        told["left out"] = ", ".join(made["without"])
    if made["bases"]:
        told["base weights"] = f"{', '.join(each['name'] for each in made['bases'])}, {megabytes(sum(shares['base']))}"
    return told | {"written": f"{out} ({megabytes(sum(sizes.values()))})"}
