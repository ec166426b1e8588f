"""Prompt hashes on their way through JSON, and joined with those of further votes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from votecast.data.battles import Battles
from votecast.errors import ArtifactError
from votecast.splits import PromptHashes


def asked(*prompts: str) -> Battles:
    return Battles.from_rows([{"prompt": prompt, "response_a": "x", "response_b": "y"} for prompt in prompts])


def test_hashes_survive_json() -> None:
    hashes = PromptHashes.of(asked("Why?", "How?", ""))
    again = PromptHashes.from_dict(json.loads(json.dumps(hashes.to_dict())))
    assert np.array_equal(again.hashes, hashes.hashes) and np.array_equal(again.salt, hashes.salt)
    assert again.overlap(asked("who?", "HOW?")).tolist() == [1]


def test_joined_hashes_know_the_prompts_of_both() -> None:
    joined = PromptHashes.of(asked("Why?", "How?")).joined(asked("Who?", "why", ""))
    assert len(joined) == 3
    assert joined.overlap(asked("why?", "How?", "who?", "When?", "")).tolist() == [0, 1, 2]


@pytest.mark.parametrize("values", [{}, {"hashes": "x", "salt": "00"}, {"hashes": "", "salt": "0g"}, {"hashes": 1}, []])
def test_anything_else_is_refused(values: object) -> None:
    with pytest.raises(ArtifactError, match="cannot be read|expected"):
        PromptHashes.from_dict(values)  # type: ignore[arg-type]
