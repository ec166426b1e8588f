"""Test merged judges: same predictions without a base."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from votecast.data.battles import Battles
from votecast.errors import ConfigError, JudgeError
from votecast.judges import merge_adapters
from votecast.judges.merge_adapters import TOLERANCE, merge_judge
from votecast.judges.trained import TrainedJudge
from votecast.models.neural import adapter_merge

SHORT = {"folds.n": 2, "model.text.max_length": 64, "model.training.batch_size": 8, "model.adapter": {"rank": 2}}


def judge(family: str, arena: Battles, name: str = "tiny:llama", **settings: Any) -> TrainedJudge:
    learning = {"model.name": name, "model.training.learning_rate": 1e-2}
    return TrainedJudge(family, SHORT | learning | settings).fit(arena[:48])


@pytest.mark.parametrize(
    ("family", "settings", "weights"),
    [
        ("decoder", {"final": "average"}, "fp32"),
        ("decoder", {"name": "tiny:qwen2", "model.adapter.bias": "all", "folds.only": 0}, "fp32"),
        ("decoder", {"model.weights": "nf4", "model.compute": "fp32", "folds.only": 0}, "fp32"),
        ("decoder", {"model.weights": "bf16", "folds.only": 0}, "bf16"),
        ("decoder", {"model.weights": "nf4", "folds.only": 0}, "nf4"),
        ("cross_encoder", {"name": "tiny:bert", "folds.only": 0}, "fp32"),
        ("siamese", {"name": "tiny:bert", "folds.only": 0, "model.head": "rao_kupper"}, "fp32"),
    ],
    ids=str,
)
def test_a_merged_judge_predictions_the_same_out_of_its_own_folder(
    family: str, settings: dict[str, Any], weights: Any, arena: Battles, tmp_path: Path
) -> None:
    before = judge(family, arena, **settings)
    after = merge_judge(before, tmp_path, weights)
    note = after.notes["merged"]
    assert note["weights"] == weights
    assert note["of"] == before.hash
    assert note["largest_difference"] <= TOLERANCE[weights]
    gap = np.abs(after.predict_proba(arena[:20]) - before.predict_proba(arena[:20])).max()
    assert gap <= TOLERANCE[weights]
    after.save_pretrained(tmp_path / "judge")
    member = tmp_path / "judge" / "members" / "0"
    assert not (member / "delta.safetensors").exists()
    assert ("quantization_config" in json.loads((member / "config.json").read_text())) == (weights == "nf4")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(arena[:20]), after.predict_proba(arena[:20]))
    assert len(again.fitted.members) == len(before.fitted.members)
    kinds = {p.dtype for p in again.fitted.members[0].network.backbone.parameters()}
    expected = {"bf16": {torch.bfloat16}, "fp32": {torch.float32}}
    assert torch.uint8 in kinds if weights == "nf4" else kinds == expected[weights]


def test_a_four_bit_base_becomes_bf16_by_default(arena: Battles, tmp_path: Path) -> None:
    found = judge("decoder", arena, **{"model.weights": "nf4", "model.compute": "bf16", "folds.only": 0})
    made = merge_judge(found, tmp_path)
    assert made.notes["merged"]["weights"] == made.recipe.dump()["model"]["weights"] == "bf16"


def test_merged_weights_are_written_in_parts_that_fit_memory(
    arena: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = judge("decoder", arena, **{"model.weights": "bf16", "folds.only": 0})
    expected = merge_judge(found, tmp_path / "whole").predict_proba(arena[:10])
    small = partial(adapter_merge.split_torch_state_dict_into_shards, max_shard_size=20_000)
    monkeypatch.setattr(adapter_merge, "split_torch_state_dict_into_shards", small)
    made = merge_judge(found, tmp_path / "parts")
    parts = sorted((tmp_path / "parts" / "0").glob("*.safetensors"))
    assert len(parts) > 1
    assert np.array_equal(made.predict_proba(arena[:10]), expected)


def test_half_precision_is_widened_a_module_at_a_time(arena: Battles) -> None:
    found = judge("decoder", arena, **{"model.weights": "bf16", "folds.only": 0})
    member = found.fitted.members[0]
    seen: list[int] = []

    def count(*_: object) -> None:
        weights = member.network.backbone.parameters()
        seen.append(sum(p.numel() for p in weights if p.dtype == torch.float32 and not p.requires_grad))

    for module in member.network.backbone.modules():
        module.register_forward_hook(count)
    before = {name: p.detach().clone() for name, p in member.network.named_parameters()}
    adapter_merge.predict_in_fp32(member, member.prepare(arena[:2]))
    largest = max(p.numel() for p in member.network.backbone.parameters())
    assert 0 < max(seen) <= largest
    assert all(torch.equal(p, before[name]) for name, p in member.network.named_parameters())


def test_a_prediction_that_moves_is_an_error(arena: Battles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = judge("decoder", arena, **{"folds.only": 0})
    monkeypatch.setitem(merge_adapters.TOLERANCE, "bf16", 1e-9)
    with pytest.raises(JudgeError, match=r"merged into bf16, a probability moves by .*; merge into fp32"):
        merge_judge(found, tmp_path, "bf16")


def test_judges_without_adapters_cannot_be_merged(arena: Battles, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="family baseline, which has no adapters to merge"):
        merge_judge(TrainedJudge("baseline", {"folds.n": 2}).fit(arena[:80]), tmp_path)
    merged = merge_judge(judge("decoder", arena, **{"folds.only": 0}), tmp_path)
    with pytest.raises(JudgeError, match="its folder holds all its weights"):
        merge_judge(merged, tmp_path)
    with pytest.raises(ConfigError, match=r"weights is bf16, and judges of the family cross_encoder"):
        merge_judge(judge("cross_encoder", arena, "tiny:bert", **{"folds.only": 0}), tmp_path, "bf16")
