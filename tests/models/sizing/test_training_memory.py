"""Test that estimates of memory agree with the peaks of trainings, counted byte by byte on the CPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from votecast.errors import ConfigError
from votecast.judges.recipe import load_recipe
from votecast.models.sizing.gpus import find_gpu
from votecast.models.sizing.network_size import find_config
from votecast.models.sizing.training_plan import TrainingPlan

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from _memory import KINDS, SIZES, Case, compare

GEMMA2_9B = {
    "model_type": "gemma2",
    "architectures": ["Gemma2ForCausalLM"],
    "hidden_size": 3584,
    "num_hidden_layers": 42,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "intermediate_size": 14336,
    "vocab_size": 256000,
    "max_position_embeddings": 8192,
}
LLAMA31_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_is_within_15_percent_of_the_measured_peak(kind: str, size: str) -> None:
    precision = "bf16" if size in ("wide", "deep") else "fp32"
    estimate, measured = compare(Case(kind, size, "fp32", precision, checkpointing=size in ("deep", "long")))
    assert estimate == pytest.approx(measured, rel=0.15)


def test_gradients_of_earlier_passes_count() -> None:
    estimate, measured = compare(Case("deberta-v2", passes=3))
    assert estimate == pytest.approx(measured, rel=0.15)


@pytest.mark.parametrize(
    ("recipe", "config", "trained"),
    [("gemma2_9b_qlora", GEMMA2_9B, 7_891_456), ("llama31_8b_lora", LLAMA31_8B, 1_191_936)],
)
def test_trained_parameters_are_those_of_the_published_systems(
    recipe: str, config: dict[str, object], trained: int, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = load_recipe(recipe, {"model.name": str(tmp_path)})
    plan = TrainingPlan.of(found.family, found.model)
    assert plan.size.trained == trained  # adapters on q, k and v of the upper layers, and the head of three labels
    shipped = load_recipe(recipe)
    assert TrainingPlan.of(shipped.family, shipped.model).size == plan.size
    # 4 bits and 0.127 bits of constants for each weight of a linear layer, and two bytes for all others
    other = plan.size.total - plan.size.linear - trained
    weights = plan.memory("bf16").weights
    assert weights == pytest.approx(plan.size.linear * 4.127 / 8 + 2 * other + 4 * trained, rel=1e-4)


def test_a_shape_that_is_not_here_names_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"somebody/else.*--model.name FOLDER with its config.json"):
        find_config("somebody/else")
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 32, "num_attention_heads": 2}')
    encoder = load_recipe("decoder", {"model.name": str(tmp_path)})
    with pytest.raises(ConfigError, match=f"{tmp_path.name}.*no causal language model"):
        TrainingPlan.of("decoder", encoder.model)
    with pytest.raises(ConfigError, match="did you mean A100-80 or A100-40"):
        find_gpu("A100")
