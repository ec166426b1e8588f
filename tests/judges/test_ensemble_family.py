"""Test the ensemble family: judge invariants and forwarded calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import pytest

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, JudgeError
from votecast.judges.ensemble import EnsembleModel, EnsembleSettings, ensemble
from votecast.judges.trained import TrainedJudge
from votecast.models import registry
from votecast.testing import check_judge


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FAMILIES, "cheap", "tests.judges.cheap:CheapModel")


class Ensembled(TrainedJudge):
    """An ensemble that trains its judges first, for the suite."""

    def fit(self, battles: Any, *_: Any, **__: Any) -> Self:
        each = [TrainedJudge("cheap", {"folds.n": 2, "seed": seed}).fit(battles) for seed in (1, 2)]
        settings: Any = self.recipe.model
        made = ensemble(each, method=settings.method, stacker=settings.stacker, draws=10)
        self.__dict__.update(made.__dict__)
        return self


@pytest.mark.parametrize(("method", "stacker"), [("weights", "logistic"), ("stack", "logistic"), ("stack", "lightgbm")])
def test_an_ensemble_keeps_every_promise(method: str, stacker: str, arena: Battles) -> None:
    overrides = {"model.method": method, "model.stacker": stacker}
    check_judge(lambda: Ensembled("ensemble", overrides), arena[: 260 if stacker == "lightgbm" else 150])


def test_one_without_judges_or_with_a_judge_missing_is_refused(arena: Battles, tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="holds no judges yet"):
        EnsembleModel(EnsembleSettings()).predict(arena[:2])
    Ensembled("ensemble").fit(arena[:60]).save_pretrained(tmp_path / "e")
    shutil.rmtree(tmp_path / "e" / "members" / "0" / "1")
    with pytest.raises(ArtifactError):
        TrainedJudge.from_pretrained(tmp_path / "e")


def test_torch_is_not_needed_where_the_judges_do_without(arena: Battles, tmp_path: Path) -> None:
    each = [
        TrainedJudge("baseline", {"folds.n": 2, "seed": n, "model.trees.rounds": 5}).fit(arena[:100]) for n in (1, 2)
    ]
    ensemble(each, method="stack", draws=10, out=tmp_path / "e")
    code = (
        "import sys, votecast; from votecast.data.simulation import simulate;"
        f"j = votecast.load_judge({str(tmp_path / 'e')!r});"
        "j.predict_proba(next(simulate(rows=5, seed=1, batch=5))[0]);"
        "import votecast.judges.ensemble;"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
