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
from votecast.packaging.wheels import Versions, collect_wheels

ContestName = Literal["lmsys", "wsdm"]

# title of each contest, name of its test file, and a word in the path of its folder
CONTESTS: dict[ContestName, dict[str, str]] = {
    "lmsys": {"title": "LMSYS - Chatbot Arena Human Preference Predictions", "test": "test.csv", "word": "lmsys"},
    "wsdm": {"title": "WSDM Cup - Multilingual Chatbot Arena", "test": "test.parquet", "word": "wsdm"},
}

_KIND, _FORMAT_VERSION, _MANIFEST = "votecast-pack", 1, "manifest.json"


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
        no_index: Whether to use no index.
        without: Packages that the target has; what only they need is left out too.
        versions: Whether to keep to the versions installed here, with which the judge was tested.
        bases: Local copies of base weights that the judge names by a hub.
        overwrite: Whether an existing pack may be replaced.

    Returns:
        The manifest.

    Raises:
        ArtifactError: If the judge does not load, a wheel cannot be found, or `out` already exists.
        ConfigError: If there is no pip, or an option does not fit the judge.
    """
    place = Path(out).absolute()
    _check_out(place, overwrite=overwrite)
    pip = Pip(target, place.with_name(f"{place.name}.pip.log"), find_links, no_index)
    with tempfile.TemporaryDirectory(prefix="votecast-pack-") as scratch:
        loaded, source = load_judge(judge), Path(scratch, "judge")
        if str(judge).startswith(RECIPE):
            loaded.save_pretrained(source)
        else:
            source = judge_folder(judge)
        folder, needs = read_folder(source), needs_of(source)
        folders = find_bases(needs.bases, bases or {})
        with atomic_folder(place, overwrite=overwrite) as part:
            packed, packed_bases = copy_judge(source, part, folders)
            wheels = part / "wheels"
            wheels.mkdir()
            packages = collect_wheels(wheels, needs, pip, without=without, versions=versions)
            cited = {"name": folder.config["name"], "family": folder.config["family"], "hash": packed}
            manifest = {
                "kind": _KIND,
                "format_version": _FORMAT_VERSION,
                "votecast": __version__,
                "python": target.python,
                "platform": target.platform,
                "contest": contest,
                "judge": cited | {"made_of": folder.hash},
                "bases": packed_bases,
                "install": f"{needs.requirement}=={__version__}",
                "no_deps": list(needs.no_deps),
                "without": sorted(without),
                "packages": packages,
            }
            (part / "notebook.ipynb").write_text(render_notebook(manifest), "utf-8")
            sizes = sorted(((path.stat().st_size, path.name) for path in wheels.iterdir()), reverse=True)
            largest = ", ".join(f"{name.split('-')[0]} {megabytes(size)}" for size, name in sizes[:3])
            readme = jinja2.Template(_template("README.md.j2"), trim_blocks=True, keep_trailing_newline=True)
            text = readme.render(manifest, size=megabytes(sum(size for size, _ in sizes)), largest=largest)
            (part / "README.md").write_text(text, "utf-8")
            manifest["files"] = {
                path.relative_to(part).as_posix(): {"size": path.stat().st_size, "sha256": digest_of(path)}
                for path in sorted(path for path in part.rglob("*") if path.is_file())
            }
            written = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False)
            (part / _MANIFEST).write_text(written + "\n", "utf-8")
            return manifest


def render_notebook(manifest: Mapping[str, Any]) -> str:
    """Render the notebook of a pack (nbformat 4.5) from its manifest."""
    notebook = json.loads(_template("notebook.ipynb.j2"))
    values = CONTESTS[manifest["contest"]] | dict(manifest)
    for cell in notebook["cells"]:
        source = jinja2.Template("".join(cell["source"])).render(values)
        cell["source"] = source.splitlines(keepends=True)
    notebook["metadata"]["language_info"]["version"] = manifest["python"]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def megabytes(size: int) -> str:
    """Format a number of bytes.

    Example:
        >>> megabytes(12_345_678), megabytes(3_200_000_000)
        ('12.3 MB', '3.20 GB')
    """
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Check that nothing but a pack or an empty folder is replaced."""
    if not overwrite or not out.exists():
        check_free(out)
        return
    try:
        found = json.loads((out / _MANIFEST).read_text("utf-8")) if any(out.iterdir()) else {"kind": _KIND}
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("kind") != _KIND:
        raise ArtifactError(f"{out} already exists and is not a pack; name another output")
    check_free(out / _MANIFEST, overwrite=True)


def _template(name: str) -> str:
    return (files("votecast.packaging") / "templates" / name).read_text("utf-8")
