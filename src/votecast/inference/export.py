"""Write a network as an ONNX file, and check the file against torch.

`judges.export_networks` calls it.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from votecast.config.extras import need
from votecast.errors import JudgeError

logger = logging.getLogger(__name__)

MODEL = "model.onnx"
TOLERANCE = 1e-4
_SHAPES = ((1, 8), (2, 16), (3, 40))


def export_onnx(network: Any, folder: str | Path, *, pad_id: int, types: bool) -> Path:
    """Write what `network.encode` computes as `model.onnx`, and check it.

    The file takes int64 `ids` and `mask`, and `types` if asked and read, of shape (rows, tokens), any numbers of both,
    and returns float32 `outputs` of shape (rows, d).

    Args:
        network: A network with `encode(ids, mask, types)` on the CPU.
        folder: An existing folder.
        pad_id: Token id of padding.
        types: Whether sequences have segment ids; a network that does not read them has no such input.

    Returns:
        The path of the file.

    Raises:
        MissingExtraError: If onnx or onnxruntime is not installed.
        JudgeError: If the network cannot be exported, or ONNX Runtime and torch differ by more than 1e-4.
    """
    need("onnx")
    need("onnxruntime")
    path, training = Path(folder) / MODEL, network.training
    traced = _Encode(network).eval()
    try:
        _write(traced, path, _example(network, (2, 16), pad_id, types))
        gap = max(_gap(traced, path, _example(network, shape, pad_id, types)) for shape in _SHAPES)
    finally:
        network.train(training)
    shown = f"{path.parent.name}/{path.name}"  # the folder around it has a temporary name
    if not gap <= TOLERANCE:
        raise JudgeError(
            f"ONNX Runtime and torch differ by {gap:.1e} on {shown}; allowed is {TOLERANCE:.0e}: use the judge through "
            "votecast, and report its architecture"
        )
    logger.info("%s agrees with torch within %.1e", shown, gap)
    return path


class _Encode(nn.Module):
    """Gives the exporter `encode` as `forward`."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None = None) -> Tensor:
        """Compute float32 vectors, as ONNX Runtime will."""
        return cast("Tensor", self.network.encode(ids, mask, types).float())


def _write(traced: nn.Module, path: Path, example: dict[str, Tensor]) -> None:
    axes = {name: {0: "rows", 1: "tokens"} for name in example} | {"outputs": {0: "rows"}}
    try:
        # a failing exporter prints the whole graph
        with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # on the exporter's age, and on sizes that are constants of the network
            torch.onnx.export(
                traced,
                tuple(example.values()),
                str(path),
                dynamo=False,
                input_names=list(example),
                output_names=["outputs"],
                dynamic_axes=axes,
                opset_version=18,
            )
    except (RuntimeError, TypeError, ValueError) as error:  # the exporter has no errors of its own
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise JudgeError(f"this network cannot be exported to ONNX: {first}; use the judge through votecast") from error


def _example(network: Any, shape: tuple[int, int], pad_id: int, types: bool) -> dict[str, Tensor]:
    """Return random sequences of different lengths, the same in every call."""
    rng = np.random.default_rng(list(shape))
    rows, tokens = shape
    mask = np.arange(tokens) < rng.integers(1, tokens + 1, size=(rows, 1))  # (rows, tokens)
    mask[0] = True
    vocabulary = network.backbone.get_input_embeddings().num_embeddings
    arrays = {"ids": np.where(mask, rng.integers(0, vocabulary, size=shape), pad_id), "mask": mask.astype(np.int64)}
    if types:
        arrays["types"] = rng.integers(0, 2, size=shape) * mask
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _gap(traced: nn.Module, path: Path, example: dict[str, Tensor]) -> float:
    """Return the largest difference between the file in ONNX Runtime and torch."""
    session = need("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]  # those that the network reads
    found = session.run(None, {name: example[name].numpy() for name in names})[0]
    with torch.no_grad():
        wanted = traced(*example.values()).numpy()
    return float(np.abs(found - wanted).max())
