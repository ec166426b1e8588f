"""Test votecast's own wheel: contents and reproducible bytes."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from votecast.errors import ArtifactError
from votecast.packaging import wheels
from votecast.packaging.wheels import write_own_wheel

ROOT = Path(__file__).parents[2]
MAKE = "import sys; from pathlib import Path; from votecast.packaging.wheels import write_own_wheel as w; "


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_equals_a_build(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "built"),
        str(ROOT),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    theirs = contents(next((tmp_path / "built").glob("*.whl")))
    mine = contents(write_own_wheel(tmp_path))
    own = {name for name in mine if name.endswith((".dist-info/WHEEL", ".dist-info/RECORD", ".dist-info/METADATA"))}
    assert mine.keys() == theirs.keys()
    assert {name for name in mine if mine[name] != theirs[name]} <= own


def test_it_is_the_same_from_a_checkout_and_from_where_it_was_installed(tmp_path: Path) -> None:
    wheel = write_own_wheel(tmp_path)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target"]
    subprocess.run([*pip, str(tmp_path / "there"), str(wheel)], check=True, capture_output=True)
    (tmp_path / "again").mkdir()
    path = os.pathsep.join([str(tmp_path / "there"), os.environ.get("PYTHONPATH", "")])
    code = MAKE + "import votecast; print(votecast.__file__); w(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "again")]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True)
    assert str(tmp_path / "there") in ran.stdout
    assert (tmp_path / "again" / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_package_of_another_version_than_it_was_installed_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "__version__", "9.9.9")
    with pytest.raises(ArtifactError, match=r"votecast is 9.9.9, and was installed as .*install it again"):
        write_own_wheel(tmp_path)
    assert list(tmp_path.iterdir()) == []
