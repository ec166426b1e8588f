"""Provide a small simulated arena and a judge trained on it."""

import pytest

from votecast.data.battles import Battles
from votecast.data.simulation import simulate
from votecast.judges.trained import TrainedJudge

SMALL = {"folds.n": 2}


@pytest.fixture(scope="session")
def arena() -> Battles:
    return Battles.concat([battles for battles, _ in simulate(rows=600, seed=3)])


@pytest.fixture(scope="session")
def judge(arena: Battles) -> TrainedJudge:
    return TrainedJudge("baseline", SMALL).fit(arena[:500])
