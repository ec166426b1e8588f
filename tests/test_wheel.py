"""Test the wheel in a new environment outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the installed command, isolated from this checkout."""
    folder = tmp_path_factory.mktemp("new")
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    offline = f"sys.path.insert(0, {str(ROOT / 'tests' / 'offline')!r})"
    lines = "; ".join([*(f"sys.path.append({path!r})" for path in sorted(here)), offline])
    (packages / "_dependencies.pth").write_text(f"import sys; {lines}\n")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    installed = subprocess.run(
        [*install, "--force-reinstall", "--quiet", str(wheel)], capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr
    return folder / "bin" / "votecast"


def run(command: Path, folder: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(
        [str(command), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_wheel_holds_only_what_it_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.split("/")[1] for name in names if name.startswith("votecast/")}
    assert {"py.typed", "recipes", "bundled", "cli"} <= inside
    assert "votecast/recipes/baseline.yaml" in names
    assert "votecast/bundled/baseline/config.json" in names
    templates = ("page.html", "items.html", "page.css", "audit.yaml")
    assert {f"votecast/reports/templates/{name}" for name in templates} <= set(names)
    assert "votecast/reports/audit/categories.yaml" in names
    page = ("index.html", "page.css", "main.js", "icon.svg", "sample.csv", "docs.html.j2")
    assert {f"votecast/serving/static/{name}" for name in page} <= set(names)
    assert {f"votecast/packaging/templates/{name}" for name in ("notebook.ipynb.j2", "README.md.j2")} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"votecast"}
    assert not [name for name in names if "__pycache__" in name]


def test_the_installed_command_does_the_main_job(command: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="tests use no network"):
        run(command.with_name("python"), tmp_path, "-c", "import socket; socket.create_connection(('192.0.2.1', 9))")
    where = run(command.with_name("python"), tmp_path, "-c", "import votecast; print(votecast.__file__)")
    assert str(command.parents[1]) in where
    assert "baseline" in run(command, tmp_path, "recipes")
    run(command, tmp_path, "simulate", "--rows", "200", "--out", "votes.csv")
    run(command, tmp_path, "train", "baseline", "--train", "votes.csv", "--out", "judge", "--folds.n", "2")
    run(command, tmp_path, "report", "--input", "votes.csv", "--out", "votes.html")
    assert "Duplicates and conflicts" in (tmp_path / "votes.html").read_text("utf-8")
    words = ["compare", "--prompt", "Why?", "--a", "Because it is so.", "--b", "No.", "--json", "-"]
    mine = json.loads(run(command, tmp_path, *words, "--judge", "judge"))
    bundled = json.loads(run(command, tmp_path, *words))
    for prediction in (mine, bundled):
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-9)
    assert mine["judge"]["hash"] != bundled["judge"]["hash"]
