"""Test that the main job imports no package of an extra."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from votecast.config.extras import EXTRA, PINNED, how_to_install

BLOCKED = sorted({*EXTRA, *PINNED, "tensorflow"} - {"psutil"})
BLOCK = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Refuse())
"""
PUBLIC = "import votecast\nfor name in votecast.__all__: getattr(votecast, name)\n"
MAIN_JOB = """
from votecast.cli import main
for words in (
    "simulate --rows 120 --out votes.csv",
    "train baseline --train votes.csv --out judge --folds.n 2 --model.trees.rounds 5",
    "predict --judge judge --input votes.csv --out predictions.parquet",
    "compare --prompt p --a x --b y",
    "simulate --rows 120 --seed 1 --out other.csv",
    "evaluate --judge judge --input other.csv --against bundled:baseline --draws 20",
    "calibrate --judge judge --input other.csv --method temperature --out calibrated",
    "ensemble judge calibrated --method mean --out both",
    "decide --judge judge --input votes.csv --calibration other.csv --out decisions.csv",
    "rank --input votes.csv --disconnected largest --out board.csv",
    "report --judge judge --input other.csv --out report.html --draws 20",
    "recipes",
    "recipes internlm2_reward",
    "env",
):
    assert main(words.split()) == 0, words
"""
RECIPES = """
from votecast.errors import ConfigError
from votecast.judges.recipe import load_recipe
from votecast.recipes import recipe_names
for name in recipe_names():
    assert load_recipe(load_recipe(name).dump()) == load_recipe(name), name
    try:
        load_recipe(name, {"model.text.max_lenght": 9})
    except ConfigError as error:
        assert name == "baseline" or "did you mean max_length?" in str(error), error
average = {"family": "average", "model": {"members": [{"family": "siamese"}]}}
assert load_recipe(average).model.members[0]["model"]["head"] == "davidson"
"""
NEURAL = "import votecast\nvotecast.train('cross_encoder', 'votes.csv', out='judge')\n"


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCK + code], cwd=folder, capture_output=True, text=True, check=False)


def test_every_public_name_can_be_had_without_them(tmp_path: Path) -> None:
    ran = run(PUBLIC, tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_the_baseline_and_the_command_line_do_without_them(tmp_path: Path) -> None:
    ran = run(MAIN_JOB, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert f"not installed ({how_to_install('torch')})" in " ".join(ran.stdout.split())


def test_the_main_job_does_not_import_them_where_they_are_installed(tmp_path: Path) -> None:
    loaded = f"import sys\nfound = {set(BLOCKED)!r} & {{name.partition('.')[0] for name in sys.modules}}\n"
    job = MAIN_JOB.replace('    "env",\n', "")
    code = f"{PUBLIC}{job}{loaded}assert not found, found\n"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_recipes_and_overrides_of_every_family_are_checked_without_them(tmp_path: Path) -> None:
    ran = run(RECIPES, tmp_path)
    assert ran.returncode == 0, ran.stderr


def test_a_neural_judge_names_its_install_command(tmp_path: Path) -> None:
    simulate = "from votecast.cli import main\nassert main('simulate --rows 60 --out votes.csv'.split()) == 0"
    assert run(simulate, tmp_path).returncode == 0
    ran = run(NEURAL, tmp_path)
    assert "votecast.errors.MissingExtraError" in ran.stderr
    assert how_to_install("torch") in ran.stderr
