import dataclasses

import pytest
from tests.data.simulation.reader import read_answer

from votecast.data.simulation import simulate
from votecast.data.simulation.dice import Dice
from votecast.data.simulation.questions import draw_conversation
from votecast.data.simulation.votes import Traits, quality

PLAIN = Traits(chars=1000, sentences=10, on_topic=6, turns=2)


def test_quality_can_be_recovered_from_the_text():
    battles, truth = next(simulate(400, seed=11))
    for row, (battle, known) in enumerate(zip(battles, truth.qualities, strict=True)):
        conversation = draw_conversation(11, row, Dice(f"11/row/{row}"))
        for answer, worth in zip((battle.response_a, battle.response_b), known, strict=True):
            assert quality(read_answer(conversation, list(answer))) == pytest.approx(worth), answer


@pytest.mark.parametrize("virtue", ["on_topic", "delivered", "lists", "headings", "bold"])
def test_virtues_help(virtue):
    assert quality(dataclasses.replace(PLAIN, **{virtue: getattr(PLAIN, virtue) + 1})) > quality(PLAIN)


@pytest.mark.parametrize("fault", ["repeated", "refused", "foreign", "empty", "wrong_sums"])
def test_faults_lower_the_quality(fault):
    assert quality(dataclasses.replace(PLAIN, **{fault: 1})) < quality(PLAIN)


def test_length_helps_a_little_and_only_so_far():
    short, long, endless = (quality(dataclasses.replace(PLAIN, chars=n)) for n in (200, 4000, 90_000))
    assert short < long == endless
    assert long - short < 0.5


def test_an_answer_without_anything_has_a_quality():
    assert quality(Traits()) == 0.0
