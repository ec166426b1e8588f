"""The judge of a pack: its folder, and beside it the weights that it stands on and does not hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from votecast.artifacts import CARD_NAME, CONFIG_NAME, read_folder, write_folder
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.judge_folder import BESIDE
from votecast.packaging.needs import base_name, configs, leaves

JUDGE, BASE = "judge", "base"
_BASE_FACTS = "base.json"


@dataclass(frozen=True)
class Base:
    """Weights that a judge stands on.

    Args:
        name: What the judge calls them.
        folder: Where they lie here.
        place: Where they lie in the pack.
        sha256: Their hash.
    """

    name: str
    folder: Path
    place: str
    sha256: str


def find_bases(named: Mapping[str, str], given: Mapping[str, Path]) -> list[Base]:
    """Find the weights that a judge stands on.

    Args:
        named: What the judge calls them -> a folder, or a name on a hub.
        given: Local copies by these names.

    Raises:
        ConfigError: If one is on a hub alone, or a copy is given of what is not needed.
        ArtifactError: If a folder holds no weights.
    """
    if unknown := [name for name in given if name not in named]:
        needed = ", ".join(named) or "none: it holds all its weights"
        raise ConfigError(f"--base {', '.join(unknown)}: the judge does not stand on it; it stands on {needed}")
    return [_found(name, given.get(name, Path(place)), number) for number, (name, place) in enumerate(named.items())]


def copy_judge(source: Path, pack: Path, bases: Sequence[Base]) -> str:
    """Copy a judge and its bases into a pack.

    Without bases the copy is the judge, byte for byte. With some, it names them by their places in the pack, and its
    hash is that of its new settings.

    Args:
        source: The judge folder.
        pack: The folder of the pack.
        bases: What `find_bases` gave.

    Returns:
        The hash of the judge in the pack.
    """
    for base in bases:
        (pack / base.place).mkdir(parents=True)
        for file in sorted(base.folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, pack / base.place / file.name)
    target = pack / JUDGE
    for name in (*read_folder(source).config["files"], CONFIG_NAME, CARD_NAME):  # and nothing that lies there besides
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if bases:
        for config in configs(target):
            _rename(config.parent, pack, {base.name: base for base in bases})
    return read_folder(target).hash


def _found(name: str, place: Path, number: int) -> Base:
    from votecast.models.neural.weights import digest_of, weight_files

    folder = place.expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"the judge stands on the weights of {name}, and {folder} is no folder here; if that is a name on a hub, "
            f"which the target cannot reach, download it (hf download {name} --local-dir FOLDER) and pass "
            f"--base {name}=FOLDER"
        )
    return Base(name, folder, f"{BASE}/{number}", digest_of(weight_files(folder)))


def _rename(folder: Path, pack: Path, bases: Mapping[str, Base]) -> None:
    """Let a judge of the pack, and none of the judges inside it, name its bases by where they lie beside it."""
    found = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    if not isinstance(found, dict) or "recipe" not in found:
        return
    for leaf in leaves(found["recipe"]):
        if (base := bases.get(base_name(leaf) or "")) is not None:
            leaf["model"]["name"] = BESIDE + Path(os.path.relpath(pack / base.place, folder)).as_posix()
    kept = folder.with_name(f".{folder.name}.before")
    folder.rename(kept)

    def _write(part: Path) -> None:
        shutil.copytree(kept, part, dirs_exist_ok=True)
        (part / CONFIG_NAME).unlink()
        for facts in part.rglob(_BASE_FACTS):
            _settle(facts, bases)

    write_folder(folder, {key: value for key, value in found.items() if key not in {"hash", "files"}}, _write)
    shutil.rmtree(kept)


def _settle(facts: Path, bases: Mapping[str, Base]) -> None:
    """Let the facts of a member say which weights these are; a hub had told no hash."""
    told: dict[str, Any] = json.loads(facts.read_text("utf-8")) or {}
    base = bases.get(str(told.get("name")))
    if base is None:
        return
    if told.get("sha256") not in {None, base.sha256}:
        raise ArtifactError(
            f"the judge was made from weights of {base.name} with SHA-256 {told['sha256']}, and {base.folder} has "
            f"{base.sha256}; give a copy of those it was made from"
        )
    facts.write_text(json.dumps(told | {"sha256": base.sha256}, indent=2) + "\n", "utf-8")
