"""Test every family with the conformance suite, and the suite itself."""

import numpy as np
import pytest

from votecast.judges.trained import TrainedJudge
from votecast.models.registry import FAMILIES
from votecast.testing import check_judge

TINY = {
    "folds.n": 2,
    "model.name": "tiny:bert",
    "model.text.max_length": 64,
    "model.training.learning_rate": 1e-2,
    "model.training.precision": "fp32",
}
SIAMESE = {
    "name": "tiny:bert",
    "text": {"max_length": 64},
    "training": {"learning_rate": 1e-2, "precision": "fp32"},
}
FAST = {
    "baseline": {"folds.n": 2},
    "cross_encoder": TINY | {"model.name": "tiny:deberta-v2"},
    "siamese": TINY,
    "decoder": TINY | {"model.name": "tiny:llama", "folds.only": 0},
    "reward": {"folds.n": 2, "model.name": "tiny:llama", "model.text": {"template": "labels", "max_length": 96}},
    "average": {
        "folds.n": 2,
        "folds.only": 0,
        "model.members": [
            {"family": "baseline", "model": {"trees": {"rounds": 20}}},
            {"family": "siamese", "model": SIAMESE},
        ],
    },
}
"""Settings under which each family trains in seconds."""


def check(name, overrides, arena):
    tolerance = 0.0 if name == "baseline" else 2e-6
    check_judge(lambda: TrainedJudge(name, overrides), arena[:150], order_tolerance=tolerance)


ELSEWHERE = {"scores", "ensemble", "cascade", "keras_siamese"}
"""Families that read no text (test_scored.py), are made of judges (test_ensemble.py and the tests of cascades), or need
a process of their own for each backend (test_keras_siamese_backends.py)."""


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - ELSEWHERE))
def test_every_family_keeps_every_promise(name, arena):
    check(name, FAST[name], arena)


@pytest.mark.parametrize("head", ["rao_kupper", "concat"])
def test_every_head_of_the_siamese_encoder_keeps_every_promise(head, arena):
    check("siamese", TINY | {"model.head": head}, arena)


def test_an_adapter_on_top_of_the_baseline_keeps_every_promise(arena):
    offset = {"model": {"trees": {"rounds": 20}}, "folds": 2}
    drawn = {"model.thin": True, "model.per_prompt": 2, "model.training.valid_share": 0}
    check("siamese", TINY | drawn | {"folds.only": 0, "model.adapter": {"rank": 2}, "model.offset": offset}, arena)


class PositionBiased(TrainedJudge):
    """A model with position bias."""

    def predict_proba(self, battles):
        p = super().predict_proba(battles)
        return np.ascontiguousarray((p + np.array([0.1, 0, 0])) / 1.1)


class Unnormalised(TrainedJudge):
    """A model whose rows do not sum to 1."""

    def predict_proba(self, battles):
        return super().predict_proba(battles) * 1.001


class BatchDependent(TrainedJudge):
    """A model that depends on the batch."""

    def predict_proba(self, battles):
        p = super().predict_proba(battles)
        return (p + p.mean(axis=0)) / 2 if len(p) else p


@pytest.mark.parametrize(
    ("broken", "message"),
    [(PositionBiased, "swapping the responses"), (Unnormalised, "sum to 1"), (BatchDependent, "with the other rows")],
)
def test_a_broken_promise_is_named(broken, message, arena):
    with pytest.raises(AssertionError, match=message):
        check_judge(lambda: broken("baseline", {"folds.n": 2}), arena[:150])
