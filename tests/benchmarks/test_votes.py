"""Test how external votes become training rows, on invented votes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from votecast.data import Battles

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def votes_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_votes", BENCHMARKS / "_votes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def votes(votes_module: ModuleType) -> Battles:
    rows = []
    for number, source in enumerate(votes_module.SHARES):
        labels = "abab" if source in votes_module.BINARY else "ab" + ("t" * (number + 1))
        rows += [
            {"prompt": f"{source} {i}", "response_a": "x", "response_b": "y", "source": source,
             "winner": {"t": "tie"}.get(label, label)}
            for i, label in enumerate(labels)
        ]  # fmt: skip
    return Battles.from_rows([*rows, rows[0]])


def test_every_source_has_its_share_of_the_weight(votes_module: ModuleType, votes: Battles) -> None:
    rows = votes_module.training_rows(votes)
    sources, weights = np.array(rows.column("source").to_pylist()), rows.weights()
    assert weights.mean() == pytest.approx(1.0)
    total = sum(votes_module.SHARES.values())
    for source, share in votes_module.SHARES.items():
        assert weights[sources == source].sum() / weights.sum() == pytest.approx(share / total)


def test_ties_are_as_common_in_every_source(votes_module: ModuleType, votes: Battles) -> None:
    rows = votes_module.training_rows(votes)
    sources, weights, targets = np.array(rows.column("source").to_pylist()), rows.weights(), rows.targets()
    shares = [np.average(targets[sources == s, 2], weights=weights[sources == s]) for s in votes_module.SHARES]
    assert np.ptp(shares) < 1e-9


def test_votes_on_one_pair_are_one_row(votes_module: ModuleType, votes: Battles) -> None:
    assert len(votes_module.training_rows(votes)) == len(votes) - 1


def test_without_a_folder_benchmarks_skip_with_a_reason(
    votes_module: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        votes_module.folder_or_leave(None)
    assert left.value.code == 0
    assert "VOTECAST_DATA" in capsys.readouterr().out
    assert sys.modules.get("_votes") is not votes_module
