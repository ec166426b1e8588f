"""Test what is read from the environment of a launcher."""

from __future__ import annotations

import pytest

import votecast
from votecast.config import current_launch
from votecast.errors import ConfigError


def test_gpus_that_are_hidden_from_all_processes_are_an_error_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES is empty, so that 2 processes see no GPU; unset it"):
        votecast.train("baseline", "missing.csv")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(votecast.VotecastError, match=r"missing\.csv"):
        votecast.train("baseline", "missing.csv")


def test_a_process_knows_its_number_on_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2"}
    for name, value in numbers.items():
        monkeypatch.setenv(name, value)
    launch = current_launch()
    assert (launch.rank, launch.processes, launch.local_rank, launch.local_processes) == (5, 8, 1, 4)
    assert not launch.is_main
