"""Test exported networks in ONNX Runtime against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tests.inference.networks import batch, network_of

from votecast.errors import JudgeError, MissingExtraError
from votecast.inference import export
from votecast.inference.export import export_onnx

KINDS = ["bert", "roberta", "electra", "deberta-v3", "modernbert"]


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_runtime_gives_torchs_answers(kind: str, tmp_path: Path) -> None:
    network, (ids, mask) = network_of(kind), batch()
    path = export_onnx(network, tmp_path, pad_id=0, types=False)
    found = onnxruntime.InferenceSession(str(path)).run(None, {"ids": ids.numpy(), "mask": mask.numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(found, network.encode(ids, mask).numpy(), atol=export.TOLERANCE)


def test_segment_ids_are_an_input_where_the_network_reads_them(tmp_path: Path) -> None:
    path = export_onnx(network_of("bert"), tmp_path, pad_id=0, types=True)
    names = [given.name for given in onnxruntime.InferenceSession(str(path)).get_inputs()]
    assert names == ["ids", "mask", "types"]


def test_a_file_that_disagrees_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_gap", lambda *_: 0.5)
    with pytest.raises(JudgeError, match="differ by 5.0e-01"):
        export_onnx(network_of("bert"), tmp_path, pad_id=0, types=False)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[onnx\]'"):
        export_onnx(network_of("bert"), tmp_path, pad_id=0, types=False)
