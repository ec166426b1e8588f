"""votecast pack: a judge, its wheels and a notebook for a machine without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from votecast.cli.options import Flag, JudgeOrRecipe, Output, Words
from votecast.cli.screen import judge_text, print_facts, print_note


def pack(
    *,
    judge: JudgeOrRecipe,
    out: Path,
    contest: Literal["lmsys", "wsdm"] = "lmsys",
    python: str | None = None,
    platform: str | None = None,
    without: Words = None,
    base: Words = None,
    versions: Literal["here", "newest"] = "here",
    find_links: Words = None,
    no_index: Flag = False,
    output: Output = Output(),
) -> None:
    """Pack a judge, its wheels and a notebook that writes a submission for offline machines.

    Args:
        out: Folder to write; <out>.pip.log is beside it if pip fails.
        contest: The contest whose test file the notebook reads: lmsys (three probabilities) or wsdm (the winner).
        python: Python of the target, such as 3.11; by default the running one.
        platform: Newest manylinux of the target; by default manylinux_2_28_x86_64.
        without: A package that the target has already, such as torch; it and what only it needs are left out.
        base: NAME=FOLDER, a local copy of base weights that the judge calls NAME.
        versions: Packages as they are installed here, or the newest compatible ones.
        find_links: A folder or page to look for wheels in, beside pip's index.
        no_index: Use no index; take wheels from --find-links alone.
    """
    from votecast.packaging.pack import pack as make_pack
    from votecast.packaging.pip import PLATFORM, RUNNING, TargetMachine

    output.check()
    target = TargetMachine(python or RUNNING, platform or PLATFORM)
    print_note(f"collecting wheels for Python {target.python} on {target.platform}")
    made = make_pack(
        judge,
        out,
        contest=contest,
        target=target,
        find_links=find_links or (),
        no_index=no_index,
        without=without or (),
        versions=versions,
        bases=_parse_bases(base or ()),
        overwrite=output.overwrite,
    )
    settings = {"judge": judge, "out": str(out), "contest": contest}
    if output.write(made, "pack", settings, judge=made["judge"]):
        print_facts(_summarise(made, out))


def _parse_bases(given: Sequence[str]) -> dict[str, Path]:
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


def _summarise(made: Mapping[str, Any], out: Path) -> dict[str, str]:
    from votecast.packaging.pack import megabytes

    sizes = {name: file["size"] for name, file in made["files"].items()}
    wheels, base = ([name for name in sizes if name.startswith(f"{top}/")] for top in ("wheels", "base"))
    largest = [
        f"{Path(name).name.split('-')[0]} {megabytes(sizes[name])}"
        for name in sorted(wheels, key=lambda name: -sizes[name])[:3]
    ]
    total = megabytes(sum(sizes[name] for name in wheels))
    facts = {"judge": judge_text(made["judge"]), "wheels": f"{len(wheels)}, {total}; the largest: {', '.join(largest)}"}
    if made["without"]:
        facts["left out"] = ", ".join(made["without"])
    if made["bases"]:
        names = ", ".join(each["name"] for each in made["bases"])
        facts["base weights"] = f"{names}, {megabytes(sum(sizes[name] for name in base))}"
    return facts | {"written": f"{out} ({megabytes(sum(sizes.values()))})"}
