"""Make empty wheels, and find the folder of real ones."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest

WHEELS = Path(__file__).parents[2] / ".venv" / "wheels"
"""Where `make setup` keeps the wheels of the core and the service."""


def real_wheels() -> Path:
    """Return the folder of real wheels, or skip (fail if required)."""
    if not any(WHEELS.glob("*.whl")):
        message = f"needs wheels to install from: make setup puts them into {WHEELS}"
        if os.environ.get("VOTECAST_REQUIRE_PACK_TEST") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return WHEELS


def fake_wheel(folder: Path, name: str, version: str = "", *, requires: Iterable[str] = (), tag: str = "any") -> Path:
    """Write a wheel with metadata alone; default version as installed here."""
    version = version or version_here(name)
    stem = f"{name.replace('-', '_')}-{version}"
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    kind = "py3-none-any" if tag == "any" else tag
    made = folder / f"{stem}-{kind}.whl"
    facts = {
        "METADATA": "".join(f"{line}\n" for line in lines),
        "WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {kind}\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in facts.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{file}"), text)
    return made


def version_here(name: str) -> str:
    """Return the version installed here, without its local part."""
    return metadata.version(name).partition("+")[0]
