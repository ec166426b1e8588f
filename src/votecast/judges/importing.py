"""Checkpoints that were trained elsewhere become a judge, each of them a member."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from votecast.calibration import make_calibrator
from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError
from votecast.judges.importing_decoders import decoder_members, described
from votecast.judges.out_of_fold import Fitted, OutOfFold, check_distributions
from votecast.judges.recipe import Recipe, load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.models.cross_encoder import CrossEncoderModel
from votecast.models.neural.alike import architecture, check_alike
from votecast.models.neural.backbone import LABELS, check_positions
from votecast.models.neural.checkpoint import Checkpoint, read_checkpoint
from votecast.models.neural.decoder_checkpoint import DecoderCheckpoint
from votecast.models.neural.model import NeuralModel
from votecast.types import Progress, no_progress

FAMILY: Literal["cross_encoder"] = "cross_encoder"
"""The family whose members have the layout of transformers."""

NAME = "imported"

_TRIED = {"prompt": "Which way is north?", "response_a": "Up.", "response_b": "Where the needle points."}
"""A battle that every member has to forecast before it is taken."""

_log = logging.getLogger(__name__)


def import_judge(
    folders: Sequence[str | Path],
    *,
    family: Literal["cross_encoder", "decoder"] = FAMILY,
    labels: Sequence[str] | None = None,
    base: str | None = None,
    name: str = NAME,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> TrainedJudge:
    """Make a judge of sequence classifiers in the layout of transformers or peft; their forecasts are averaged.

    The judge is not calibrated, has no out-of-fold rows, and cannot tell which prompts its members were trained on.

    Args:
        folders: One folder for each member, such as the best checkpoint of each fold.
        family: "cross_encoder" for encoders; "decoder" for causal models, whole or as adapters of peft.
        labels: Which of a, b and tie each output of the models is; None takes it from each config.json.
        base: The model that adapters stand on; None takes what each says.
        name: What the judge is called.
        settings: Settings of the recipe by dotted key: `model.text.template`, `model.text.cut`, `model.text.raw_cell`,
            `model.text.max_length`, `model.orders` ("both" averages both orders of the answers, "shown" reads them as
            the models were trained to).
        progress: Told of every folder.

    Raises:
        ConfigError: If a setting is unfit, or it is not known what the outputs are.
        ArtifactError: If a folder cannot be read, or the folders do not belong together.
        JudgeError: If a tokenizer lacks a token that the template needs, or a model forecasts no probabilities.
    """
    if not folders:
        raise ConfigError("no folder is given; name at least one, with config.json, weights and a tokenizer")
    order = None if labels is None else checked_labels(labels)
    if family == "decoder":
        return _decoders([*map(Path, folders)], order, base, name, settings or {}, progress)
    if base is not None:
        raise ConfigError("base is for adapters of the family decoder; cross-encoders hold all their weights: drop it")
    recipe = _recipe(str(folders[0]), name, settings or {})
    found: list[Checkpoint] = []
    members: list[CrossEncoderModel] = []
    for number, folder in enumerate(map(Path, folders)):
        progress("importing", number, len(folders))
        found.append(read_checkpoint(folder, order))
        _tell_names(found[-1])
        members.append(_member(recipe, found[-1]))
        check_alike(found[0], found[-1], found[1:-1])
    progress("importing", len(folders), len(folders))
    return _judge(recipe, members, [_described(checkpoint) for checkpoint in found])


def calibrate(judge: TrainedJudge, battles: Battles, method: str = "temperature") -> TrainedJudge:
    """Fit the calibration of an imported judge on votes.

    Args:
        judge: What `import_judge` made.
        battles: Votes on which no member was trained. votecast cannot check that: on training votes a model is surer
            than elsewhere, and the calibration would keep it so.
        method: Name of a calibration method.

    Returns:
        A judge with the same members, which keeps its forecasts of these votes for figures.

    Raises:
        DataError: If a row has no vote.
        JudgeError: If there are too few votes, or the judge is calibrated already.
    """
    if len(judge.fitted.out_of_fold):
        raise JudgeError(f"judge {judge.name!r} is calibrated already; import the checkpoints again")
    if not len(battles):
        raise DataError("there are no votes to calibrate on; give some hundred, or leave --votes away")
    recipe = load_recipe(judge.recipe, {"calibration.method": method})
    rows = OutOfFold(
        rows=np.arange(len(battles)),
        ids=battles.ids,
        content=battles.content_hashes(),
        fold=np.zeros(len(battles), np.int64),
        raw=judge.predict_proba(battles),
        targets=battles.targets(),
        weights=battles.weights(),
        clusters=prompt_clusters(battles, similarity=recipe.folds.similarity, seed=recipe.seed),
        swapped=judge.predict_proba(battles.swapped()),
    )
    calibrator = make_calibrator(method).fit(rows.raw, rows.targets, rows.weights, clusters=rows.clusters)
    made = TrainedJudge.of(recipe, replace(judge.fitted, calibrator=calibrator, out_of_fold=rows))
    made.record(imported=judge.notes["imported"] | {"votes": len(battles)})
    return made


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, if they are a, b and tie in any order.

    Raises:
        ConfigError: If they are not.

    Example:
        >>> checked_labels(["b", "A", " tie"])
        ('b', 'a', 'tie')
    """
    found = tuple(label.strip().lower() for label in labels)
    if sorted(found) != sorted(LABELS):
        raise ConfigError(
            f"labels is {','.join(labels)!r}; allowed are a, b and tie, each once, in the order of the models' "
            "outputs, such as a,b,tie"
        )
    return found


def check_apart(out: str | Path, folders: Sequence[str | Path]) -> None:
    """Refuse an output that is, holds or lies in a folder that is read: checkpoints are never changed.

    Raises:
        ArtifactError: Naming both.
    """
    target = Path(out).resolve()
    for folder in folders:
        source = Path(folder).resolve()
        if target == source or target in source.parents or source in target.parents:
            raise ArtifactError(f"{out} would change the checkpoint {folder}, which is left alone; name another output")


def _recipe(source: str, name: str, settings: Mapping[str, Any]) -> Recipe:
    values = {
        "family": FAMILY,
        "name": name,
        "description": "imported",
        "model": {"name": source},
        "calibration": {"method": "none"},
        "final": "average",
    }
    recipe = load_recipe(values, settings)
    _check_no_calibration(recipe)
    if cast("Any", recipe.model).adapter is not None:
        raise ConfigError("model.adapter is set; imported members hold all their weights: leave it away")
    return recipe


def _member(recipe: Recipe, checkpoint: Checkpoint) -> CrossEncoderModel:
    member = CrossEncoderModel(recipe.model, seed=recipe.seed)
    member.tokenizer = checkpoint.tokenizer
    check_positions(checkpoint.model.config, member.settings.text.max_length, str(checkpoint.folder))
    member.network = member.wrap(checkpoint.model).eval()
    _try(member, recipe, checkpoint.folder)
    return member


def _decoders(
    folders: list[Path],
    order: tuple[str, ...] | None,
    base: str | None,
    name: str,
    settings: Mapping[str, Any],
    progress: Progress,
) -> TrainedJudge:
    recipe, members, found = decoder_members(folders, order, base, name, settings, progress)
    _check_no_calibration(recipe)
    for member, checkpoint in zip(members, found, strict=True):
        _tell_names(checkpoint)
        _try(member, recipe, checkpoint.folder)
    return _judge(recipe, members, [described(checkpoint) for checkpoint in found])


def _judge(recipe: Recipe, members: Sequence[Any], told: list[dict[str, Any]]) -> TrainedJudge:
    facts = {"rows": 0, "labels": {}, "sources": {}, "folds": {"method": "trained elsewhere", "n": len(members)}}
    fitted = Fitted(cast("Any", members), make_calibrator("none"), OutOfFold.none(), None, facts)
    judge = TrainedJudge.of(recipe, fitted)
    judge.record(imported={"members": told, "votes": 0})
    return judge


def _check_no_calibration(recipe: Recipe) -> None:
    if recipe.calibration.method != "none":
        raise ConfigError(
            f"calibration.method is {recipe.calibration.method!r}, and there are no votes to fit it on; "
            "pass --votes with votes on which the models were not trained, or leave it at none"
        )


def _tell_names(checkpoint: Checkpoint | DecoderCheckpoint) -> None:
    if checkpoint.named not in (None, checkpoint.labels):
        _log.warning(
            "%s: config.json calls the outputs %s; taken is what was given", checkpoint.folder, checkpoint.named
        )


def _try(member: NeuralModel, recipe: Recipe, folder: Path) -> None:
    try:
        check_distributions(member.predict(member.prepare(Battles.from_rows([_TRIED]))), recipe.name)
    except JudgeError as error:
        raise JudgeError(f"{folder}: {error}") from error


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "folder": "/".join(checkpoint.folder.absolute().parts[-2:]),
        "architecture": architecture(checkpoint),
        "labels": list(checkpoint.labels),
        "sha256": checkpoint.files,
    }
