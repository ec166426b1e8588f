"""Every family passes the public conformance suite, and the suite notices broken promises."""

import numpy as np
import pytest

from votecast.judges.judge import TrainedJudge
from votecast.judges.table import FAMILIES
from votecast.testing import check_judge


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_every_promise(name, arena):
    check_judge(lambda: TrainedJudge(name, {"folds.n": 2}), arena[:300])


class Leaning(TrainedJudge):
    """Favours whatever stands first."""

    def predict_proba(self, battles):
        p = super().predict_proba(battles)
        return np.ascontiguousarray((p + np.array([0.1, 0, 0])) / 1.1)


class Loose(TrainedJudge):
    """Rows do not sum to 1."""

    def predict_proba(self, battles):
        return super().predict_proba(battles) * 1.001


class Sociable(TrainedJudge):
    """Looks at the other rows of the batch."""

    def predict_proba(self, battles):
        p = super().predict_proba(battles)
        return (p + p.mean(axis=0)) / 2 if len(p) else p


@pytest.mark.parametrize(
    ("broken", "message"), [(Leaning, "exchanging the answers"), (Loose, "sum to 1"), (Sociable, "rows beside it")]
)
def test_a_broken_promise_is_named(broken, message, arena):
    with pytest.raises(AssertionError, match=message):
        check_judge(lambda: broken("baseline", {"folds.n": 2}), arena[:300])
