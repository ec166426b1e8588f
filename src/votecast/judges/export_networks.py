"""Export a judge's networks as ONNX files, for programs without torch.

This is what `votecast export` runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from votecast import __version__
from votecast.artifacts import atomic_folder, check_free, read_json
from votecast.errors import JudgeError
from votecast.judges.composite import CompositeModel
from votecast.types import Progress, no_progress

if TYPE_CHECKING:
    from votecast.judges.trained import TrainedJudge
    from votecast.models.neural.neural_model import NeuralModel

DESCRIPTION = "export.json"
_CAUSAL = (
    "ONNX files of causal models are not supported; allowed are cross_encoder, siamese and averages of them: use this "
    "judge through votecast (predict, serve)"
)


def export_judge(judge: TrainedJudge, folder: str | Path, *, progress: Progress = no_progress) -> dict[str, Any]:
    """Write every network of a judge as ONNX, checked against torch; return the content of `export.json`.

    Args:
        judge: A judge with neural members.
        folder: A new folder: `0/model.onnx`, `1/model.onnx` ... each beside its tokenizer, and `export.json`, which
            describes what the networks read and return, and how predictions were calibrated.
        progress: Progress callback.

    Raises:
        ArtifactError: If the folder already exists, or the disk refuses; nothing is left behind.
        JudgeError: If no member is a network of torch, or one is a causal model or cannot be exported.
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    target = Path(folder)
    check_free(target, is_folder=True)
    networks = list(_networks(judge))
    if not networks:
        raise JudgeError(
            f"{judge.name} is of the family {judge.recipe.family}, which has no network of torch to export; "
            "allowed are cross_encoder, siamese and averages with one of them"
        )
    if any(hasattr(network.fitted, "score") for network in networks):  # a head on the last token
        raise JudgeError(f"{judge.name} reads texts with a causal model; {_CAUSAL}")
    with atomic_folder(target) as part:
        described = [_export(model, part / str(n), progress, n, len(networks)) for n, model in enumerate(networks)]
        method, arrays = judge.fitted.calibrator.state()
        calibration = method | {name: array.tolist() for name, array in arrays.items()}
        description = {
            "judge": {"name": judge.name, "hash": judge.hash},
            "calibration": {"method": judge.recipe.calibration.method} | calibration,
            "networks": described,
            "made_with": {"votecast": __version__},
        }
        (part / DESCRIPTION).write_text(json.dumps(description, indent=2, sort_keys=True) + "\n", "utf-8")
    return description


def check_exportable(folder: Path) -> None:
    """Refuse a judge folder on a causal model before its weights are loaded; other faults are left to loading."""
    try:
        recipe = read_json(folder / "config.json")["recipe"]
        name, family = recipe["name"], recipe["family"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if family == "decoder":
        raise JudgeError(f"{name} is of the family {family}; {_CAUSAL}")


def _networks(judge: TrainedJudge) -> Iterator[NeuralModel]:
    for member in judge.fitted.members:
        if isinstance(member, CompositeModel):  # its judges are calibrated by themselves: export these
            continue
        for leaf in member.leaves():
            if hasattr(leaf, "network") and hasattr(leaf, "pad_id"):
                yield cast("NeuralModel", leaf)


def _export(model: NeuralModel, folder: Path, progress: Progress, number: int, of: int) -> dict[str, Any]:
    from votecast.inference.export import export_onnx

    progress("exporting", number, of)
    folder.mkdir()
    network = model.merged
    path = export_onnx(network, folder, pad_id=model.pad_id, types=model.tokenizer.has_types)
    model.tokenizer.save(folder)
    return {
        "file": f"{folder.name}/{path.name}",
        "settings": model.settings.dump(),
        "sequences_of_a_battle": network.per_battle,
        "outputs": (type(network).encode.__doc__ or "").splitlines()[0],
    }
