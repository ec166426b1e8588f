"""The folder of a trained judge: which file holds what, written atomically and read with every hash checked.

`TrainedJudge.save_pretrained` and `from_pretrained` are the callers; packs resolve the paths in it.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file, save_file

from votecast import __version__
from votecast.artifacts import CARD_NAME, CONFIG_NAME, DAMAGE, Folder, open_folder, write_folder
from votecast.calibration import read_calibrator
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.card import model_card
from votecast.judges.out_of_fold import Fitted, OutOfFold
from votecast.judges.recipe import Recipe, load_recipe
from votecast.models.registry import FAMILIES, family
from votecast.splits import PromptHashes

MEMBERS = "members"
CALIBRATION = "calibration.safetensors"
OUT_OF_FOLD = "out_of_fold.parquet"
PROMPTS = "prompt_hashes.safetensors"
MOST_MEMBERS = 1000
_NOTES = {"link": dict, "limits": list, "data_sources": list, "calibration": list, "unknown_prompts": list}
BESIDE = "beside:"
"""Prefix of a setting that holds a path relative to the judge folder, so that both can move together."""


def write_judge(
    path: Path,
    recipe: Recipe,
    fitted: Fitted,
    *,
    figures: Mapping[str, object],
    notes: Mapping[str, object],
    overwrite: bool = False,
) -> Folder:
    """Write a fitted judge: members, calibration, out-of-fold rows, prompt hashes, card and settings.

    Raises:
        ArtifactError: If the folder exists and may not be replaced, or the disk refuses.
    """
    method, arrays = fitted.calibrator.state()
    config: dict[str, object] = {
        "name": recipe.name,
        "family": recipe.family,
        "recipe": recipe.dump(),
        "calibration": {"method": recipe.calibration.method} | method,
        "members": len(fitted.members),
        "base": fitted.members[0].base,
        "facts": fitted.facts,
        "figures": figures,
        "notes": notes,
        "made_with": {"votecast": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }
    if (link := fitted.members[0].link) is not None:
        config["link"] = link.to_dict()
    use_stored = bool(fitted.stored) and all(place.is_dir() for place in fitted.stored)

    def _write(folder: Path) -> None:
        for number, member in enumerate(fitted.members):
            place = folder / MEMBERS / str(number)
            place.mkdir(parents=True)
            if use_stored:  # cross-validation has written this member already
                shutil.copytree(fitted.stored[number], place, copy_function=_link_or_copy, dirs_exist_ok=True)
            else:
                member.save(place)
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / CALIBRATION)
        if fitted.prompt_hashes is not None:
            save_file(fitted.prompt_hashes.to_arrays(), folder / PROMPTS)
        with (folder / OUT_OF_FOLD).open("wb") as file:
            pq.write_table(fitted.out_of_fold.to_table(), file, compression="zstd")
        (folder / CARD_NAME).write_text(model_card(config), "utf-8", "backslashreplace")

    return write_folder(path, config, _write, overwrite=overwrite)


def read_judge(path: str | Path) -> tuple[Folder, Recipe, Fitted]:
    """Read what `write_judge` wrote.

    Raises:
        ArtifactError: If the folder is missing, damaged, foreign, or of a family this version does not know.
    """
    with open_folder(path) as folder:
        config = folder.config
        if str(config.get("family")) not in FAMILIES:
            raise ArtifactError(
                f"{path} is a judge of the family {config.get('family')!r}; "
                f"known are {', '.join(FAMILIES)}: upgrade votecast"
            )
        try:
            return folder, *_read_parts(folder)
        except (*DAMAGE, pa.ArrowException, ConfigError) as error:
            raise ArtifactError(
                f"{path} is damaged: {type(error).__name__}: {error}; copy or train the judge again"
            ) from error


def _read_parts(folder: Folder) -> tuple[Recipe, Fitted]:
    """Read recipe, members, calibrator and rows of a folder that is open; any error means damage."""
    config, path = folder.config, folder.path
    recipe = load_recipe(resolve_beside(config["recipe"], path.absolute()))
    if wrong := [name for name in ("facts", "figures", "notes") if not isinstance(config[name], dict)]:
        raise TypeError(f"{', '.join(wrong)} in {CONFIG_NAME} must be objects")
    notes = config["notes"]
    if wrong := [name for name, kind in _NOTES.items() if not isinstance(notes.get(name, kind()), kind)]:
        raise TypeError(f"notes of {CONFIG_NAME}: {', '.join(wrong)} of another type")
    if notes.get("link", {}).get("fitted") is False and not notes.get("limits"):
        raise ValueError(f"notes of {CONFIG_NAME}: a link was not fitted, and limits do not say so")
    if type(config["members"]) is not int or not 1 <= config["members"] <= MOST_MEMBERS:
        raise ValueError(f"it has {config['members']} members; a judge has 1 to {MOST_MEMBERS}")
    members = family(recipe.family)
    hashes = load_file(path / PROMPTS) if PROMPTS in config["files"] else None
    fitted = Fitted(
        members=[
            members.load(path / MEMBERS / str(number), recipe.model, seed=recipe.seed)
            for number in range(config["members"])
        ],
        calibrator=read_calibrator(config["calibration"], load_file(path / CALIBRATION)),
        out_of_fold=OutOfFold.read(path / OUT_OF_FOLD),
        prompt_hashes=None if hashes is None else PromptHashes.from_arrays(hashes),
        facts=config["facts"],
    )
    return recipe, fitted


def resolve_beside(value: Any, folder: Path) -> Any:
    """Make the paths that are relative to a judge folder absolute, in nested settings.

    Example:
        >>> resolve_beside({"name": "beside:../base/0", "rank": 8}, Path("/packs/mine/judge"))
        {'name': '/packs/mine/base/0', 'rank': 8}
    """
    if isinstance(value, str) and value.startswith(BESIDE):
        return os.path.normpath(folder / value.removeprefix(BESIDE))
    if isinstance(value, dict):
        return {key: resolve_beside(each, folder) for key, each in value.items()}
    return [resolve_beside(each, folder) for each in value] if isinstance(value, list) else value


def _link_or_copy(source: str, target: str) -> None:
    """Share a file on one disk; copy it to another."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
