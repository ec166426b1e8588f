"""Test the contents and reproducibility of packs, with empty wheels."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.packaging.fakes import fake_wheel, version_here

from votecast import __version__, load_judge
from votecast.cli import main
from votecast.packaging.pack import render_notebook


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, arena: Path, links: Path) -> Path:
    """Return a folder with a pack and what --json writes about it."""
    folder = tmp_path_factory.mktemp("packed")
    outputs = ["--out", folder / "pack", "--json", folder / "pack.json"]
    words = ["pack", "--judge", arena / "judge", *outputs, "--find-links", links, "--no-index", "--python", "3.11"]
    assert main([str(word) for word in words]) == 0
    return folder


def test_a_pack_holds_judge_requirements_and_manifest(packed: Path, arena: Path) -> None:
    found = files(packed / "pack")
    manifest = json.loads(found.pop("manifest.json"))
    assert {name: listed["sha256"] for name, listed in manifest["files"].items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in found.items()
    }
    assert {name: listed["size"] for name, listed in manifest["files"].items()} == {k: len(v) for k, v in found.items()}
    assert {k.removeprefix("judge/"): v for k, v in found.items() if k.startswith("judge/")} == files(arena / "judge")
    wheels = {name.split("/")[1].split("-")[0] for name in found if name.startswith("wheels/")}
    assert {"votecast", "numpy", "scikit_learn", "joblib"} <= wheels
    assert (manifest["judge"]["hash"], manifest["judge"]["made_of"]) == (load_judge(arena / "judge").hash,) * 2
    assert (manifest["python"], manifest["platform"]) == ("3.11", "manylinux_2_28_x86_64")
    assert manifest["install"] == f"votecast=={__version__}"
    assert manifest["packages"]["numpy"] == version_here("numpy")
    text = found["README.md"].decode()
    assert "pip install --no-index --find-links wheels" in text
    assert manifest["judge"]["hash"][:12] in text
    assert "{" not in text


def test_the_same_judge_gives_the_same_bytes_whatever_the_way_to_it(
    votecast: Callable, packed: Path, arena: Path, links: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere" / "copy"
    shutil.copytree(arena / "judge", moved)
    (moved / ".passwords").write_text("hidden files beside those of a judge are not packed")
    words = ["pack", "--judge", moved, "--out", tmp_path / "two", "--find-links", links, "--no-index"]
    ran = votecast(*words, "--python", "3.11")
    assert ran.code == 0, ran.err
    assert "baseline (" in ran.out
    assert str(tmp_path / "two") in ran.out
    assert files(packed / "pack") == files(tmp_path / "two")


@pytest.mark.parametrize("contest", ["lmsys", "wsdm"])
def test_the_notebook_is_one_of_the_format_4_5(packed: Path, contest: str) -> None:
    manifest = json.loads((packed / "pack" / "manifest.json").read_text("utf-8"))
    written = render_notebook(manifest | {"contest": contest})
    assert contest == "wsdm" or written == (packed / "pack" / "notebook.ipynb").read_text("utf-8")
    notebook = json.loads(written)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    identities = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identities)) == len(identities)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in identities)
    for cell in notebook["cells"]:
        extra = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | extra
        assert all(line.endswith("\n") for line in cell["source"][:-1])
    code = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    compile(code, "notebook", "exec")
    assert f'"--format", "{contest}"' in code
    assert {"lmsys": "test.csv", "wsdm": "test.parquet"}[contest] in code


def test_a_pack_replaces_only_a_pack(votecast: Callable, arena: Path, links: Path, tmp_path: Path) -> None:
    words = ["pack", "--judge", arena / "judge", "--find-links", links, "--no-index"]
    assert votecast(*words, "--out", tmp_path / "pack").code == 0
    again = votecast(*words, "--out", tmp_path / "pack")
    assert (again.code, "--overwrite" in again.err) == (1, True)
    assert votecast(*words, "--out", tmp_path / "pack", "--overwrite", "--contest", "wsdm").code == 0
    assert json.loads((tmp_path / "pack" / "manifest.json").read_text())["contest"] == "wsdm"
    assert "test.parquet" in (tmp_path / "pack" / "notebook.ipynb").read_text("utf-8")

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    kept = votecast(*words, "--out", tmp_path / "mine", "--overwrite")
    assert (kept.code, "already exists and is not a pack" in kept.err) == (1, True)
    assert files(tmp_path / "mine") == {"diary.txt": b"dear"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "pack"]


def test_the_pack_is_described_as_json(packed: Path) -> None:
    listed = json.loads((packed / "pack.json").read_text())
    assert listed == json.loads((packed / "pack" / "manifest.json").read_text())


def test_a_package_that_the_target_has_stays_away(votecast: Callable, arena: Path, links: Path, tmp_path: Path) -> None:
    words = ["pack", "--judge", arena / "judge", "--find-links", links, "--no-index"]
    ran = votecast(*words, "--out", tmp_path / "pack", "--without", "scikit-learn", "--without", "NumPy")
    assert ran.code == 0, ran.err
    there = {path.name.split("-")[0] for path in (tmp_path / "pack" / "wheels").iterdir()}
    assert not there & {"scikit_learn", "joblib", "numpy"}
    assert "scipy" in there
    assert "NumPy, scikit-learn" in (tmp_path / "pack" / "README.md").read_text()
    wrong = votecast(*words, "--out", tmp_path / "other", "--without", "torch")
    assert (wrong.code, "--without torch: the judge does not need it; needed are" in wrong.err) == (2, True)
    assert not (tmp_path / "other").exists()


def test_requirements_are_those_of_the_python_that_the_pack_is_for(
    votecast: Callable, arena: Path, links: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "links"
    shutil.copytree(links, mine)
    needs = ["only-old; python_version < '3.12'", "only-new>=1; python_version >= '3.12'"]
    fake_wheel(mine, "joblib", requires=needs)
    fake_wheel(mine, "only-old", "1.0")
    fake_wheel(mine, "only-new", "2.0")
    for python, expected in (("3.11", "only_old"), ("3.12", "only_new")):
        words = ["pack", "--judge", arena / "judge", "--out", tmp_path / python, "--find-links", mine, "--no-index"]
        assert votecast(*words, "--python", python).code == 0
        found = {path.name.split("-")[0] for path in (tmp_path / python / "wheels").iterdir()}
        assert found & {"only_old", "only_new"} == {expected}


def test_versions_are_those_installed_here_by_default(
    votecast: Callable, arena: Path, links: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "links"
    shutil.copytree(links, mine)
    fake_wheel(mine, "narwhals", "999.0")
    words = ["pack", "--judge", arena / "judge", "--find-links", mine, "--no-index", "--json", "-"]
    here = json.loads(votecast(*words, "--out", tmp_path / "here").out)
    newest = json.loads(votecast(*words, "--out", tmp_path / "newest", "--versions", "newest").out)
    assert (here["packages"]["narwhals"], newest["packages"]["narwhals"]) == (version_here("narwhals"), "999.0")
