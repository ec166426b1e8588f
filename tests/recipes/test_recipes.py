"""Test every shipped recipe in small form, each in an environment of its own extra alone: train, predict, submit."""

import functools
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from tests.clean_environment import RECIPES, SETTINGS, CleanEnvironment
from tests.hub_folders import SYSTEMS, kaggle_cache

from votecast.cli import main
from votecast.config.extras import how_to_install
from votecast.recipes import list_recipes

SUBMISSION = ["id", "winner_model_a", "winner_model_b", "winner_tie"]
HANDLE = "keras/deberta_v3/keras/deberta_v3_extra_small_en/3"
RUN = """
import sys
from votecast.cli import main
for words in {commands}:
    assert main(words) == 0, words
"""


@pytest.fixture(scope="module")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("votes")
    assert main(["simulate", "--rows", "160", "--out", str(folder / "train.csv")]) == 0
    assert main(["simulate", "--rows", "50", "--seed", "1", "--no-votes", "--out", str(folder / "test.csv")]) == 0
    return folder


@pytest.fixture(scope="module")
def trained(votes, tmp_path_factory):
    """Return a folder of judges and submissions, made in the environment of an extra; made once for each extra."""

    @functools.cache
    def run(extra):
        folder = tmp_path_factory.mktemp(extra)
        environment = CleanEnvironment(folder / "env", extra)
        models = {name: str(SYSTEMS[name](folder / "hub" / name)) for name in RECIPES[extra] if name in SYSTEMS}
        if extra == "keras":  # under its own name, as after a download
            kaggle_cache(folder / "cache", folder / "hub" / "siamese_keras", HANDLE)
            models["siamese_keras"] = "deberta_v3_extra_small_en"
        commands = []
        for name in RECIPES[extra]:
            named = ["--model.name", models[name]] if name in models else []
            commands += commands_of(name, votes, folder, [*named, *SETTINGS.get(name, [])])
        cache = {"KAGGLEHUB_CACHE": str(folder / "cache")}
        ran = environment.run(RUN.format(commands=commands), folder, JAX_DISABLE_MOST_OPTIMIZATIONS="1", **cache)
        assert ran.returncode == 0, ran.stderr
        return folder

    return run


def commands_of(name, votes, folder, settings=()):
    judge, out = str(folder / name), str(folder / f"{name}.csv")
    yield ["train", name, "--small", "--train", str(votes / "train.csv"), "--out", judge, *settings]
    yield ["predict", "--judge", judge, "--input", str(votes / "test.csv"), "--out", out, "--format", "lmsys"]


def check_submission(path, votes):
    table = pa_csv.read_csv(path)
    assert table.column_names == SUBMISSION
    assert table.column("id").to_pylist() == pa_csv.read_csv(votes / "test.csv").column("id").to_pylist()
    p = np.stack([table.column(column).to_numpy() for column in SUBMISSION[1:]], axis=1)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-6
    assert (p > 0).all()


@pytest.mark.parametrize("extra", RECIPES)
def test_an_extra_is_complete_for_its_recipes_and_the_models_of_the_hub(trained, votes, extra):
    folder = trained(extra)
    for name in RECIPES[extra]:
        check_submission(folder / f"{name}.csv", votes)


def test_every_other_recipe_needs_no_extra(votes, tmp_path):
    others = {entry["name"] for entry in list_recipes()} - {name for names in RECIPES.values() for name in names}
    assert others == {"baseline"}
    for words in commands_of("baseline", votes, tmp_path):
        assert main(words) == 0
    check_submission(tmp_path / "baseline.csv", votes)


def test_onnx_exports_what_neural_has_trained(trained, tmp_path):
    judge = trained("neural") / "cross_encoder"
    environment = CleanEnvironment(tmp_path / "env", "onnx")
    words = ["export", "--judge", str(judge), "--out", str(tmp_path / "exported")]
    ran = environment.run(RUN.format(commands=[words]), tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert list((tmp_path / "exported").rglob("*.onnx"))


def test_an_environment_without_the_extra_names_the_command(votes, tmp_path):
    environment = CleanEnvironment(tmp_path / "env", "plot")
    words = ["train", "gemma2_9b_qlora", "--train", str(votes / "train.csv"), "--out", "judge"]
    ran = environment.run(f"from votecast.cli import main\nraise SystemExit(main({words}))", tmp_path)
    assert ran.returncode != 0
    assert how_to_install("torch") in ran.stderr
