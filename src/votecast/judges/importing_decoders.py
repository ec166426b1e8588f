"""Decoders trained elsewhere become members of a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from votecast.errors import ArtifactError
from votecast.judges.recipe import Recipe, load_recipe
from votecast.models.decoder import DecoderModel
from votecast.models.neural.classifier_checkpoint import tokenizer_key
from votecast.models.neural.decoder_checkpoint import DecoderCheckpoint, read_decoder
from votecast.types import Progress

TEXT = {"template": "tags", "cut": "right", "whole": True, "max_length": 1024}
"""How system 3 laid out its texts: what is read unless something else is asked for."""


def decoder_members(
    folders: Sequence[Path],
    order: tuple[str, ...] | None,
    base: str | None,
    name: str,
    settings: Mapping[str, Any],
    progress: Progress,
) -> tuple[Recipe, list[DecoderModel], list[DecoderCheckpoint]]:
    """The recipe and the members of a judge made of checkpoints.

    Args:
        folders: One for each member.
        order: Which of a, b and tie each output is; None takes it from each folder.
        base: The model under adapters; None takes what each says.
        name: What the judge is called.
        settings: Settings of the recipe by dotted key.
        progress: Told of every folder.

    Raises:
        ConfigError: If a setting is unfit, or it is not known what the outputs are.
        ArtifactError: If a folder cannot be read, or the folders do not belong together.
    """
    found: list[DecoderCheckpoint] = []
    for number, folder in enumerate(folders):
        progress("reading", number, len(folders))
        found.append(read_decoder(folder, order, base=base))
        _check_alike(found)
    recipe = _recipe(found[0], name, settings)
    members = []
    for number, checkpoint in enumerate(found):
        progress("importing", number, len(folders))
        members.append(_member(recipe, checkpoint))
    progress("importing", len(folders), len(folders))
    return recipe, members, found


def described(checkpoint: DecoderCheckpoint) -> dict[str, Any]:
    """What the folder of the judge tells of a checkpoint."""
    told = {
        "folder": "/".join(checkpoint.folder.absolute().parts[-2:]),
        "architecture": checkpoint.kind,
        "labels": list(checkpoint.labels),
        "sha256": checkpoint.files,
    }
    return told if checkpoint.adapter is None else told | {"base": checkpoint.name}


def _recipe(first: DecoderCheckpoint, name: str, settings: Mapping[str, Any]) -> Recipe:
    text = dict(TEXT)
    if any(f"model.text.{key}" in settings for key in ("template", "cut", "raw_cell", "characters")):
        text.pop("whole")
    if first.tokenizer.pad_id == first.tokenizer.eos_id:
        # classifiers of transformers take the last token that is no padding: a closing token that is the same is not it
        text["eos"] = False
    values = {
        "family": "decoder",
        "name": name,
        "description": "imported",
        "model": {"name": first.name, "weights": first.weights, "adapter": first.adapter, "text": text},
        "calibration": {"method": "none"},
        "final": "average",
    }
    return load_recipe(values, settings)


def _member(recipe: Recipe, checkpoint: DecoderCheckpoint) -> DecoderModel:
    settings: Any = recipe.model
    if checkpoint.adapter is None:
        settings = settings.model_copy(update={"name": checkpoint.name})
    member = DecoderModel(settings, seed=recipe.seed)
    if checkpoint.brings_tokenizer:
        member.brings_tokenizer = tokenizer_key(member.tokenizer) != tokenizer_key(checkpoint.tokenizer)
        member.tokenizer = checkpoint.tokenizer
    return member.set_weights(checkpoint.tensors, place=str(checkpoint.folder))


def _check_alike(found: Sequence[DecoderCheckpoint]) -> None:
    """Refuse the last of some checkpoints where it does not belong to the first, or is one of the others."""
    first, last = found[0], found[-1]
    if first.adapter != last.adapter or first.kind != last.kind or (last.adapter and first.name != last.name):
        raise ArtifactError(
            f"{last.folder} is of another make ({last.kind}, on {last.name}, {last.adapter}) than {first.folder} "
            f"({first.kind}, on {first.name}, {first.adapter}); the members of a judge are folds of one model: import "
            "them apart"
        )
    if tokenizer_key(first.tokenizer) != tokenizer_key(last.tokenizer):
        raise ArtifactError(
            f"{last.folder} has another tokenizer than {first.folder}; texts are tokenized once for all members: "
            "import them apart"
        )
    for earlier in found[:-1]:
        if earlier.files == last.files:
            raise ArtifactError(f"{earlier.folder} and {last.folder} hold the same weights; name each fold once")
