"""Run the notebook of a pack in a new environment without network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from pathlib import Path

import pip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.packaging.fakes import real_wheels

from votecast.cli import main
from votecast.packaging.pack import render_notebook

RUNNER = """
import json, sys
space = {"__name__": "__main__"}
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), space)
"""


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory, arena: Path) -> Path:
    """Return a folder with a pack and the contest's test file."""
    wheels = real_wheels()
    folder = tmp_path_factory.mktemp("kaggle")
    (folder / "input" / "lmsys-chatbot-arena").mkdir(parents=True)
    shutil.copy(arena / "test.csv", folder / "input" / "lmsys-chatbot-arena" / "test.csv")
    words = ["pack", "--judge", arena / "judge", "--out", folder / "input" / "mine"]
    assert main([str(word) for word in [*words, "--find-links", wheels, "--no-index"]]) == 0
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new environment with pip alone."""
    folder = tmp_path_factory.mktemp("new")
    venv.create(folder, with_pip=False)
    # the files of our own pip: ensurepip takes seconds to unpack and compile another
    packages = next(folder.glob("lib/python*/site-packages"))
    for found in Path(pip.__file__).parents[1].glob("pip*"):
        shutil.copytree(found, packages / found.name)
    return folder / "bin" / "python"


def run(python: Path, *words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run in a clean environment without index or network."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    offline = {"PYTHONPATH": str(Path(__file__).parents[1] / "offline"), "OMP_NUM_THREADS": "1"}
    quiet_pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1"}
    environment = kept | offline | quiet_pip | more
    return subprocess.run([str(python), *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_a_notebook_writes_the_submission_that_predict_writes_here(
    kaggle: Path, python: Path, arena: Path, tmp_path: Path
) -> None:
    assert run(python, "-c", "import votecast", cwd=tmp_path).returncode
    assert "No matching distribution" in run(python, "-m", "pip", "install", "narwhals", cwd=tmp_path).stderr
    assert (
        "tests use no network"
        in run(python, "-c", "import socket; socket.create_connection(('192.0.2.1', 9))", cwd=tmp_path).stderr
    )

    notebook = kaggle / "input" / "mine" / "notebook.ipynb"
    ran = run(python, "-c", RUNNER, str(notebook), cwd=tmp_path, VOTECAST_INPUTS=str(kaggle / "input"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "60 rows in submission.csv\nid,winner_model_a,winner_model_b,winner_tie\n" in ran.stdout

    here = tmp_path / "here.csv"
    words = ["predict", "--judge", arena / "judge", "--input", arena / "test.csv", "--format", "lmsys", "--out", here]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "submission.csv").read_bytes() == here.read_bytes()


def test_the_other_contest_is_found_read_and_answered_in_its_own_form(
    kaggle: Path, python: Path, arena: Path, tmp_path: Path
) -> None:
    """Reuse the environment of the first notebook."""
    rows = [{"id": f"r{n}", "prompt": f"Is {n} odd?", "response_a": "Yes.", "response_b": "No, " * n} for n in range(9)]
    (tmp_path / "input" / "wsdm-cup").mkdir(parents=True)
    test = tmp_path / "input" / "wsdm-cup" / "test.parquet"
    pq.write_table(pa.Table.from_pylist(rows), test)
    manifest = json.loads((kaggle / "input" / "mine" / "manifest.json").read_text())
    (tmp_path / "notebook.ipynb").write_text(render_notebook(manifest | {"contest": "wsdm"}))
    more = {"VOTECAST_TEST": str(test), "VOTECAST_PACK": str(kaggle / "input" / "mine")}
    ran = run(python, "-c", RUNNER, str(tmp_path / "notebook.ipynb"), cwd=tmp_path, **more)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "9 rows in submission.csv\nid,winner\nr0,model_" in ran.stdout
    here = tmp_path / "here.csv"
    words = ["predict", "--judge", arena / "judge", "--input", test, "--format", "wsdm", "--out", here]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "submission.csv").read_bytes() == here.read_bytes()


def test_inputs_that_are_absent_or_doubtful_are_reported(kaggle: Path, python: Path, tmp_path: Path) -> None:
    words = ["-c", RUNNER, str(kaggle / "input" / "mine" / "notebook.ipynb")]
    ran = run(python, *words, cwd=tmp_path, VOTECAST_INPUTS=str(tmp_path))
    assert f"folders of this pack below {tmp_path}: none; exactly one is required: add it, or set PACK" in ran.stderr
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(kaggle / "input" / "lmsys-chatbot-arena" / "test.csv", tmp_path / name)
    pack = str(kaggle / "input" / "mine")
    ran = run(python, *words, cwd=tmp_path, VOTECAST_INPUTS=str(tmp_path), VOTECAST_PACK=pack)
    listed = f"{tmp_path / 'one' / 'test.csv'}, {tmp_path / 'two' / 'test.csv'}"
    assert f"files test.csv below {tmp_path}: {listed}; exactly one is required: add it, or set TEST" in ran.stderr


def test_a_damaged_pack_and_another_python_are_refused_before_anything_is_installed(
    kaggle: Path, python: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "pack"
    shutil.copytree(kaggle / "input" / "mine", damaged)
    with (damaged / "judge" / "calibration.safetensors").open("ab") as file:
        file.write(b"x")
    (damaged / "wheels" / "numpy-99.0-py3-none-any.whl").touch()
    words = ["-c", RUNNER, str(damaged / "notebook.ipynb")]
    test = str(kaggle / "input" / "lmsys-chatbot-arena" / "test.csv")
    ran = run(python, *words, cwd=damaged, VOTECAST_TEST=test)
    listed = "wheels/numpy-99.0-py3-none-any.whl, judge/calibration.safetensors"
    assert f"2 files are missing, damaged or foreign: {listed}; upload the pack again" in ran.stderr
    (damaged / "wheels" / "numpy-99.0-py3-none-any.whl").unlink()

    manifest = json.loads((damaged / "manifest.json").read_text())
    (damaged / "manifest.json").write_text(json.dumps(manifest | {"python": "3.99"}))
    ran = run(python, *words, cwd=damaged, VOTECAST_TEST=test)
    assert "and the wheels are for 3.99: make the pack again with votecast pack --python 3." in ran.stderr
    assert "$" not in ran.stdout
