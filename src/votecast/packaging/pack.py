"""Packs: a judge, the wheels it needs and a notebook, in one folder for a machine without a network.

`votecast pack` calls `pack`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import jinja2

from votecast import __version__
from votecast.artifacts import atomic_folder, check_free, digest_of, read_folder
from votecast.errors import ArtifactError
from votecast.judges.load import RECIPE, judge_folder, load_judge
from votecast.packaging.packed_judge import copy_judge, find_bases, needs_of
from votecast.packaging.pip import Pip, TargetMachine
from votecast.packaging.wheels import Versions, collect_wheels, own_requirement

ContestName = Literal["lmsys", "wsdm"]

KIND, FORMAT_VERSION = "votecast-pack", 1
MANIFEST, NOTEBOOK, README, WHEELS = "manifest.json", "notebook.ipynb", "README.md", "wheels"

CONTESTS: dict[ContestName, dict[str, str]] = {
    "lmsys": {
        "title": "LMSYS - Chatbot Arena Human Preference Predictions",
        "test": "test.csv",
        "word": "lmsys",
    },
    "wsdm": {"title": "WSDM Cup - Multilingual Chatbot Arena", "test": "test.parquet", "word": "wsdm"},
}
"""Title of each contest, name of its test file, and a word in the path of its folder."""


def pack(
    judge: str | Path,
    out: str | Path,
    *,
    contest: ContestName = "lmsys",
    target: TargetMachine = TargetMachine(),  # noqa: B008 - frozen
    find_links: Sequence[str] = (),
    no_index: bool = False,
    without: Sequence[str] = (),
    versions: Versions = "here",
    bases: Mapping[str, Path] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a pack atomically.

    Args:
        judge: A judge by its folder or name; one of a recipe that needs no votes is saved into the pack.
        out: The folder to write.
        contest: The contest whose submission the notebook writes.
        target: The machine it is for.
        find_links: Folders or pages to look for wheels in, beside the index.
        no_index: Whether to ask no index.
        without: Packages that the target has; what only they need is left out too.
        versions: Whether to keep to the versions installed here, with which the judge was tested.
        bases: Local copies of base weights that the judge names by a hub.
        overwrite: Whether an existing pack may be replaced.

    Returns:
        The manifest.

    Raises:
        ArtifactError: If the judge does not load, a wheel cannot be found, or something is in the way.
        ConfigError: If there is no pip, or an option does not fit the judge.
    """
    place = Path(out).absolute()
    _check_out(place, overwrite=overwrite)
    with tempfile.TemporaryDirectory(prefix="votecast-pack-") as name:
        scratch = Path(name)
        pip = Pip(target, scratch, place.with_name(f"{place.name}.pip.log"), find_links, no_index)
        loaded, source = load_judge(judge), scratch / "judge"
        if str(judge).startswith(RECIPE):
            loaded.save_pretrained(source)
        else:
            source = judge_folder(judge)
        folder, needs = read_folder(source), needs_of(source)
        found_bases = find_bases(needs.bases, bases or {})
        with atomic_folder(place) as part:
            (part / WHEELS).mkdir()
            packages = collect_wheels(part / WHEELS, needs, pip, without=without, versions=versions)
            packed = copy_judge(source, part, found_bases)
            cited = {"name": folder.config["name"], "family": folder.config["family"], "hash": packed}
            facts = {
                "votecast": __version__,
                "python": target.python,
                "platform": target.platform,
                "contest": contest,
                "judge": cited | {"made_of": folder.hash},
                "bases": [{"name": each.name, "place": each.place, "sha256": each.sha256} for each in found_bases],
                "install": f"{own_requirement(needs.extras)}=={__version__}",
                "no_deps": list(needs.no_deps),
                "without": sorted(without),
                "packages": packages,
            }
            (part / NOTEBOOK).write_text(render_notebook(facts), "utf-8")
            (part / README).write_text(_render_readme(facts, part / WHEELS), "utf-8")
            return _write_manifest(part, facts)


def render_notebook(facts: Mapping[str, Any]) -> str:
    """Render the notebook of a pack, in the format 4.5.

    Args:
        facts: The manifest of the pack.
    """
    notebook = json.loads(_template("notebook.ipynb.j2"))
    values = CONTESTS[facts["contest"]] | dict(facts)
    for cell in notebook["cells"]:
        source = jinja2.Template("".join(cell["source"])).render(values)
        cell["source"] = source.splitlines(keepends=True)
    notebook["metadata"]["language_info"]["version"] = facts["python"]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def megabytes(size: int) -> str:
    """Format a number of bytes.

    Example:
        >>> megabytes(12_345_678), megabytes(3_200_000_000)
        ('12.3 MB', '3.20 GB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where something lies, unless it is a pack, or an empty folder, that may be replaced."""
    if not overwrite or not out.exists():
        check_free(out)
        return
    try:
        found = json.loads((out / MANIFEST).read_text("utf-8")) if any(out.iterdir()) else {"kind": KIND}
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise ArtifactError(f"{out} already exists and is not a pack; name another output")
    check_free(out / MANIFEST, overwrite=True)


def _write_manifest(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest: the facts, and size and SHA-256 of every file in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest_of(path)} for path in paths
    }
    whole = {"kind": KIND, "format_version": FORMAT_VERSION} | dict(facts) | {"files": hashes}
    (folder / MANIFEST).write_text(json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    return whole


def _render_readme(facts: Mapping[str, Any], wheels: Path) -> str:
    sizes = sorted(((path.stat().st_size, path.name) for path in wheels.iterdir()), reverse=True)
    size = megabytes(sum(size for size, _ in sizes))
    largest = ", ".join(f"{name.split('-')[0]} {megabytes(size)}" for size, name in sizes[:3])
    template = jinja2.Template(_template("README.md.j2"), trim_blocks=True, keep_trailing_newline=True)
    return str(template.render(facts, size=size, largest=largest))


def _template(name: str) -> str:
    return (files("votecast.packaging") / "templates" / name).read_text("utf-8")
