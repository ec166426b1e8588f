"""Test that judge folders of version 0.1.0 give the same predictions.

The folders, `battles.jsonl` and `predictions.json` were written by commit 40ffd46 and are never written again. A
failure means that existing judge folders of users no longer load.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import votecast

HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, list[float]]] = json.loads((HERE / "predictions.json").read_text())
NEURAL = {"ensemble", "reward", "siamese"}

LAYERS, HIDDEN, INTERMEDIATE, TOKENS = 2, 32, 64, 256
TERMS = LAYERS * (4 * HIDDEN + 2 * INTERMEDIATE + TOKENS)
"""Float32 terms that are summed on the way to a logit; another order of these sums is another rounding."""
TOLERANCE = float(np.finfo(np.float32).eps) * TERMS / 4
"""A probability changes by at most a quarter of the change of its logit."""


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_an_old_folder_predicts_as_it_did(name: str, tmp_path: Path) -> None:
    if name in NEURAL:
        pytest.importorskip("torch")
    votecast.predict_file(votecast.load_judge(HERE / "judges" / name), HERE / "battles.jsonl", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as lines:
        found = {
            row["id"]: [float(row[f"p_{outcome}"]) for outcome in votecast.CLASSES] for row in csv.DictReader(lines)
        }
    assert list(found) == list(EXPECTED[name])
    np.testing.assert_allclose(
        list(found.values()), list(EXPECTED[name].values()), rtol=0, atol=TOLERANCE if name in NEURAL else 0
    )


def test_every_folder_is_tested() -> None:
    assert sorted(folder.name for folder in (HERE / "judges").iterdir()) == sorted(EXPECTED)
