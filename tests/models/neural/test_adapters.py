"""Test adapters: placement, saved weights and determinism."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.trained import TrainedJudge
from votecast.models.cross_encoder import CrossNetwork
from votecast.models.decoder import DecoderNetwork
from votecast.models.neural.adapters import add_adapter, averaged_adapters, trained_tensors
from votecast.models.neural.backbone import Source
from votecast.models.neural.settings import AdapterSettings
from votecast.training.settings import TrainingSettings
from votecast.training.summary import count_parameters, summarize_layers, summarize_network

SHORT = {"folds.n": 2, "model.text.max_length": 64, "model.training.batch_size": 8, "model.adapter": {"rank": 2}}


def decoder(kind: str = "llama", **settings: Any) -> DecoderNetwork:
    network = DecoderNetwork(Source.of(f"tiny:{kind}").load("decoder"), both_orders=False)
    add_adapter(network, AdapterSettings(**({"rank": 2} | settings)))
    return network


def adapted(network: DecoderNetwork) -> set[str]:
    names = {name.partition(".lora_")[0] for name in trained_tensors(network) if "lora_" in name}
    return {name.removeprefix("backbone.base_model.model.") for name in names}


@pytest.fixture(scope="module")
def judge(arena: Battles) -> TrainedJudge:
    model = {"model.name": "tiny:llama", "model.adapter.bias": "none", "model.training.learning_rate": 1e-2}
    return TrainedJudge("decoder", SHORT | model).fit(arena[:48])


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3_text", "qwen2", "qwen3", "mistral"])
def test_every_linear_layer_gets_one_unless_some_are_named(kind: str) -> None:
    ends = {name.rpartition(".")[2] for name in adapted(decoder(kind))}
    assert ends == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    some = adapted(decoder(kind, targets=["q_proj", "mlp.down_proj"]))
    assert some == {f"layers.{n}.{name}" for n in (0, 1) for name in ("self_attn.q_proj", "mlp.down_proj")}


def test_layers_outside_the_range_get_none_and_a_range_beyond_is_refused() -> None:
    assert adapted(decoder(targets=["q_proj"], layers=(1, 1))) == {"layers.1.self_attn.q_proj"}
    with pytest.raises(ConfigError, match=r"\[1, 2\], and this llama model has 2 layers, 0 to 1"):
        decoder(layers=(1, 2))


def test_a_module_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"called 'query'; allowed are down_proj, gate_proj, k_proj"):
        decoder(targets=["q_proj", "query"])


def test_biases_learn_where_they_are_asked_to() -> None:
    def biases(network: DecoderNetwork) -> set[str]:
        return {name for name in trained_tensors(network) if name.endswith("bias")}

    assert not biases(decoder("qwen2", targets=["q_proj"]))
    assert len(biases(decoder("qwen2", targets=["q_proj"], bias="lora_only"))) == 2
    assert len(biases(decoder("qwen2", targets=["q_proj"], bias="all"))) == 6
    network = DecoderNetwork(
        Source.of("tiny:qwen2").load("decoder", options={"dtype": torch.bfloat16}), both_orders=False
    )
    with pytest.raises(ConfigError, match="bias to none, or weights to fp32"):
        add_adapter(network, AdapterSettings(rank=2, bias="all"))


def test_parameters_are_counted() -> None:
    network = decoder(targets=["q_proj"])
    trained, total = count_parameters(network)
    assert trained == 2 * 2 * (32 + 32) + 3 * 32
    assert total == sum(p.numel() for p in network.parameters())
    network.score.weight = torch.nn.Parameter(torch.zeros(3, 1 << 20))  # moments of 8 bits, and MB to show
    trained = 2 * 2 * (32 + 32) + (3 << 20)
    total = sum(p.numel() for p in network.parameters())
    held = (4 * total, 4 * trained, 2 * 4 * (trained - (3 << 20)) + 2 * (3 << 20))
    weights, gradients, moments = (f"{count / 1e6:.0f} MB" for count in held)
    assert summarize_network(network, TrainingSettings(optimizer="adamw_8bit")) == (
        f"DecoderNetwork, 2 layers, {total:,} parameters, {trained:,} of them trained ({trained / total:.3%}); "
        f"{weights} of weights, {gradients} of gradients, {moments} of moments"
    )
    embeddings, first, _, head = summarize_layers(network)
    assert embeddings.startswith("embeddings: ") and embeddings.endswith(", 0 trained")
    assert first.endswith(f", {2 * (32 + 32)} trained")
    assert head == f"head: {(3 << 20) + 32:,} parameters, {3 << 20:,} trained"


def test_the_head_of_an_encoder_learns_in_full_and_is_kept() -> None:
    network = CrossNetwork(Source.of("tiny:bert").load("classifier"), both_orders=False)
    add_adapter(network, AdapterSettings(rank=2))
    kept = trained_tensors(network)
    assert kept["backbone.base_model.model.classifier.weight"].shape == (3, 32)
    assert not any("classifier.lora_" in name for name in kept)


def test_a_judge_saves_only_adapters_and_head_bit_by_bit(judge: TrainedJudge, arena: Battles, tmp_path: Path) -> None:
    judge.save_pretrained(tmp_path / "judge")
    held = load_file(tmp_path / "judge" / "members" / "0" / "delta.safetensors")
    assert held["score.weight"].shape == (3, 32)
    assert all("lora_" in name or name == "score.weight" for name in held)
    found = TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(arena[:8])
    assert np.array_equal(found, judge.predict_proba(arena[:8]))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("score.weight", "an adapter without its head"),
        ("layers.1.mlp.up_proj.lora_B", "lacks 1 of the 29 tensors of the adapter"),
    ],
)
def test_missing_adapter_weights_are_never_random(judge: TrainedJudge, tmp_path: Path, lost: str, message: str) -> None:
    folder = saved_member(judge, tmp_path)
    held = load_file(folder / "delta.safetensors")
    save_file({name: value for name, value in held.items() if lost not in name}, folder / "delta.safetensors")
    with pytest.raises(ArtifactError, match=message):
        load(judge, folder)


def test_an_adapter_of_another_shape_or_with_other_tensors_is_refused(judge: TrainedJudge, tmp_path: Path) -> None:
    folder = saved_member(judge, tmp_path)
    held = load_file(folder / "delta.safetensors")
    save_file(held | {"score.weight": torch.ones(3, 16)}, folder / "delta.safetensors")
    with pytest.raises(ArtifactError, match=r"another base: score.weight has shape \(3, 16\).* takes \(3, 32\)"):
        load(judge, folder)
    save_file(held | {"layers.7.lora_A": torch.ones(2, 16)}, folder / "delta.safetensors")
    with pytest.raises(ArtifactError, match=r"1 of its tensors have no place in this network \(layers\.7"):
        load(judge, folder)


def test_the_mean_of_adapters_is_the_mean_of_their_products() -> None:
    networks = [decoder(targets=["q_proj"]) for _ in range(3)]
    for network in networks:
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter)
    parts = [trained_tensors(network) for network in networks]
    joined = averaged_adapters(parts)
    up, down = (f"backbone.base_model.model.layers.0.self_attn.q_proj.lora_{x}.default.weight" for x in "BA")
    products = [part[up].double() @ part[down].double() * 32 / 2 for part in parts]
    assert joined[down].shape == (6, 32)
    torch.testing.assert_close(joined[up].double() @ joined[down].double() * 32 / 6, sum(products) / 3)
    torch.testing.assert_close(joined["score.weight"], sum(part["score.weight"] for part in parts) / 3)


def test_folds_become_one_adapter_that_is_saved_and_read_like_any(arena: Battles, tmp_path: Path) -> None:
    settings = SHORT | {"model.name": "tiny:llama", "final": "average_weights", "model.training.learning_rate": 1e-2}
    judge = TrainedJudge("decoder", settings).fit(arena[:48])
    (member,) = judge.fitted.members
    judge.save_pretrained(tmp_path / "judge")
    held = load_file(tmp_path / "judge" / "members" / "0" / "delta.safetensors")
    assert {len(value) for name, value in held.items() if "lora_A" in name} == {4}
    assert {record["member"] for record in member.records} == {0, 1}
    found = TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(arena[:8])
    assert np.array_equal(found, judge.predict_proba(arena[:8]))


def saved_member(judge: TrainedJudge, folder: Path) -> Path:
    judge.fitted.members[0].save(folder)
    return folder


def load(judge: TrainedJudge, folder: Path) -> Any:
    return type(judge.fitted.members[0]).load(folder, judge.recipe.model)
