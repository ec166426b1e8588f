"""Test `votecast estimate`: a training at its true size, offline, before it starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast.models.sizing import gpus


@pytest.fixture
def votes(votecast: Callable, tmp_path: Path) -> Path:
    path = tmp_path / "votes.csv"
    assert votecast("simulate", "--rows", 120, "--out", path).code == 0
    return path


def test_a_9b_decoder_fits_24_gb(votecast: Callable, votes: Path) -> None:
    ran = votecast("estimate", "gemma2_9b_qlora", "--train", votes, "--gpu", "24GB")
    assert ran.code == 0, ran.err
    text = " ".join(ran.out.split())
    assert "of which 7,891,456 are trained" in text
    assert "ASSUMED: 4 characters a token" in text
    assert "24GB, 21.0 GB usable each, bf16: fits" in text
    assert "hours unknown: name the card" in text


def test_settings_that_fit_are_named_and_do_fit(votecast: Callable, votes: Path) -> None:
    words = ("estimate", "deberta_v3_large", "--train", votes, "--gpu", "T4 x2", "--json", "-")
    found = json.loads(votecast(*words).out)
    assert not found["gpu"]["fits"]
    assert found["steps"]["rows"] == 128  # 64 on each card
    changed = [word for key, value in found["fitting"]["settings"].items() for word in (f"--{key}", value)]
    again = json.loads(votecast(*words, *changed).out)
    assert again["gpu"]["fits"]
    assert again["memory"]["peak"] == found["fitting"]["peak"] < found["memory"]["peak"]


def test_a_reward_model_is_not_trained_and_a_baseline_needs_no_gpu(votecast: Callable, votes: Path) -> None:
    words = ("--train", votes, "--json", "-", "--tokens-per-second", 1000)
    found = json.loads(votecast("estimate", "internlm2_reward", *words).out)
    assert found["parameters"]["trained"] == found["trainings"] == found["memory"]["gradients"] == 0
    assert found["hours"] == pytest.approx(found["tokens"]["all"] / 1000 / 3600)
    assert 10e9 < found["memory"]["weights"] < 12e9
    ran = votecast("estimate", "baseline", "--train", votes)
    assert "not needed" in ran.out


def test_keras_is_sized_by_its_twin(votecast: Callable, votes: Path) -> None:
    found = json.loads(votecast("estimate", "siamese_keras", "--train", votes, "--gpu", "T4", "--json", "-").out)
    assert found["parameters"]["all"] == found["parameters"]["trained"] > 70_000_000
    assert found["steps"]["rows"] == 16


def test_train_refuses_what_cannot_fit_before_it_reads_a_weight(
    votecast: Callable, votes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ("train", "llama31_8b_lora", "--train", votes, "--out", tmp_path / "judge", "--model.weights", "bf16")
    monkeypatch.setattr(gpus, "local_gpu", lambda: gpus.find_gpu("12GB"))
    ran = votecast(*words)
    assert ran.code == 2
    assert "7,506,116,608 parameters, 1,191,936 trained; about 1" in ran.err
    assert "take 15.0 GB, and 12GB has 12.0 GB; it fits with" in ran.err
    assert "--model.weights nf4" in ran.err
    # what only may not fit is a warning: here the training goes on, and misses its weights
    monkeypatch.setattr(gpus, "local_gpu", lambda: gpus.find_gpu("16GB"))
    ran = votecast(*words)
    assert "WARNING: passes of max_tokens 8192 may not fit" in ran.err
    assert "meta-llama/Llama-3.1-8B" in ran.err
