import numpy as np
import pytest

from votecast.data.simulation.dice import Dice, cumulative


def test_the_sequence_never_changes():
    dice = Dice("0/row/17")
    assert [round(dice.uniform(), 12) for _ in range(3)] == [0.825472210482, 0.66128512334, 0.180918265126]


def test_draws_depend_only_on_names():
    assert Dice("a").uniform() == Dice("a").uniform() != Dice("b").uniform()


def test_normal_numbers_are_normal():
    dice = Dice("normal")
    drawn = np.array([dice.normal() for _ in range(20_000)])
    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert drawn.std() == pytest.approx(1, abs=0.03)
    assert (np.abs(drawn) < 1).mean() == pytest.approx(0.683, abs=0.02)


def test_positions_follow_their_weights():
    dice = Dice("weights")
    drawn = np.bincount([dice.index(cumulative((1, 0, 3))) for _ in range(8000)], minlength=3)
    assert drawn[1] == 0
    assert drawn[0] / 8000 == pytest.approx(0.25, abs=0.02)


def test_some_are_different_and_no_more_than_there_are():
    drawn = Dice("some").some(range(5), 9)
    assert sorted(drawn) == [0, 1, 2, 3, 4]
    assert len(set(Dice("few").some(range(50), 10))) == 10


def test_chance_below_and_pick_stay_in_range():
    dice = Dice("range")
    assert {dice.below(3) for _ in range(200)} == {0, 1, 2}
    assert {dice.pick("xy") for _ in range(100)} == {"x", "y"}
    assert not any(dice.chance(0.0) for _ in range(100))
    assert all(dice.chance(1.0) for _ in range(100))
