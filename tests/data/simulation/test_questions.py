from collections import Counter

import pytest

from votecast.data.simulation.dice import Dice
from votecast.data.simulation.questions import KINDS, POPULAR, draw_conversation, popular_conversation


@pytest.fixture(scope="module")
def conversations():
    return [draw_conversation(0, row, Dice(f"0/row/{row}")) for row in range(2000)]


def test_a_row_decides_its_conversation():
    assert draw_conversation(4, 9, Dice("4/row/9")) == draw_conversation(4, 9, Dice("4/row/9"))


def test_all_kinds_are_asked(conversations):
    kinds = Counter(turn.kind for conversation in conversations for turn in conversation.turns)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) > 50


def test_nouns_of_a_turn_stand_in_its_text(conversations):
    for conversation in conversations:
        for turn in conversation.turns:
            assert turn.text is None or len(turn.nouns) >= 2
            assert conversation.popular or all(noun in (turn.text or "") for noun in turn.nouns)


def test_only_one_of_several_turns_is_null_never_the_only_one(conversations):
    assert any(turn.text is None for conversation in conversations for turn in conversation.turns)
    assert all(conversation.turns[0].text for conversation in conversations if len(conversation.turns) == 1)


def test_popular_prompts_repeat_unchanged_or_altered(conversations):
    popular = {popular_conversation(0, rank).turns[0].text for rank in range(POPULAR)}
    asked = [conversation.turns[0].text for conversation in conversations if conversation.popular]
    assert 0.08 < len(asked) / 2000 < 0.16
    assert 0.5 < sum(text in popular for text in asked) / len(asked) < 0.8


def test_popular_prompts_belong_to_the_seed():
    assert popular_conversation(0, 0) != popular_conversation(1, 0)
