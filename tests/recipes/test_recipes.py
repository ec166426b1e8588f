"""Test every shipped recipe in small form: train, predict, submit."""

from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pytest

from votecast.cli import main
from votecast.recipes import list_recipes

RECIPES = [entry["name"] for entry in list_recipes()]
SUBMISSION = ["id", "winner_model_a", "winner_model_b", "winner_tie"]


@pytest.fixture(scope="session")
def votes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("votes")
    assert main(["simulate", "--rows", "400", "--out", str(folder / "train.csv")]) == 0
    assert main(["simulate", "--rows", "50", "--seed", "1", "--no-votes", "--out", str(folder / "test.csv")]) == 0
    return folder


@pytest.mark.parametrize("name", RECIPES)
def test_the_small_form_goes_from_votes_to_a_submission(name, votes, tmp_path):
    judge, out = tmp_path / "judge", tmp_path / "submission.csv"
    assert main(["train", name, "--small", "--train", str(votes / "train.csv"), "--out", str(judge)]) == 0
    words = ["--judge", str(judge), "--input", str(votes / "test.csv"), "--out", str(out), "--format", "lmsys"]
    assert main(["predict", *words]) == 0
    table = pa_csv.read_csv(out)
    assert table.column_names == SUBMISSION
    assert table.column("id").to_pylist() == pa_csv.read_csv(votes / "test.csv").column("id").to_pylist()
    p = np.stack([table.column(column).to_numpy() for column in SUBMISSION[1:]], axis=1)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-6
    assert (p > 0).all()
