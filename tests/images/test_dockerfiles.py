"""Test the Dockerfiles: files, extras, pinned packages and commands."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import votecast  # noqa: F401 - a fixture

from votecast.judges.load import BUNDLED, bundled_names

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", "Dockerfile.cuda")


def instructions(name: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in text.splitlines() if line]


def command(name: str) -> list[str]:
    """Return the arguments of `votecast` that a container runs."""
    last = dict(instructions(name))
    assert json.loads(last["ENTRYPOINT"]) == ["votecast"]
    found: list[str] = json.loads(last["CMD"])
    return found


@pytest.mark.parametrize("name", FILES)
def test_files_and_extras_exist(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word, rest in instructions(name):
        if word == "COPY" and not rest.startswith("--from="):
            assert all((ROOT / source).exists() for source in rest.split()[:-1]), rest
        for extras in re.findall(r"\[([a-z,]+)\]\"", rest):
            assert set(extras.split(",")) <= set(project["optional-dependencies"])
        for constraint in re.findall(r"--constraint (\S+)", rest):
            assert (ROOT / constraint).is_file()


def test_the_image_for_gpus_serves_weights_in_4_bits() -> None:
    installs = [rest for word, rest in instructions("Dockerfile.cuda") if word == "RUN"]
    extras = {name for rest in installs for group in re.findall(r"\[([a-z,]+)\]\"", rest) for name in group.split(",")}
    assert {"serve", "quant"} <= extras


@pytest.mark.parametrize("name", FILES)
def test_only_pinned_packages_are_installed_and_root_runs_nothing(name: str) -> None:
    steps = instructions(name)
    installs = [part for word, rest in steps if word == "RUN" for part in rest.split("&&") if "/pip " in part]
    assert len(installs) >= 3
    assert all("--no-cache-dir" in part and ("--constraint" in part or "--no-deps" in part) for part in installs)
    last = dict(steps)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last["USER"]) and last["EXPOSE"] == "8000"
    assert "http://127.0.0.1:8000/health" in last["HEALTHCHECK"]
    assert not [rest for _, rest in steps if "API_KEY" in rest]


@pytest.mark.parametrize("name", FILES)
def test_the_command_is_valid_and_needs_a_key(
    votecast: Callable,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delenv("VOTECAST_API_KEY", raising=False)
    words = command(name)
    assert words[:3] == shlex.split("serve --host 0.0.0.0")
    judges = [words[place + 1] for place, word in enumerate(words) if word == "--judge"]
    assert all(judge.removeprefix(BUNDLED) in bundled_names() for judge in judges)
    ran = votecast(*words)
    assert (ran.code, "VOTECAST_API_KEY" in ran.err) == (2, True)
