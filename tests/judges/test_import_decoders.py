"""Test external decoders: same probabilities, nothing random, clear errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.judges.decoder_checkpoints import adapter, as_gemma_recipe, base, in_four_bits

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError, JudgeError, VotecastError
from votecast.judges.import_checkpoints import import_judge
from votecast.judges.trained import TrainedJudge
from votecast.text.tokenization import tiny_tokenizer

ROWS = [
    {"prompt": "Name a fruit.", "response_a": "An apple.", "response_b": "A stone, perhaps."},
    {"prompt": "Two and two?", "response_a": "Four." * 30, "response_b": "Five."},
    {"prompt": "Say nothing", "response_a": "", "response_b": "nothing"},
]
LENGTH = 96
SHOWN = {"model.text.max_length": LENGTH, "model.orders": "shown"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base(tmp_path_factory.mktemp("base") / "llama")


@pytest.fixture(scope="module")
def tuned(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter(tmp_path_factory.mktemp("adapter") / "checkpoint-5200", bare, layers_to_transform=[1])


def imported(folder: Path, **options: Any) -> TrainedJudge:
    settings = SHOWN | options.pop("settings", {})
    return import_judge([folder], **{"family": "decoder", "labels": ["a", "b", "tie"], "settings": settings} | options)


@pytest.mark.parametrize(
    "lora",
    [
        {},
        {"target_modules": "all-linear"},
        {"layers_to_transform": [1]},
        {"use_rslora": True},
        {"rank_pattern": {"layers.0.self_attn.q_proj": 2}},
        {"target_modules": r"(model\.)?layers\.(0\.self_attn\.q_proj|1\.mlp\.up_proj)"},
    ],
    ids=str,
)
def test_peft_adapters_keep_their_predictions(lora: dict[str, Any], bare: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "checkpoint-10", bare, **lora)
    judge = imported(folder)
    expected = as_gemma_recipe(ROWS, base=bare, adapter=folder, length=LENGTH)
    found = judge.predict_proba(Battles.from_rows(ROWS))
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(found - as_gemma_recipe(ROWS, base=bare, length=LENGTH)).max() > 0.01
    judge.save_pretrained(tmp_path / "judge")
    assert not list((tmp_path / "judge").rglob("model.safetensors"))
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(Battles.from_rows(ROWS)), found)


@pytest.mark.parametrize(("kind", "bias"), [("qwen2", "lora_only"), ("qwen2", "all"), ("gemma2", "none")])
def test_trained_biases_and_other_architectures_are_imported(kind: str, bias: str, tmp_path: Path) -> None:
    whole = base(tmp_path / "base", kind=kind)
    folder = adapter(tmp_path / "checkpoint-1", whole, bias=bias)
    expected = as_gemma_recipe(ROWS, base=whole, adapter=folder, length=LENGTH)
    assert np.abs(imported(folder).predict_proba(Battles.from_rows(ROWS)) - expected).max() < 1e-5


def test_outputs_are_put_into_one_order(bare: Path, tuned: Path) -> None:
    expected = as_gemma_recipe(ROWS, base=bare, adapter=tuned, length=LENGTH)
    found = imported(tuned, labels=["tie", "a", "b"]).predict_proba(Battles.from_rows(ROWS))
    assert np.abs(found - expected[:, [1, 2, 0]]).max() < 1e-5


def test_full_and_four_bit_classifiers_keep_their_predictions(bare: Path, tmp_path: Path) -> None:
    battles = Battles.from_rows(ROWS)
    plain = imported(bare)
    assert np.abs(plain.predict_proba(battles) - as_gemma_recipe(ROWS, base=bare, length=LENGTH)).max() < 1e-5
    four = in_four_bits(tmp_path / "4bit", bare)
    judge = imported(four, settings={"model.compute": "fp32"})
    expected = as_gemma_recipe(ROWS, base=four, length=LENGTH)
    assert np.abs(judge.predict_proba(battles) - expected).max() < 1e-5
    assert np.abs(expected - as_gemma_recipe(ROWS, base=bare, length=LENGTH)).max() > 1e-3
    for number, made in enumerate((plain, judge)):
        made.save_pretrained(tmp_path / f"judge-{number}")
        again = TrainedJudge.from_pretrained(tmp_path / f"judge-{number}")
        assert np.array_equal(again.predict_proba(battles), made.predict_proba(battles))
    assert judge.recipe.dump()["model"]["weights"] == "nf4"


def test_heads_of_two_outputs_keep_their_odds(tmp_path: Path) -> None:
    whole = base(tmp_path / "base", num_labels=2)
    tuned = adapter(tmp_path / "checkpoint-1", whole, outputs=2)
    battles = Battles.from_rows(ROWS)
    for folder, options in ((whole, {}), (tuned, {"adapter": tuned})):
        judge = imported(folder, labels=["b", "a"])
        found = judge.predict_proba(battles)
        expected = as_gemma_recipe(ROWS, base=whole, length=LENGTH, labels=2, **options)
        assert np.abs(found[:, :2] - expected[:, ::-1]).max() < 1e-5
        assert found[:, 2].max() < 1e-13
        judge.save_pretrained(tmp_path / "judge" / folder.name)
        again = TrainedJudge.from_pretrained(tmp_path / "judge" / folder.name)
        assert np.array_equal(again.predict_proba(battles), found)


def test_a_closing_token_that_is_padding_too_is_left_out_as_transformers_does(tmp_path: Path) -> None:
    special = {"pad_token": "[EOS]", "sep_token": None}
    whole = base(tmp_path / "base", pad_token_id=tiny_tokenizer().eos_id)
    tiny_tokenizer(**special).save(whole)
    judge = imported(whole)
    assert judge.recipe.dump()["model"]["text"]["eos"] is False


def test_a_tokenizer_beside_the_adapter_stays_with_the_judge(bare: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "checkpoint-1", bare, tokenizer=True)
    tiny_tokenizer(sep_token=None).save(folder)
    judge = imported(folder)
    judge.save_pretrained(tmp_path / "judge")
    assert (tmp_path / "judge" / "members" / "0" / "tokenizer.json").is_file()
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    battles = Battles.from_rows(ROWS)
    assert np.array_equal(again.predict_proba(battles), judge.predict_proba(battles))


def test_training_continues_from_an_external_or_own_adapter(
    bare: Path, tuned: Path, arena: Battles, tmp_path: Path
) -> None:
    settings = {
        "folds.n": 2,
        "folds.only": 0,
        "model.name": str(bare),
        "model.text.max_length": 64,
        "model.adapter": {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"], "layers": [1, 1]},
        "model.training": {"batch_size": 8, "learning_rate": 1e-9, "max_steps": 1, "valid_share": 0},
    }
    judge = TrainedJudge("decoder", settings | {"model.start": str(tuned)}).fit(arena[:32])
    judge.save_pretrained(tmp_path / "judge")
    held = load_file(tmp_path / "judge" / "members" / "0" / "delta.safetensors")
    started = load_file(tuned / "adapter_model.safetensors")
    torch.testing.assert_close(held["score.weight"], started["base_model.model.score.weight"])
    further = TrainedJudge("decoder", settings | {"model.start": str(tmp_path / "judge")}).fit(arena[:32])
    near = np.abs(further.predict_proba(arena[:4]) - judge.predict_proba(arena[:4])).max()
    assert near < 1e-3
    wrong = {"model.start": str(tuned), "model.adapter.rank": 8}
    with pytest.raises(ConfigError, match=r"rank is 8, and .* is an adapter of rank 4; set it to 4"):
        TrainedJudge("decoder", settings | wrong).fit(arena[:32])
    with pytest.raises(ArtifactError, match="holds no adapter; allowed are a folder that peft saved"):
        TrainedJudge("decoder", settings | {"model.start": str(bare)}).fit(arena[:32])


def changed(file: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def _break(folder: Path) -> None:
        path = folder / file
        if path.suffix == ".json":
            path.write_text(json.dumps(change(json.loads(path.read_text()))))
        else:
            save_file(change(load_file(path)), path)

    return _break


def without(ending: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: {name: value for name, value in found.items() if not name.endswith(ending)}


TENSORS, CONFIG = "adapter_model.safetensors", "adapter_config.json"

FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no head": (changed(TENSORS, without("score.weight")), "an adapter without its head .*task_type is SEQ_CLS"),
    "half an adapter": (changed(TENSORS, without("q_proj.lora_B.weight")), "lacks a part of the adapter of layers"),
    "no adapter": (
        changed(TENSORS, lambda found: {k: v for k, v in found.items() if "score" in k}),
        "holds no adapter of a causal model's layers",
    ),
    "one output": (
        changed(TENSORS, lambda found: {k: v[:1].clone() if "score" in k else v for k, v in found.items()}),
        r"the head has shape \(1, 32\); a judge has three outputs",
    ),
    "other weights": (
        changed(TENSORS, lambda found: found | {"base_model.model.model.embed_tokens.weight": torch.ones(2, 2)}),
        r"holds base_model.model.model.embed_tokens.weight of shape \(2, 2\); allowed are adapters",
    ),
    "torn weights": (lambda folder: (folder / TENSORS).write_bytes(b"torn") and None, "is damaged"),
    "no weights": (lambda folder: (folder / TENSORS).unlink(), "holds no weights; allowed are adapter_model"),
    "torn settings": (lambda folder: (folder / CONFIG).write_text("{") and None, "cannot be read"),
    "another method": (
        changed(CONFIG, lambda found: found | {"peft_type": "IA3"}),
        "of the kind 'IA3'; allowed is LORA",
    ),
    "DoRA": (changed(CONFIG, lambda found: found | {"use_dora": True}), "uses use_dora of peft"),
    "a changed base": (
        changed(CONFIG, lambda found: found | {"init_lora_weights": "pissa_niter_4"}),
        "uses init_lora_weights pissa_niter_4",
    ),
    "no base named": (changed(CONFIG, without("base_model_name_or_path")), "pass --base"),
    "a base that is gone": (
        changed(CONFIG, lambda found: found | {"base_model_name_or_path": "/nowhere/at/all"}),
        "is an adapter for '/nowhere/at/all', which is not found.*pass --base",
    ),
    "nothing of peft": (lambda folder: (folder / CONFIG).unlink(), "neither adapter_config.json nor config.json"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_adapter_that_cannot_be_used_is_one_clear_error(fault: str, tuned: Path, tmp_path: Path) -> None:
    breaks, message = FAULTS[fault]
    folder = Path(shutil.copytree(tuned, tmp_path / "checkpoint"))
    breaks(folder)
    with pytest.raises(ArtifactError, match=message):
        imported(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_size": 64, "head_dim": 16}, "its head reads 32 numbers, and .* gives 64; pass --base"),
        ({"num_hidden_layers": 1}, "it has layers 1 to 1, and the base has 1"),
        ({"intermediate_size": 48}, r"another base: .*up_proj.lora_B.* \(64, 4\).* \(48, 4\)"),
    ],
)
def test_an_adapter_for_another_base_is_refused(
    config: dict[str, Any], message: str, bare: Path, tmp_path: Path
) -> None:
    folder = adapter(tmp_path / "checkpoint", bare, layers_to_transform=[1], target_modules=["up_proj"])
    with pytest.raises(ArtifactError, match=message):
        imported(folder, base=str(base(tmp_path / "other", **config)))


def test_a_base_with_more_layers_than_the_adapter_is_refused(bare: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "checkpoint", bare)
    with pytest.raises(ArtifactError, match="it has layers 0 to 1, and the base has 3"):
        imported(folder, base=str(base(tmp_path / "other", num_hidden_layers=3)))


def test_missing_files_of_a_model_are_reported(bare: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bare, tmp_path / "headless"))
    save_file(without("score.weight")(load_file(folder / "model.safetensors")), folder / "model.safetensors")
    with pytest.raises(ArtifactError, match="has no head"):
        imported(folder)
    with pytest.raises(ConfigError, match="drop --base"):
        imported(bare, base="x")
    folder = Path(shutil.copytree(bare, tmp_path / "silent"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ArtifactError, match="has no tokenizer"):
        imported(folder)


def test_a_tokenizer_without_padding_and_end_of_text_is_refused(bare: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bare, tmp_path / "endless"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    for name in ("pad_token", "eos_token"):
        config.pop(name)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(JudgeError, match=r"no padding token \(pad_token\)"):
        imported(folder)


def test_unknown_labels_have_to_be_given(tuned: Path) -> None:
    with pytest.raises(ConfigError, match="does not say which of its outputs is a, b or tie; pass --labels"):
        imported(tuned, labels=None)


def test_folds_that_do_not_belong_together_are_refused(bare: Path, tuned: Path, tmp_path: Path) -> None:
    other = adapter(tmp_path / "wide", bare, r=8, layers_to_transform=[1])
    for folders, message in (([tuned, other], "is another architecture"), ([tuned, tuned], "hold the same weights")):
        with pytest.raises(VotecastError, match=message):
            import_judge(folders, family="decoder", labels=["a", "b", "tie"], settings=SHOWN)
