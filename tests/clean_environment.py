"""Make an environment of what one extra brings: links to the packages that are installed here, and nothing else."""

from __future__ import annotations

import os
import subprocess
import tomllib
import venv
from collections import Counter
from importlib import metadata
from pathlib import Path, PurePath

import pytest
from packaging.utils import canonicalize_name

from votecast.config.extras import PINNED
from votecast.packaging.pip import TargetMachine
from votecast.packaging.wheels import _follow_requirements

ROOT = Path(__file__).parents[1]


RECIPES = {
    "neural": ["deberta_v3_large", "cross_encoder", "siamese", "minilm", "smollm2_lora", "smollm2_reward"],
    "quant": ["gemma2_9b_qlora", "llama31_8b_lora", "internlm2_reward"],
    "keras": ["siamese_keras"],
}
"""Extra -> the recipes that the docs install it for."""

SETTINGS = {"internlm2_reward": ["--model.weights", "nf4"]}
"""Recipe -> settings of the whole recipe that its small form changes, and that need the extra."""


class CleanEnvironment:
    """What `pip install '.[EXTRA]'`, and `pip install --no-deps` of the pins beside it, would make.

    A package that is not installed here skips the test.

    Args:
        folder: Where it is made.
        extra: The extra.
    """

    def __init__(self, folder: Path, extra: str) -> None:
        venv.EnvBuilder(symlinks=True).create(folder)
        self.python = folder / "bin" / "python"
        self.site = next(folder.glob("lib/python3*/site-packages"))
        installed: dict[str, metadata.Distribution] = {}
        for each in metadata.distributions():
            installed.setdefault(canonicalize_name(each.metadata["Name"]), each)
        owners = Counter((top, name) for name, each in installed.items() for top in _tops(each))
        shared = Counter(top for top, _ in owners)
        for name in sorted(required(extra, installed)):
            for top in _tops(installed[name]):
                at = [top] if shared[top] == 1 else sorted(_below(installed[name], top))
                for path in at:
                    self._link(installed[name], path)

    def run(self, code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a folder, without a network."""
        env = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "offline"), "OMP_NUM_THREADS": "1"} | variables
        words = [str(self.python), "-c", code]
        return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)

    def _link(self, package: metadata.Distribution, path: PurePath) -> None:
        link = self.site / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(str(package.locate_file(str(path)))).resolve())


def required(extra: str, installed: dict[str, metadata.Distribution]) -> set[str]:
    """Return the packages that an extra brings, this checkout's pyproject.toml asked, and its pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = [*project["dependencies"]]
    for name, packages in project["optional-dependencies"].items():
        declared += [f"{package}; extra == {name!r}" for package in packages]
    found = {name: {"requires_dist": each.requires} for name, each in installed.items()}
    names, missing = _follow_requirements(
        found | {"votecast": {"requires_dist": declared}}, [extra], (), TargetMachine()
    )
    pins = {pin.partition("==")[0] for owner, pin in PINNED.values() if owner == extra or (owner, extra) in _WITHIN}
    if missing := sorted(missing) + sorted(pins - installed.keys()):
        pytest.skip(f"needs the extra {extra}: {', '.join(missing)} not installed")
    return names | pins | {"votecast"}


_WITHIN = {("neural", "quant"), ("neural", "onnx")}
"""Extras that bring another."""


def _tops(package: metadata.Distribution) -> set[PurePath]:
    """Return the files and folders of a package right below site-packages."""
    tops = {PurePath(file.parts[0]) for file in package.files or ()}
    return {top for top in tops if top.name not in {"..", "__pycache__"}}


def _below(package: metadata.Distribution, top: PurePath) -> set[PurePath]:
    """Return the files and folders of a package one level below a folder that it shares, such as `google`."""
    return {PurePath(*file.parts[:2]) for file in package.files or () if PurePath(file.parts[0]) == top}
