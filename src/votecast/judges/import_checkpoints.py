"""Import checkpoints that were trained elsewhere, each as one member of a judge.

This is what `votecast import` runs, for encoders in the layout of transformers and decoders, whole or as peft adapters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np

from votecast.calibration import make_calibrator
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError
from votecast.judges.out_of_fold import Fitted, OutOfFold, check_distributions
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.models.base import Model
from votecast.models.cross_encoder import CrossEncoderModel
from votecast.models.decoder import DecoderModel
from votecast.models.neural.backbone import check_positions
from votecast.models.neural.classifier_checkpoint import (
    OUTPUTS,
    ClassifierCheckpoint,
    architecture,
    check_folds_match,
    find_checkpoints,
    read_classifier,
    tokenizer_key,
)
from votecast.models.neural.decoder_checkpoint import DecoderCheckpoint, read_decoder
from votecast.types import Progress, no_progress

NAME: Final = "imported"
DECODER_TEXT: Final = {"template": "tags", "cut": "right", "whole": True, "max_length": 1024}
"""Layout of the texts of imported decoders unless settings name another: that of a contest-winning team."""

_PROBE = {"prompt": "Which way is north?", "response_a": "Up.", "response_b": "Where the needle points."}
"""A battle that every member has to predict before it is taken."""

_log = logging.getLogger(__name__)


def import_judge(
    folders: Sequence[str | Path],
    *,
    family: Literal["cross_encoder", "decoder"] = "cross_encoder",
    labels: Sequence[str] | None = None,
    base: str | None = None,
    tokenizer: str | None = None,
    name: str = NAME,
    settings: Mapping[str, object] | None = None,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make a judge of sequence classifiers in the layout of transformers or peft; their predictions are averaged.

    The judge is not calibrated, has no out-of-fold rows, and cannot tell which prompts its members were trained on.

    Args:
        folders: One folder for each member, such as the best checkpoint of each fold; or one that holds them as
            `fold_0/best_model`, `fold_1/best_model` ...
        family: "cross_encoder" for encoders; "decoder" for causal models, whole or as adapters of peft.
        labels: Which of a, b and tie each output of the models is; None takes it from each config.json. Models of two
            outputs, a and b, give ties probability 0 until a tie link is fitted on votes.
        base: The model under adapters; None takes what each names.
        tokenizer: Folder or hub name of the tokenizer of all models; None takes that in each folder, or in a folder
            `tokenizer` beside it.
        name: What the judge is called.
        settings: Settings of the recipe by dotted key: `model.text.template`, `model.text.cut`, `model.text.raw_cell`,
            `model.text.max_length`, `model.orders` ("both" averages both orders of the responses, "shown" reads them
            as the models were trained to).
        progress: Progress callback.

    Raises:
        ConfigError: If a setting is not allowed, or the meaning of the outputs is unknown.
        ArtifactError: If a folder cannot be read, or the folders do not belong together.
        JudgeError: If a tokenizer lacks a token that the template needs, or a model predicts no probabilities.
    """
    if not folders:
        raise ConfigError("no folder is given; name at least one, with config.json, weights and a tokenizer")
    order = None if labels is None else checked_labels(labels)
    paths = [found for folder in folders for found in find_checkpoints(Path(folder))]
    if family == "decoder":
        recipe, members, described = _import_decoders(paths, order, base, tokenizer, name, settings or {}, progress)
    elif base is not None:
        raise ConfigError("base is for adapters of the family decoder; cross-encoders hold all their weights: drop it")
    else:
        recipe, members, described = _import_encoders(paths, order, tokenizer, name, settings or {}, progress)
    progress("importing", len(paths), len(paths))
    judge = TrainedJudge.of(recipe, Fitted.without_votes(members, "trained elsewhere"))
    judge.record(imported={"members": described, "votes": 0})
    return judge


def calibrate(judge: TrainedJudge, battles: Battles, method: str | None = None) -> TrainedJudge:
    """Fit the calibration of an imported judge on votes; the judge keeps its predictions for these votes for figures.

    Args:
        judge: The judge that `import_judge` made.
        battles: Votes on which no member was trained. votecast cannot check that; on training votes a model is surer
            than elsewhere, and the calibration would keep it so.
        method: Name of a calibration method; None is a tie link where the models have no output for ties and some
            votes are ties, else temperature.

    Raises:
        DataError: If a row has no vote.
        JudgeError: If there are too few votes, or the judge is calibrated already.
    """
    if len(judge.fitted.out_of_fold):
        raise JudgeError(f"judge {judge.name!r} is calibrated already; import the checkpoints again")
    if not len(battles):
        raise DataError("there are no votes to calibrate on; give a few hundred, or leave --votes out")
    if method is None:
        has_ties = bool(battles.targets()[:, 2].any())
        method = "tie_link" if has_ties and not cast("Any", judge.recipe.model).ties else "temperature"
    recipe = load_recipe(judge.recipe, {"calibration.method": method})
    held = OutOfFold.of_battles(
        battles,
        judge.predict_proba(battles),
        fold=np.zeros(len(battles), np.int64),
        clusters=prompt_clusters(battles, similarity=recipe.folds.similarity, seed=recipe.seed),
        swapped=judge.predict_proba(battles.swapped()),
    )
    held = replace(held, swapped_content=None)  # not needed: no other judge shares these rows
    calibrator = make_calibrator(method).fit(held.raw, held.targets, held.weights, clusters=held.clusters)
    made = TrainedJudge.of(recipe, replace(judge.fitted, calibrator=calibrator, out_of_fold=held))
    made.record(imported=judge.notes["imported"] | {"votes": len(battles)})
    return made


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels, if they are a, b and tie, or a and b, in any order; else raise ConfigError.

    Example:
        >>> checked_labels(["b", "A", " tie"])
        ('b', 'a', 'tie')
    """
    found = tuple(label.strip().lower() for label in labels)
    if sorted(found) not in OUTPUTS:
        raise ConfigError(
            f"labels is {','.join(labels)!r}; allowed are a, b and tie, each once, or a and b, in the order of the "
            "models' outputs, such as a,b,tie"
        )
    return found


def check_apart(out: str | Path, folders: Sequence[str | Path]) -> None:
    """Refuse an output that is, holds or lies in a folder that is read: checkpoints are never changed."""
    target = Path(out).resolve()
    for folder in folders:
        source = Path(folder).resolve()
        if target == source or target in source.parents or source in target.parents:
            raise ArtifactError(f"{out} would change the checkpoint {folder}; name another output")


def _import_encoders(
    folders: Sequence[Path],
    order: tuple[str, ...] | None,
    tokenizer: str | None,
    name: str,
    settings: Mapping[str, object],
    progress: Progress,
) -> tuple[Recipe, list[Model], list[dict[str, object]]]:
    """Read whole encoders; return the recipe, the members, and a description of each checkpoint."""
    found: list[ClassifierCheckpoint] = []
    members: list[Model] = []
    for number, folder in enumerate(folders):
        progress("importing", number, len(folders))
        checkpoint = read_classifier(folder, order, tokenizer)
        if not found:
            recipe = _recipe("cross_encoder", name, {"name": str(folder), "ties": _has_ties(checkpoint)}, settings)
            if cast("Any", recipe.model).adapter is not None:
                raise ConfigError("model.adapter is set; imported members hold all their weights: leave it out")
        member = CrossEncoderModel(recipe.model, seed=recipe.seed)
        member.tokenizer = checkpoint.tokenizer
        check_positions(checkpoint.model.config, member.settings.text.max_length, str(folder))
        member.set_network(member.wrap(checkpoint.model))
        _check_member(member, recipe, checkpoint)
        found.append(checkpoint)
        members.append(member)
        check_folds_match(found[0], checkpoint, found[1:-1])
    return recipe, members, [_describe(checkpoint, architecture(checkpoint)) for checkpoint in found]


def _import_decoders(
    folders: Sequence[Path],
    order: tuple[str, ...] | None,
    base: str | None,
    tokenizer: str | None,
    name: str,
    settings: Mapping[str, object],
    progress: Progress,
) -> tuple[Recipe, list[Model], list[dict[str, object]]]:
    """Read decoders or adapters; return the recipe, the members, and a description of each checkpoint."""
    found: list[DecoderCheckpoint] = []
    for number, folder in enumerate(folders):
        progress("reading", number, len(folders))
        found.append(read_decoder(folder, order, base=base, tokenizer=tokenizer))
        _check_decoders_alike(found)
    first, text = found[0], dict(DECODER_TEXT)
    if any(f"model.text.{key}" in settings for key in ("template", "cut", "raw_cell", "characters")):
        text.pop("whole")
    if first.tokenizer.pad_id == first.tokenizer.eos_id:
        # classifiers of transformers read the last token that is no padding: a closing token equal to it is lost
        text["eos"] = False
    model = {"name": first.name, "weights": first.weights, "adapter": first.adapter, "ties": _has_ties(first)}
    recipe = _recipe("decoder", name, model | {"text": text}, settings)
    members: list[Model] = []
    for number, checkpoint in enumerate(found):
        progress("importing", number, len(folders))
        own: Any = recipe.model
        if checkpoint.adapter is None:
            own = own.model_copy(update={"name": checkpoint.name})
        member = DecoderModel(own, seed=recipe.seed)
        if checkpoint.brings_tokenizer:
            member.brings_tokenizer = tokenizer_key(member.tokenizer) != tokenizer_key(checkpoint.tokenizer)
            member.tokenizer = checkpoint.tokenizer
        members.append(member.set_weights(checkpoint.tensors, place=str(checkpoint.folder)))
    for made, checkpoint in zip(members, found, strict=True):
        _check_member(made, recipe, checkpoint)
    described = [
        _describe(checkpoint, checkpoint.kind) | ({} if checkpoint.adapter is None else {"base": checkpoint.name})
        for checkpoint in found
    ]
    return recipe, members, described


def _has_ties(checkpoint: ClassifierCheckpoint | DecoderCheckpoint) -> bool:
    return "tie" in checkpoint.labels


def _recipe(family: str, name: str, model: Mapping[str, object], settings: Mapping[str, object]) -> Recipe:
    values = {"family": family, "name": name, "description": "imported", "model": model, "final": "average"}
    recipe = load_recipe(values | {"calibration": {"method": "none"}}, settings)
    if recipe.calibration.method != "none":
        raise ConfigError(
            f"calibration.method is {recipe.calibration.method!r}, and there are no votes to fit it on; "
            "pass --votes with votes on which the models were not trained, or leave it at none"
        )
    return recipe


def _check_member(member: Model, recipe: Recipe, checkpoint: ClassifierCheckpoint | DecoderCheckpoint) -> None:
    """Check that a member predicts probabilities; warn where its labels are not those of its config.json."""
    if checkpoint.named not in (None, checkpoint.labels):
        _log.warning("%s: config.json names the outputs %s; the given labels win", checkpoint.folder, checkpoint.named)
    try:
        check_distributions(member.predict(member.prepare(Battles.from_rows([_PROBE]))), recipe.name)
    except JudgeError as error:
        raise JudgeError(f"{checkpoint.folder}: {error}") from error


def _check_decoders_alike(found: Sequence[DecoderCheckpoint]) -> None:
    """Refuse the last checkpoint where it does not belong to the first, or is one of the others."""
    first, last = found[0], found[-1]
    if len(first.labels) != len(last.labels):
        raise ArtifactError(
            f"{last.folder} has {len(last.labels)} outputs, and {first.folder} {len(first.labels)}; import them apart"
        )
    if first.adapter != last.adapter or first.kind != last.kind or (last.adapter and first.name != last.name):
        raise ArtifactError(
            f"{last.folder} is another architecture ({last.kind}, on {last.name}, {last.adapter}) than {first.folder} "
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


def _describe(checkpoint: ClassifierCheckpoint | DecoderCheckpoint, kind: str) -> dict[str, object]:
    return {
        "folder": "/".join(checkpoint.folder.absolute().parts[-2:]),
        "architecture": kind,
        "labels": list(checkpoint.labels),
        "sha256": checkpoint.files,
    }
