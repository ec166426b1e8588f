"""Test that a machine without a network does not wait for the hub, and what a training checks before votes are read."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers.utils import hub as transformers_hub

import votecast
from votecast.errors import ConfigError, MissingExtraError
from votecast.models.neural.backbone import Source

NAME = "microsoft/deberta-v3-large"
VOTES = "missing.csv"
"""A file whose absence is reported as soon as votes are read."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return whether each request to the hub was allowed to leave the machine; none is answered."""
    found: list[bool] = []

    def request(*_: object, **__: object) -> None:
        found.append(not constants.HF_HUB_OFFLINE)
        raise LocalEntryNotFoundError("nothing")

    monkeypatch.setattr(transformers_hub, "hf_hub_download", request)
    for variable in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    return found


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return what sets whether the names of hosts resolve."""

    def resolve(works: bool) -> None:
        def answer(*_: object) -> list[object]:
            if not works:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            return []

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return resolve


def test_no_request_leaves_where_the_name_of_the_hub_does_not_resolve(
    asked: list[bool], resolve: Callable[[bool], None]
) -> None:
    resolve(False)
    with pytest.raises(ConfigError, match=r"huggingface.co cannot be reached: it needs config.json.*--model.name"):
        Source.of(NAME).pinned().tokenizer()
    assert asked
    assert not any(asked)
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.parametrize("proxy", [False, True])
def test_requests_leave_where_it_resolves_or_a_proxy_resolves_it(
    asked: list[bool], resolve: Callable[[bool], None], proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(not proxy)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="cannot be reached"):
        Source.of(NAME).config()
    assert asked
    assert all(asked)


def test_a_precision_is_refused_before_a_missing_model_and_a_missing_file(
    tmp_path: Path, asked: list[bool], resolve: Callable[[bool], None]
) -> None:
    resolve(False)
    settings = {"model.name": "owner/model", "model.inference.precision": "fp16", "model.inference.devices": ["cpu"]}
    with pytest.raises(ConfigError, match="inference.precision is fp16"):
        votecast.train("cross_encoder", VOTES, out=tmp_path / "judge", overrides=settings)
    assert not list(tmp_path.iterdir())


def test_a_missing_model_is_reported_before_votes_are_read(
    tmp_path: Path, asked: list[bool], resolve: Callable[[bool], None]
) -> None:
    resolve(False)
    with pytest.raises(ConfigError, match="the model 'owner/model' is not, or not whole"):
        votecast.train("cross_encoder", VOTES, out=tmp_path / "judge", overrides={"model.name": "owner/model"})


@pytest.mark.parametrize("settings", [{"model.weights": "nf4"}, {"model.training.optimizer": "adamw_8bit"}])
def test_a_missing_bitsandbytes_is_reported_before_a_missing_model(
    settings: dict[str, object],
    tmp_path: Path,
    asked: list[bool],
    resolve: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(False)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    settings = {"model.name": "owner/model", "model.adapter": {"rank": 2}} | settings
    with pytest.raises(MissingExtraError, match="bitsandbytes"):
        votecast.train("decoder", VOTES, out=tmp_path / "judge", overrides=settings)
