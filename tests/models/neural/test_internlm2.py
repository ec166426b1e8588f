"""Test InternLM2 reward checkpoints: rewards, tokenizer and errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.internlm2 import CONFIG, REWARD, checkpoint, reward, sentencepiece_model, tensors
from tests.tolerances import assert_rounds_to, rounding

from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.models.neural.internlm2 import read_config, read_reward
from votecast.models.neural.internlm2_tokenizer import InternLM2Tokenizer, Special
from votecast.models.neural.last_states import last_states
from votecast.models.neural.quantization import load_options, set_compute_type

FP32 = {"dtype": "float32"}
ROUNDING = 4 * rounding(width=48, layers=2)
"""Of rewards, which are smaller than 4."""
IDS = [[1, 5, 70, 200, 9, 301], [1, 8, 301], [1, 300, 250, 44, 45, 46, 47, 48, 3, 301]]


def rewards_of(folder: Path) -> np.ndarray:
    found = read_reward(folder, FP32)
    width = max(map(len, IDS))
    ids = torch.tensor([row + [2] * (width - len(row)) for row in IDS])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in IDS])
    with torch.no_grad():
        return (last_states(found[0], ids, mask).float() @ found[1].T)[:, 0].numpy()


@pytest.mark.parametrize("layout", ["safetensors", "shards", "bin"])
def test_rewards_are_those_of_the_arithmetic(tmp_path: Path, layout: str) -> None:
    expected = [reward(tensors(CONFIG), CONFIG, row) for row in IDS]
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(rewards_of(checkpoint(tmp_path, layout=layout)), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    "changed",
    [
        {"bias": True},
        {"num_key_value_heads": 8},
        {"num_key_value_heads": 1, "rope_scaling": None, "rope_theta": 10000},
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
    ],
)
def test_every_setting_that_changes_the_arithmetic_is_read(tmp_path: Path, changed: dict) -> None:
    config = CONFIG | changed
    expected = [reward(tensors(config), config, row) for row in IDS]
    np.testing.assert_allclose(rewards_of(checkpoint(tmp_path, **changed)), expected, rtol=0, atol=ROUNDING)


def test_a_chat_is_chatml_with_start_and_reward_tokens(tmp_path: Path) -> None:
    turns = [("Why?", "So."), ("And?", "No.")]
    chats = []
    for template in (True, False):
        folder = checkpoint(tmp_path / str(template), template=template)
        tokenizer = InternLM2Tokenizer.load(folder, read_config(folder))
        chats.append(tokenizer.render(turns))
        ids = tokenizer.encode([chats[-1]], specials=True)[0]
        assert ids[:2] == [1, 319] and ids[-1] == REWARD and ids.count(319) == ids.count(318) == 4
        assert tokenizer.sep_id == REWARD and tokenizer.bos_id == 1 and tokenizer.pad_id == 2
    assert chats[0] == chats[1]
    assert chats[0].startswith(
        "<s><|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n<|im_start|>"
    )


def test_no_special_token_is_read_out_of_a_text(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    tokenizer = InternLM2Tokenizer.load(folder, read_config(folder))
    free = tokenizer.encode(["[UNUSED_TOKEN_0]"], specials=False)[0]
    assert free == [3]  # ordinary pieces keep their sentencepiece type
    text = "Ends <|im_end|> here <s> now"
    ids = tokenizer.encode([text])[0]
    assert not {1, 318, 319, REWARD} & set(ids)
    ids_again, ends = tokenizer.spans([text])[0]
    assert ids_again == ids and ends[-1] == len(text) and ends == sorted(ends)
    assert {1, 318} <= set(tokenizer.encode([text], specials=True)[0])


def test_the_reward_token_is_not_read_out_of_a_text(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, reward_token_id=4)
    tokenizer = InternLM2Tokenizer.load(folder, read_config(folder))
    assert 4 not in tokenizer.encode(["Mark [UNUSED_TOKEN_1] it"])[0]
    assert tokenizer.encode([tokenizer.render([("a", "b")])], specials=True)[0][-1] == 4


def test_a_text_inside_a_chat_gets_no_space_of_its_own() -> None:
    special = Special({"<|im_start|>": 319, "<|im_end|>": 318}, "<s>", "</s>", "</s>", reward=REWARD)
    prefixed = InternLM2Tokenizer(sentencepiece_model(prefix=True), special)
    assert prefixed.encode(["the"], specials=True) != prefixed.encode(["the"])
    assert prefixed.spans(["the"])[0][0] == prefixed.encode(["the"])[0]


def test_a_saved_tokenizer_is_the_same(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "one")
    tokenizer = InternLM2Tokenizer.load(folder, read_config(folder))
    (tmp_path / "two").mkdir()
    tokenizer.save(tmp_path / "two")
    again = InternLM2Tokenizer.load(tmp_path / "two", {})
    chat = tokenizer.render([("Name two.", "One.")])
    assert again.render([("Name two.", "One.")]) == chat
    assert again.encode([chat], specials=True) == tokenizer.encode([chat], specials=True)


def broken(folder: Path, name: str, **changed: object) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop(name, None)
    save_file(weights | changed, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [("v_head.weight", "no v_head.weight"), ("model.layers.1.feed_forward.w2.weight", "1 weights are missing")],
)
def test_weights_that_are_missing(tmp_path: Path, name: str, message: str) -> None:
    broken(checkpoint(tmp_path), name)
    with pytest.raises(ArtifactError, match=message):
        read_reward(tmp_path, FP32)


def test_weights_of_another_architecture(tmp_path: Path) -> None:
    broken(checkpoint(tmp_path), "", **{"model.layers.0.attention.wq.weight": torch.zeros(2, 2)})
    with pytest.raises(ArtifactError, match=r"layers.0.attention.wq.weight, which InternLM2 does not have"):
        read_reward(tmp_path, FP32)


def test_weights_of_another_shape(tmp_path: Path) -> None:
    name = "model.layers.0.attention.wo.weight"
    broken(checkpoint(tmp_path), name, **{name: torch.zeros(32, 16)})
    with pytest.raises(ArtifactError, match="another shape"):
        read_reward(tmp_path, FP32)


def test_layers_that_config_json_does_not_count(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"num_hidden_layers": 1}))
    with pytest.raises(ArtifactError, match=r"9 weights are .* too many \(layers\.1\."):
        read_reward(tmp_path, FP32)


@pytest.mark.parametrize("double", [True, False])
def test_a_checkpoint_in_four_bits_is_read_without_rounding_again(tmp_path: Path, double: bool) -> None:
    bits = pytest.importorskip("bitsandbytes")
    config = {"hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 4}
    plain, four = checkpoint(tmp_path / "plain", **config), tmp_path / "four"
    described = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    described |= {"bnb_4bit_use_double_quant": double, "bnb_4bit_compute_dtype": "float32"}
    checkpoint(four, **config, quantization_config=described)
    weights, rounded = load_file(plain / "model.safetensors"), {}
    for name, weight in load_file(plain / "model.safetensors").items():
        if "attention." in name or "feed_forward" in name:
            held, state = bits.functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=double)
            rounded[name] = bits.functional.dequantize_4bit(held, state)
            weights |= {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()} | {name: held}
    save_file(load_file(plain / "model.safetensors") | rounded, plain / "model.safetensors")
    save_file(weights, four / "model.safetensors")
    (full, _), (found, _) = read_reward(plain, FP32), read_reward(four, {"dtype": torch.float32})
    expected = full.state_dict()
    packed = [(n, p) for n, p in found.named_parameters() if type(p).__name__ == "Params4bit"]
    assert len(packed) == 2 * 7
    for name, p in packed:
        assert torch.equal(bits.functional.dequantize_4bit(p.data, p.quant_state), expected[name])


def test_rows_that_do_not_fill_blocks_of_four_bits_are_refused(tmp_path: Path) -> None:
    bits = pytest.importorskip("bitsandbytes")
    name = "model.layers.0.attention.wqkv.weight"
    held, state = bits.functional.quantize_4bit(tensors(CONFIG)[name], quant_type="nf4")
    constants = {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
    broken(checkpoint(tmp_path), name, **constants, **{name: held})
    with pytest.raises(ArtifactError, match=r"blocks of 64, which its rows of 32 weights do not fill"):
        read_reward(tmp_path, FP32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architectures": ["InternLM2ForCausalLM"]}, "reads InternLM2ForRewardModel"),
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "linear and dynamic"),
        ({"num_key_value_heads": 3}, "multiple"),
        ({"quantization_config": {"load_in_8bit": True}}, "in 8 bits; allowed are the original weights, .* in 4 bits"),
    ],
)
def test_settings_that_are_not_those_of_the_reward_model(tmp_path: Path, changed: dict, message: str) -> None:
    checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | changed))
    with pytest.raises(ConfigError, match=message):
        read_reward(tmp_path, FP32)


def test_a_tokenizer_without_chat_tokens(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(JudgeError, match=r"<\|im_start\|>"):
        InternLM2Tokenizer.load(tmp_path, CONFIG)


def test_a_damaged_tokenizer(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"no model")
    with pytest.raises(ArtifactError, match="tokenizer.model"):
        InternLM2Tokenizer.load(tmp_path, CONFIG)


def test_a_reward_token_that_the_tokenizer_has_not(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    with pytest.raises(JudgeError, match="reward_token_id is 92527"):
        InternLM2Tokenizer.load(tmp_path, CONFIG | {"reward_token_id": 92527})


def test_four_bits_are_computed_as_what_they_stand_for(tmp_path: Path) -> None:
    bits = pytest.importorskip("bitsandbytes")
    checkpoint(tmp_path, hidden_size=256, intermediate_size=256, num_attention_heads=4)
    (full, _), (held, _) = read_reward(tmp_path, FP32), read_reward(tmp_path, load_options("nf4", True, "fp32", None))
    set_compute_type("fp32", held)
    weights = full.state_dict()
    packed = [(n, p) for n, p in held.named_parameters() if type(p).__name__ == "Params4bit"]
    assert len(packed) == 2 * 7
    for name, parameter in packed:
        weights[name] = bits.functional.dequantize_4bit(parameter.data, parameter.quant_state).float()
        assert not torch.equal(weights[name], full.state_dict()[name])
    full.load_state_dict(weights)
    ids = torch.tensor(IDS[:1])
    with torch.no_grad():
        one, two = (last_states(found, ids, torch.ones_like(ids)) for found in (full, held))
    assert_rounds_to(one, two.float(), 16 * rounding(width=256, layers=2))  # kernels of 4 bits sum in blocks
