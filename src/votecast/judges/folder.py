"""What lies in the folder of a trained judge, and where."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from votecast import __version__
from votecast.artifacts import CARD_NAME, CONFIG_NAME, Folder, read_folder, write_folder
from votecast.calibration import read_calibrator
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.card import model_card
from votecast.judges.fitted import Fitted, OutOfFold
from votecast.judges.parts import copy_files
from votecast.judges.recipe import Recipe, load_recipe
from votecast.models.registry import FAMILIES, family
from votecast.splits import PromptHashes

if TYPE_CHECKING:
    from votecast.judges.trained import TrainedJudge

MEMBERS = "members"
CALIBRATION = "calibration.safetensors"
OUT_OF_FOLD = "out_of_fold.parquet"
PROMPTS = "prompt_hashes.safetensors"
BESIDE = "beside:"
"""A setting that begins with this names a place by its way from the judge folder, so that both can move together."""


def write_judge(judge: TrainedJudge, path: Path, *, overwrite: bool = False) -> Folder:
    """Write a fitted judge: members, calibration, out-of-fold rows, prompt hashes, card and settings.

    Raises:
        ArtifactError: If the folder exists and may not be replaced, or the disk refuses.
    """
    fitted, stored = judge.fitted, judge.fitted.stored
    method, arrays = fitted.calibrator.state()
    config: dict[str, Any] = {
        "name": judge.name,
        "family": judge.recipe.family,
        "recipe": judge.recipe.dump(),
        "calibration": {"method": judge.recipe.calibration.method} | method,
        "members": len(fitted.members),
        "base": fitted.members[0].base,
        "facts": fitted.facts,
        "figures": judge.figures,
        "notes": judge.notes,
        "made_with": {"votecast": __version__, "python": platform.python_version(), "numpy": np.__version__},
    }

    if (link := fitted.members[0].link) is not None:
        config["link"] = link.to_dict()

    def _write(folder: Path) -> None:
        for number, member in enumerate(fitted.members):
            place = folder / MEMBERS / str(number)
            place.mkdir(parents=True)
            if stored and all(path.is_dir() for path in stored):
                copy_files(stored[number], place)
            else:
                member.save(place)
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / CALIBRATION)
        if (known := fitted.prompt_hashes) is not None:
            save_file(known.to_arrays(), folder / PROMPTS)
        with (folder / OUT_OF_FOLD).open("wb") as file:
            pq.write_table(out_of_fold_table(fitted.out_of_fold), file, compression="zstd")
        (folder / CARD_NAME).write_text(model_card(config), "utf-8", "backslashreplace")

    return write_folder(path, config, _write, overwrite=overwrite)


def read_judge(path: str | Path) -> tuple[Folder, Recipe, Fitted]:
    """Read what `write_judge` wrote.

    Raises:
        ArtifactError: If the folder is absent, damaged, foreign, or of a family this version does not know.
    """
    folder = read_folder(path)
    config = folder.config
    if str(config.get("family")) not in FAMILIES:
        raise ArtifactError(
            f"{path} is a judge of the family {config.get('family')!r}; "
            f"known are {', '.join(FAMILIES)}: upgrade votecast"
        )
    try:
        recipe = load_recipe(placed(config["recipe"], folder.path.absolute()))
        model, seed = family(recipe.family), recipe.seed
        wrong = [name for name in ("facts", "figures", "notes") if not isinstance(config[name], dict)]
        if wrong:
            raise TypeError(f"{', '.join(wrong)} in {CONFIG_NAME} must be objects")
        if config["members"] < 1:
            raise ValueError(f"it has {config['members']} members; a judge has at least one")
        fitted = Fitted(
            members=[
                model.load(folder.path / MEMBERS / str(number), recipe.model, seed=seed)
                for number in range(config["members"])
            ],
            calibrator=read_calibrator(config["calibration"], load_file(folder.path / CALIBRATION)),
            out_of_fold=out_of_fold_rows(pq.read_table(pa.BufferReader((folder.path / OUT_OF_FOLD).read_bytes()))),
            prompt_hashes=_hashes(folder.path / PROMPTS) if PROMPTS in config["files"] else None,
            facts=config["facts"],
        )
    except (KeyError, TypeError, ValueError, OSError, SafetensorError, pa.ArrowException, ConfigError) as error:
        raise ArtifactError(
            f"{path} is damaged: {type(error).__name__}: {error}; copy or train the judge again"
        ) from error
    return folder, recipe, fitted


def placed(value: Any, folder: Path) -> Any:
    """Settings whose places beside a judge folder are told in full.

    Example:
        >>> placed({"name": "beside:../base/0", "rank": 8}, Path("/packs/mine/judge"))
        {'name': '/packs/mine/base/0', 'rank': 8}
    """
    if isinstance(value, str) and value.startswith(BESIDE):
        return os.path.normpath(folder / value.removeprefix(BESIDE))
    if isinstance(value, dict):
        return {key: placed(each, folder) for key, each in value.items()}
    return [placed(each, folder) for each in value] if isinstance(value, list) else value


def _hashes(path: Path) -> PromptHashes:
    return PromptHashes.from_arrays(load_file(path))


def out_of_fold_table(held: OutOfFold) -> pa.Table:
    """The out-of-fold rows as a table: row, id, content, fold, cluster, weight, raw forecast and soft label.

    The raw forecast of the exchanged answers is there too, unless it says nothing new; and so is the hash of the texts
    in the other order, by which the row is recognised in a file that exchanges its answers.
    """
    columns: dict[str, pa.Array] = {
        "row": pa.array(held.rows.astype(np.int32)),
        "id": pa.array(held.ids, pa.string()),
        "content": pa.array([bytes.fromhex(value) for value in held.content], pa.binary(16)),
        "fold": pa.array(held.fold.astype(np.int32)),
        "cluster": pa.array(held.clusters.astype(np.int32)),
        "weight": pa.array(held.weights),
    }
    for number, name in enumerate(("a", "b", "tie")):
        columns[f"p_{name}"] = pa.array(held.raw[:, number])
        columns[f"target_{name}"] = pa.array(held.targets[:, number])
    if held.swapped is not None:
        columns |= {f"swapped_{name}": pa.array(held.swapped[:, n]) for n, name in enumerate(("a", "b", "tie"))}
    if held.turned is not None:
        columns["turned"] = pa.array([bytes.fromhex(value) for value in held.turned], pa.binary(16))
    return pa.table(columns)


def out_of_fold_rows(table: pa.Table) -> OutOfFold:
    """The inverse of `out_of_fold_table`."""

    def _stacked(prefix: str) -> Any:
        return np.stack([table.column(f"{prefix}_{name}").to_numpy() for name in ("a", "b", "tie")], axis=1)

    def _hashes(name: str) -> list[str]:
        return [value.hex() for value in table.column(name).to_pylist()]

    return OutOfFold(
        rows=table.column("row").to_numpy().astype(np.int64),
        ids=table.column("id").to_pylist(),
        content=_hashes("content"),
        fold=table.column("fold").to_numpy().astype(np.int64),
        raw=_stacked("p"),
        targets=_stacked("target"),
        weights=table.column("weight").to_numpy(),
        clusters=table.column("cluster").to_numpy().astype(np.int64),
        swapped=_stacked("swapped") if "swapped_a" in table.column_names else None,
        turned=_hashes("turned") if "turned" in table.column_names else None,
    )
