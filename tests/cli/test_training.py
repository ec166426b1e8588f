"""Test training on the command line: small, one fold, resumed, parallel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.judges.cheap import CheapModel

from votecast import load_judge
from votecast.models import registry

TRAIN = ("train", "cheap", "--folds.n", "4", "--train")


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


@pytest.fixture
def votes(votecast: Callable, tmp_path: Path) -> Path:
    assert votecast("simulate", "--rows", 100, "--out", tmp_path / "votes.jsonl").code == 0
    return tmp_path / "votes.jsonl"


@pytest.fixture
def third_fit_fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Make the third fit fail."""
    fit = CheapModel.fit

    def arm(error: BaseException | None) -> None:
        calls = iter(range(100))

        def broken(self: CheapModel, *args: object) -> CheapModel:
            if error is not None and next(calls) == 2:
                raise error
            return fit(self, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(CheapModel, "fit", broken)

    return arm


def test_one_fold_of_few_rows(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    words = ("--out", tmp_path / "judge", "--fold", 3, "--rows", 60, "--json", tmp_path / "figures.json")
    ran = votecast(*TRAIN, votes, *words)
    assert ran.code == 0, ran.err
    judge = load_judge(tmp_path / "judge")
    assert set(judge.fitted.out_of_fold.fold) == {3}
    assert judge.fitted.facts["rows"] == 60
    assert "trained on 60 of 100 rows" in ran.err
    assert "of 60 rows are longer than the model reads; tokens kept: 100.0% of prompt, " in ran.err
    assert json.loads((tmp_path / "figures.json").read_text())["rows"] == len(judge.fitted.out_of_fold)
    for words, message in (
        (("--fold", 4), "folds.only is 4, and there are 4 folds, numbered from 0; allowed is 0 to 3"),
        (("--fold", 1, "--final", "refit"), "final refit trains on all rows"),
        (("--fold", 2, "--folds.only", 1), "--fold is 2 and --folds.only is 1; both name the fold to train"),
        (("--small",), "has no small form"),
    ):
        ran = votecast(*TRAIN, votes, "--out", tmp_path / "other", *words)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err


def test_the_small_form_of_a_recipe(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("family: cheap\nfolds: {n: 5}\nsmall: {rows: 60, folds: {n: 2}}\n")
    ran = votecast("train", tmp_path / "mine.yaml", "--small", "--train", votes, "--out", tmp_path / "judge")
    assert ran.code == 0, ran.err
    assert "trained on 60 of 100 rows, stratified by label" in ran.err
    judge = load_judge(tmp_path / "judge")
    assert (judge.notes["small"], judge.recipe.folds.n, judge.recipe.rows) == (True, 2, 60)
    assert "--small" in votecast("recipes").out


def test_several_files_and_patterns_are_joined(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    assert votecast("simulate", "--rows", 40, "--seed", 1, "--out", tmp_path / "a.csv").code == 0
    words = ("train", "cheap", "--folds.n", 4, "--train", tmp_path / "*.jsonl", tmp_path / "a.csv")
    ran = votecast(*words, "--out", tmp_path / "judge", "--json", tmp_path / "figures.json")
    assert ran.code == 0, ran.err
    judge = load_judge(tmp_path / "judge")
    assert judge.fitted.facts["rows"] == 140
    assert [each["path"] for each in judge.notes["reading"]] == ["votes.jsonl", "a.csv"]
    assert "| a.csv | 40 | lmsys, csv |" in (tmp_path / "judge" / "README.md").read_text()
    assert "read votes.jsonl: 100 rows" in ran.err
    assert "read a.csv: 40 rows" in ran.err
    settings = json.loads((tmp_path / "figures.json.settings.json").read_text())["settings"]
    assert settings["train"] == [str(tmp_path / "*.jsonl"), str(tmp_path / "a.csv")]
    ran = votecast(*words, tmp_path / "*.tsv", "--out", tmp_path / "other")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "*.tsv matches no file" in ran.err
    ran = votecast("train", "--train", votes, "cheap", "--out", tmp_path / "other", "--folds.n", 4)
    assert load_judge(tmp_path / "other").notes["reading"]["path"] == "votes.jsonl"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 1),
        (OSError(28, "No space left on device"), 1),
        (RuntimeError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_in_a_later_fold_keeps_the_earlier_ones(
    votecast: Callable, votes: Path, tmp_path: Path, third_fit_fails: Callable, error: BaseException, code: int
) -> None:
    words = (*TRAIN, votes, "--out", tmp_path / "judge", "--json", tmp_path / "figures.json")
    third_fit_fails(error)
    ran = votecast(*words)
    assert (ran.code, ran.out) == (code, "")
    assert f"partial output is kept in {tmp_path / '.judge.work'}; run the same command with --resume" in ran.err
    assert {path.name for path in (tmp_path / ".judge.work").glob("*/done")} == {"done"}
    assert len(list((tmp_path / ".judge.work").glob("*/done"))) == 2
    third_fit_fails(None)
    ran = votecast(*words)
    assert ran.code == 1
    assert "holds partial output" in ran.err
    assert "--resume" in ran.err
    assert "--overwrite" in ran.err
    ran = votecast(*words, "--resume", "--seed", 1)
    assert ran.code == 2
    assert "recipe.seed is 1, there 42" in ran.err
    assert "continues it" not in ran.err
    assert votecast(*words, "--resume").code == 0
    resumed = load_judge(tmp_path / "judge").hash
    assert votecast(*words, "--overwrite").code == 0
    assert load_judge(tmp_path / "judge").hash == resumed
    assert {path.name for path in tmp_path.iterdir()} >= {"judge", "figures.json", "figures.json.settings.json"}
    assert not (tmp_path / ".judge.work").exists()


def test_only_results_of_the_same_judge_are_overwritten(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    words = (*TRAIN, votes, "--out", tmp_path / "judge", "--json", tmp_path / "figures.json")
    assert votecast(*words).code == 0
    (tmp_path / "figures.json.settings.json").unlink()
    assert votecast(*words, "--resume").code == 0
    assert (tmp_path / "figures.json.settings.json").exists()
    (tmp_path / "figures.json").write_text("{}")
    ran = votecast(*words, "--resume")
    assert ran.code == 1
    assert (tmp_path / "figures.json").read_text() == "{}"


CHILD = """
import sys
from votecast.models import registry
registry.FAMILIES["cheap"] = "tests.judges.cheap:CheapModel"
from votecast.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_of_several_processes_only_the_main_one_speaks_and_writes(
    votecast: Callable, votes: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src"), os.environ["PYTHONPATH"]])
    words = [*TRAIN, str(votes), "--json", "-", "--final", "average", "--out"]
    assert votecast(*words, tmp_path / "alone").code == 0
    (tmp_path / ".judge.work" / "fold_0" / "done").mkdir(parents=True)
    (tmp_path / ".judge.work" / "fold_0" / "done" / "raw").write_text("of another time")

    def start(rank: int) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": path, "RANK": str(rank), "WORLD_SIZE": "2"}
        command = [sys.executable, "-c", CHILD, *words, str(tmp_path / "judge"), "--overwrite"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    other, main = start(1), start(0)
    outputs, complaints = zip(*(child.communicate(timeout=300) for child in (main, other)), strict=True)
    assert (main.returncode, other.returncode) == (0, 0), complaints
    assert json.loads(outputs[0])["judge"]["hash"] == load_judge(tmp_path / "judge").hash
    assert (outputs[1], complaints[1]) == ("", "")
    assert load_judge(tmp_path / "judge").hash == load_judge(tmp_path / "alone").hash
    assert {path.name for path in tmp_path.iterdir() if "judge" in path.name} == {"judge"}


def test_a_finished_judge_prints_the_same_when_it_is_resumed(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    words = (*TRAIN, votes, "--out", tmp_path / "judge")
    made, again = votecast(*words), votecast(*words, "--resume")
    assert again.out == made.out
    assert "is finished; there was nothing left to resume" in again.err
