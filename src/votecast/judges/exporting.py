"""A judge's networks as ONNX files, for programs that have no torch."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from votecast import __version__
from votecast.artifacts import check_free
from votecast.errors import ArtifactError, JudgeError
from votecast.types import Progress, no_progress

if TYPE_CHECKING:
    from votecast.judges.trained import TrainedJudge
    from votecast.models.neural.neural_model import NeuralModel

DESCRIPTION = "export.json"


def export_judge(judge: TrainedJudge, folder: str | Path, *, progress: Progress = no_progress) -> dict[str, Any]:
    """Write every network of a judge as ONNX, with its tokenizer, checked against torch.

    Args:
        judge: A judge with neural members.
        folder: A new folder: `0/model.onnx`, `1/model.onnx` ... each beside its tokenizer, and `export.json`, which
            says what the networks read and give, and how forecasts were calibrated.
        progress: Told of every network.

    Returns:
        What `export.json` says.

    Raises:
        ArtifactError: If the folder exists, or the disk refuses; nothing is left behind.
        JudgeError: If no member is a network of torch, or one cannot be exported.
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    target = Path(folder)
    check_free(target, is_folder=True)
    networks = [found for member in judge.fitted.members for found in _networks(member)]
    if not networks:
        raise JudgeError(
            f"{judge.name} is of the family {judge.recipe.family}, which has no network of torch to export; "
            "allowed are cross_encoder, siamese and averages with one of them"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
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
            part.chmod(0o755)
            part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ArtifactError(f"{target} could not be written: {error}; nothing was left behind") from error
    return description


def _networks(member: Any) -> Iterator[NeuralModel]:
    if hasattr(member, "members"):
        for part in member.members:
            yield from _networks(part)
    elif hasattr(member, "network") and hasattr(member, "pad_id"):
        yield member


def _export(model: NeuralModel, folder: Path, progress: Progress, number: int, of: int) -> dict[str, Any]:
    from votecast.inference.export import export_onnx

    progress("exporting", number, of)
    folder.mkdir()
    network = model.fitted
    path = export_onnx(network, folder, pad_id=model.pad_id, types=model.tokenizer.has_types)
    model.tokenizer.save(folder)
    return {
        "file": f"{folder.name}/{path.name}",
        "settings": model.settings.dump(),
        "sequences_of_a_battle": network.per_battle,
        "outputs": (type(network).encode.__doc__ or "").splitlines()[0],
    }
