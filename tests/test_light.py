"""Test that the main job neither needs nor imports a package of an extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

from votecast.config.extras import EXTRA, PINNED, how_to_install

BLOCKED = sorted({*EXTRA, *PINNED, "tensorflow"} - {"psutil"})
BLOCK = f"""
import sys
asked = []
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
sys.meta_path.insert(0, Refuse())
"""
PUBLIC = "import votecast\nfor name in votecast.__all__: getattr(votecast, name)\n"
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
):
    assert main(words.split()) == 0, words
assert asked == [], f"imported where it is installed: {asked}"
"""
ENV = "assert main(['env']) == 0\n"
NEURAL = "votecast.train('cross_encoder', 'votes.csv', out='neural')\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run all of it in one process that cannot import these packages; the neural judge is its end."""
    code = BLOCK + PUBLIC + RECIPES + MAIN_JOB + ENV + NEURAL
    folder = tmp_path_factory.mktemp("light")
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_a_neural_judge_alone_fails_and_names_its_install_command(ran: subprocess.CompletedProcess[str]) -> None:
    """What comes before it: public names, recipes of every family, and the verbs of the main job."""
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("votecast.errors.MissingExtraError"), ran.stderr
    assert how_to_install("torch") in last


def test_the_environment_shows_what_is_not_installed(ran: subprocess.CompletedProcess[str]) -> None:
    assert f"not installed ({how_to_install('torch')})" in " ".join(ran.stdout.split())
