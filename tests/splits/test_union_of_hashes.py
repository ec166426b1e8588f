"""Judges made of judges recognise the prompts of each, under salts that stay apart."""

from __future__ import annotations

import json

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, LeakError
from votecast.splits import PromptHashes, union_hashes


def asked(*prompts: str) -> Battles:
    return Battles.from_rows([{"prompt": prompt, "response_a": "x", "response_b": "y"} for prompt in prompts])


ONE, TWO = PromptHashes.of(asked("Why?", "How?")), PromptHashes.of(asked("Who?", "why"), seed=1)
VOTES = asked("Which?", "how", "WHO", "", "why?")


def test_a_prompt_of_any_part_is_a_leak() -> None:
    both = union_hashes([ONE, None, TWO])
    assert both is not None
    assert both.overlap(VOTES).tolist() == [1, 2, 4]
    assert len(both) == 4
    assert [len(part) for part in both.parts()] == [2, 2]
    with pytest.raises(LeakError, match="3 of 5 rows"):
        both.check(VOTES)
    assert both.check(VOTES, allow=True).tolist() == [1, 2, 4]


def test_nothing_is_known_only_where_no_part_is() -> None:
    assert union_hashes([]) is None
    assert union_hashes([None, None]) is None
    assert union_hashes([None, ONE]) is not None


def test_parts_under_one_salt_are_put_together() -> None:
    later = ONE.joined(asked("When?"))
    found = union_hashes([ONE, later, union_hashes([TWO, ONE])])
    assert found is not None
    assert [len(part) for part in found.parts()] == [3, 2]
    assert found.overlap(asked("When?", "Who?", "Where?")).tolist() == [0, 1]


def test_further_prompts_can_be_joined_to_a_union() -> None:
    both = union_hashes([ONE, TWO])
    assert both is not None
    assert both.joined(asked("Which?")).overlap(VOTES).tolist() == [0, 1, 2, 4]


def test_every_form_keeps_every_part() -> None:
    both = union_hashes([ONE, TWO])
    assert both is not None
    for again in (
        PromptHashes.from_dict(json.loads(json.dumps(both.to_dict()))),
        PromptHashes.from_arrays(both.to_arrays()),
    ):
        assert again.overlap(VOTES).tolist() == [1, 2, 4]
        assert again.to_dict() == both.to_dict()
    assert set(ONE.to_dict()) == {"hashes", "salt"}


@pytest.mark.parametrize("others", [3, [3], [{"hashes": "", "salt": ""}]])
def test_a_damaged_part_is_noticed(others: object) -> None:
    with pytest.raises(ArtifactError):
        PromptHashes.from_dict(ONE.to_dict() | {"others": others})
    arrays = ONE.to_arrays() | {"hashes_2": np.zeros(1, np.uint64), "salt_2": ONE.salt}
    with pytest.raises(ArtifactError, match="hashes_1"):
        PromptHashes.from_arrays(arrays)
