"""Test the leak check and operations on prompt hashes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, DataError, LeakError
from votecast.splits import PromptHashes, union_hashes


def battles(*prompts: list[str | None] | str) -> Battles:
    rows = [{"prompt": prompt, "response_a": f"x{i}", "response_b": "y"} for i, prompt in enumerate(prompts)]
    return Battles.from_rows(rows)


SEEN = battles("Why is the sky blue?", ["Name a prime.", "And another?"], "你好，世界", "", "???")


@pytest.mark.parametrize(
    "prompt",
    [
        "why is  the sky\nBLUE",
        "“Why is the sky blue”…",
        ["name a prime", "and ANOTHER"],
        "你好 世界!",
        "???",
        ["Why is", "the sky blue?"],
    ],
)
def test_prompts_in_another_dress_are_found(prompt: list[str | None] | str) -> None:
    assert PromptHashes.of(SEEN).overlap(battles("new", prompt)).tolist() == [1]


@pytest.mark.parametrize(
    "prompt", ["Why is the sky green?", "Name a prime.", ["Name a prime.", "And a third?"], "!", "", " \n", [None], []]
)
def test_other_prompts_and_none_at_all_are_no_leak(prompt: list[str | None] | str) -> None:
    assert PromptHashes.of(SEEN).overlap(battles(prompt)).tolist() == []


def test_a_leak_is_refused_with_its_count_its_ids_and_the_way_on() -> None:
    hashes = PromptHashes.of(SEEN)
    asked = battles(*["why is the sky blue"] * 12, "new")
    with pytest.raises(LeakError) as caught:
        hashes.check(asked)
    assert "12 of 13 rows" in str(caught.value)
    assert "first ids: '0', '1', '2', '3', '4', '5', '6', '7', '8', '9')" in str(caught.value)
    assert "--allow-leak" in str(caught.value)
    assert isinstance(caught.value, DataError)


def test_an_allowed_leak_is_still_reported() -> None:
    assert PromptHashes.of(SEEN).check(SEEN, allow=True).tolist() == [0, 1, 2, 3, 4]
    assert PromptHashes.of(SEEN).check(battles("new")).tolist() == []


def test_hashes_depend_on_the_prompts_and_the_seed_and_on_nothing_else() -> None:
    hashes = PromptHashes.of(SEEN)
    again = PromptHashes.of(SEEN.take([4, 1, 0, 2, 3, 0]).swapped())
    assert hashes.to_dict() == again.to_dict()
    assert len(hashes) == 5  # the row without a prompt by its answers
    for other in (PromptHashes.of(SEEN, seed=1), PromptHashes.of(SEEN[:4])):
        assert not np.isin(other.hashes, hashes.hashes).any()
        assert not np.array_equal(other.salt, hashes.salt)


@given(st.lists(st.text(max_size=8), max_size=8), st.lists(st.text(max_size=8), max_size=8))
def test_kept_hashes_find_the_same_rows(seen: list[str], asked: list[str]) -> None:
    hashes = PromptHashes.of(battles(*seen))
    kept = PromptHashes.from_arrays(load(save(hashes.to_arrays())))
    assert kept.to_dict() == hashes.to_dict()
    assert kept.overlap(battles(*asked)).tolist() == hashes.overlap(battles(*asked)).tolist()
    assert (
        PromptHashes(kept.hashes[::-1].copy(), kept.salt).overlap(battles(*seen)).tolist()
        == hashes.overlap(battles(*seen)).tolist()
    )


def test_hashes_hold_no_text() -> None:
    kept = save(PromptHashes.of(SEEN).to_arrays())
    for word in ("sky", "prime", "世界"):
        assert word.encode() not in kept


SALT = np.zeros(16, dtype=np.uint8)


@pytest.mark.parametrize(
    "arrays",
    [
        {"salt": SALT},
        {"hashes": np.zeros(3), "salt": SALT},
        {"hashes": np.zeros((2, 2), dtype=np.uint64), "salt": SALT},
        {"hashes": np.zeros(3, dtype=np.uint64), "salt": SALT[:5]},
    ],
)
def test_damaged_hashes_are_refused(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(ArtifactError, match="copy or train the judge again"):
        PromptHashes.from_arrays(arrays)


def test_hashes_survive_json() -> None:
    hashes = PromptHashes.of(battles("Why?", "How?", ""))
    again = PromptHashes.from_dict(json.loads(json.dumps(hashes.to_dict())))
    assert np.array_equal(again.hashes, hashes.hashes) and np.array_equal(again.salt, hashes.salt)
    assert again.overlap(battles("who?", "HOW?")).tolist() == [1]


def test_joined_hashes_know_the_prompts_of_both() -> None:
    joined = PromptHashes.of(battles("Why?", "How?")).joined(battles("Who?", "why", ""))
    assert len(joined) == 4  # the row without a prompt by its answers
    assert joined.overlap(battles("why?", "How?", "who?", "When?", "")).tolist() == [0, 1, 2]


@pytest.mark.parametrize("values", [{}, {"hashes": "x", "salt": "00"}, {"hashes": "", "salt": "0g"}, {"hashes": 1}, []])
def test_anything_else_is_refused(values: object) -> None:
    with pytest.raises(ArtifactError, match="cannot be read|expected"):
        PromptHashes.from_dict(values)  # type: ignore[arg-type]


ONE, TWO = PromptHashes.of(battles("Why?", "How?")), PromptHashes.of(battles("Who?", "why"), seed=1)
VOTES = battles("Which?", "how", "WHO", "", "why?")


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
    later = ONE.joined(battles("When?"))
    found = union_hashes([ONE, later, union_hashes([TWO, ONE])])
    assert found is not None
    assert [len(part) for part in found.parts()] == [3, 2]
    assert found.overlap(battles("When?", "Who?", "Where?")).tolist() == [0, 1]


def test_further_prompts_can_be_joined_to_a_union() -> None:
    both = union_hashes([ONE, TWO])
    assert both is not None
    assert both.joined(battles("Which?")).overlap(VOTES).tolist() == [0, 1, 2, 4]


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


def test_rows_without_a_prompt_are_recognised_by_their_answers():
    row = {"prompt": [], "response_a": "One answer.", "response_b": "Another answer."}
    swapped = row | {"response_a": row["response_b"], "response_b": "one  answer"}
    seen = PromptHashes.of(Battles.from_rows([row, {"prompt": "Why?", "response_a": "x", "response_b": "y"}]))
    asked = Battles.from_rows(
        [
            swapped,
            row | {"response_a": "Other."},
            {"prompt": "Why?", **dict.fromkeys(("response_a", "response_b"), "z")},
        ]
    )
    assert seen.overlap(asked).tolist() == [0, 2]
