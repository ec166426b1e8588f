"""Test that accelerate and votecast read the shipped launch files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

from votecast.cli import main
from votecast.errors import ConfigError
from votecast.recipes import launch_names, launch_path, recipe_names
from votecast.training import sharding


@pytest.fixture(autouse=True)
def _no_search_for_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.utils.launch.get_free_port", lambda: 29_500)
    monkeypatch.setattr("accelerate.utils.launch.is_port_in_use", lambda _: False)


def environment(name: str) -> dict[str, str]:
    """Return the environment of the started processes."""
    parser = launch_command_parser()
    words = ["--config_file", str(launch_path(name)), "-m", "votecast"]
    arguments, _, _ = _validate_launch_command(parser.parse_args(words))
    if not arguments.use_deepspeed:
        return prepare_multi_gpu_env(arguments)
    arguments.deepspeed_fields_from_accelerate_config = ""
    return prepare_deepspeed_cmd_env(arguments)[1]


@pytest.fixture
def set_environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Return a function that sets launcher variables in this process."""

    def set_variables(values: dict[str, str]) -> None:
        for key, value in values.items():
            if key.startswith(("ACCELERATE_", "FSDP_")):
                monkeypatch.setenv(key, value)

    return set_variables


@pytest.mark.parametrize("name", launch_names())
def test_accelerate_accepts_every_file_and_key(name: str) -> None:
    words = yaml.safe_load(launch_path(name).read_text())
    read: Any = load_config_from_file(str(launch_path(name)))
    kind = "FSDP" if name == "fsdp" else "DEEPSPEED" if name.startswith("deepspeed") else "MULTI_GPU"
    assert read.distributed_type == DistributedType[kind]
    assert (read.num_processes, read.num_machines, read.mixed_precision) == (2, 1, "no")
    assert {key: getattr(read, key) for key in words} == words | {"distributed_type": kind}
    known = {action.dest for action in launch_command_parser()._actions}
    assert {*words.get("fsdp_config", {}), *words.get("deepspeed_config", {})} <= known
    assert name not in recipe_names()


@pytest.mark.parametrize(
    ("name", "reshard"),
    [("multi_cpu", None), ("multi_gpu", None), ("fsdp", True), ("deepspeed_zero2", False), ("deepspeed_zero3", True)],
)
def test_processes_divide_the_network_as_configured(name: str, reshard: bool | None, set_environment: Callable) -> None:
    set_environment(environment(name))
    assert sharding.requested_sharding() is reshard


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ACCELERATE_USE_FSDP": "true"}, "fsdp_version 1; allowed is 2"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "1"}, "zero_stage 1; allowed are 2"),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": "ds.json"}, "a JSON file"),
        (
            {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "cpu"},
            "offload_param_device cpu; allowed is none",
        ),
    ],
)
def test_unsupported_settings_are_refused(values: dict[str, str], message: str, set_environment: Callable) -> None:
    set_environment(values)
    with pytest.raises(ConfigError, match=message):
        sharding.requested_sharding()


def test_the_command_line_prints_where_a_file_lies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--accelerate", "fsdp"]) == 0
    assert Path(capsys.readouterr().out.strip()).samefile(launch_path("fsdp"))
    assert main(["recipes", "--accelerate", "mpi"]) == 2
    assert "there is no file 'mpi' for accelerate; allowed are deepspeed_zero2" in capsys.readouterr().err
    assert main(["recipes", "baseline", "--accelerate", "fsdp"]) == 2
