"""Test what is said of a model that the Hugging Face hub refuses, or that cannot be reached."""

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers.utils import hub as transformers_hub

from votecast.data.battles import Battles
from votecast.errors import ConfigError, VotecastError
from votecast.judges.cross_validation import fit_over_folds
from votecast.judges.recipe import load_recipe
from votecast.judges.trained import TrainedJudge
from votecast.models.neural import hub
from votecast.models.neural.backbone import Source, tiny_config
from votecast.models.neural.hub import download_model
from votecast.text.tokenization import tiny_tokenizer
from votecast.types import Run

NAME = "google/gemma-2-9b-it"
_RESPONSE = SimpleNamespace(headers={}, request=None)


@pytest.fixture(autouse=True)
def _resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: [])


def answered(kind: type[HfHubHTTPError]) -> HfHubHTTPError:
    return kind("403 Client Error.\n\nCannot access the repo.", response=_RESPONSE)


def raised(error: Exception) -> None:
    raise error


OFFLINE = (
    r"config.json, the weights \(\*.safetensors, or \*.bin\) and the files of its tokenizer. Where there is a network, "
    rf"run `hf download {NAME} --local-dir FOLDER`, .*--model.name FOLDER$"
)
REASONS = {
    "gated": (
        answered(GatedRepoError),
        rf"no token is set; accept .* at https://huggingface.co/{NAME}, then .*hf auth login`, or set HF_TOKEN",
    ),
    "unknown or private": (answered(RepositoryNotFoundError), "no public model .*; check the name.*HF_TOKEN"),
    "an unknown revision": (
        answered(RevisionNotFoundError),
        f"no such revision; https://huggingface.co/{NAME}/commits",
    ),
    "no network": (LocalEntryNotFoundError("nothing"), f"https://huggingface.co cannot be reached: it needs {OFFLINE}"),
    "offline": (OfflineModeIsEnabled("nothing"), OFFLINE),
    "overloaded": (answered(HfHubHTTPError), "refused the model .*: 403 Client Error.; try again later"),
    "a full disk": (OSError(errno.ENOSPC, "No space left"), "the disk is too full .*set HF_HOME to a folder"),
}


@pytest.mark.parametrize("case", REASONS)
def test_an_answer_of_the_hub_says_what_to_do(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error, message = REASONS[case]

    refuse = lambda *_, **__: raised(error)  # noqa: E731
    monkeypatch.setattr(transformers_hub, "hf_hub_download", refuse)
    monkeypatch.setattr(hub, "get_token", lambda: None)
    monkeypatch.setattr(hub, "need", lambda _: SimpleNamespace(snapshot_download=refuse))
    for load in (lambda: Source.of(NAME).config(), lambda: download_model(NAME, None, ["*"])):
        with pytest.raises(VotecastError, match=message):
            load()


def test_a_token_without_access_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: "hf_secret")
    monkeypatch.setattr(transformers_hub, "hf_hub_download", lambda *_, **__: raised(REASONS["gated"][0]))
    with pytest.raises(ConfigError, match="the account of the token in use has no access") as error:
        Source.of(NAME).config()
    assert "hf_secret" not in str(error.value)


@pytest.mark.parametrize(("lacks", "message"), [("model*", OFFLINE), ("tokenizer*", "5 tokens: its files are missing")])
def test_a_model_that_was_downloaded_in_part(
    lacks: str, message: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, commit = tmp_path_factory.mktemp("cache"), "a" * 40
    model = cache / f"models--{NAME.replace('/', '--')}"
    folder = model / "snapshots" / commit
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    tiny_config("gemma2", tiny_tokenizer()).save_pretrained(folder)
    (folder / "model.safetensors").touch()
    tiny_tokenizer().save(folder)
    for path in folder.glob(lacks):
        path.unlink()
    for module in (constants, transformers_hub.constants):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=message):
        Source.of(NAME).tokenizer()
        Source.of(NAME).load("decoder")


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return what puts a commit of a model, drawn by a seed, into the cache of the hub."""
    model = tmp_path / "cache" / f"models--{NAME.replace('/', '--')}"
    for module in (constants, transformers_hub.constants):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)

    def publish(commit: str, seed: int) -> None:
        torch.manual_seed(seed)
        Source.of("tiny:llama").load("decoder").save_pretrained(model / "snapshots" / commit)
        tiny_tokenizer().save(model / "snapshots" / commit)
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / "main").write_text(commit)

    return publish


HUB_RECIPE = {
    "folds.n": 2,
    "final": "average",
    "model.name": NAME,
    "model.adapter": {"rank": 2},
    "model.text.max_length": 64,
}


def test_a_judge_stays_at_the_commit_its_base_had(
    arena: Battles, tmp_path: Path, publish: Callable[[str, int], None]
) -> None:
    publish("a" * 40, 1)
    judge = TrainedJudge("decoder", HUB_RECIPE | {"folds.only": 0}).fit(arena[:24])
    judge.save_pretrained(tmp_path / "judge")
    publish("b" * 40, 2)
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(arena[:4]), judge.predict_proba(arena[:4]))
    card = (tmp_path / "judge" / "README.md").read_text()
    assert f"revision {'a' * 40}" in card


def test_a_resumed_training_stays_at_the_commit_it_began_with(
    arena: Battles, tmp_path: Path, publish: Callable[[str, int], None]
) -> None:
    publish("a" * 40, 1)
    recipe, run = load_recipe("decoder", HUB_RECIPE), Run(folder=tmp_path / "work")
    first = load_recipe("decoder", HUB_RECIPE | {"folds.only": 0})
    fit_over_folds(first, arena[:24], None, run)
    publish("b" * 40, 2)
    fitted = fit_over_folds(recipe, arena[:24], None, run)
    assert [member.base["revision"] for member in fitted.members] == ["a" * 40] * 2
