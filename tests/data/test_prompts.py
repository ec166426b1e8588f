"""Test normalisation and shingles of prompts."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.data import prompts
from votecast.data.battles import Battles
from votecast.data.prompts import normalise_prompt, normalised_prompts, shingle_sets


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Why is the sky blue?", "why  is the\tsky BLUE"),
        ("Straße", "STRASSE"),
        ("ﬁle № 1", "file no 1"),
        ("ｗｉｄｅ　ｌｅｔｔｅｒｓ", "wide letters"),
        ("soft\u00adhyphen and\u200bzero width", "softhyphen andzero width"),
        ("«Quoted», isn’t it…", "quoted isn't it"),
        ("你好，世界！", "你好 世界"),
        ("nul\x00byte", "nul byte"),
        ("cafe\u0301", "CAFÉ"),
    ],
)
def test_variants_of_one_prompt_are_equal(one: str, other: str) -> None:
    assert normalise_prompt(one) == normalise_prompt(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("C++", "C"), ("1+1", "1=1"), ("resume", "résumé"), ("?", ""), ("...", "!"), ("😀", "😢"), ("5€", "5$")],
)
def test_other_prompts_stay_apart(one: str, other: str) -> None:
    assert normalise_prompt(one) != normalise_prompt(other)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_prompt(text)
    assert normalise_prompt(once) == once
    assert once == " ".join(once.split())


@given(st.text())
def test_case_and_margins_do_not_matter(text: str) -> None:
    assert normalise_prompt(f" \n{text.casefold()}\t") == normalise_prompt(text)


def test_turns_are_joined_and_missing_ones_left_out() -> None:
    row = {"response_a": "", "response_b": ""}
    battles = Battles.from_rows(
        [row | {"prompt": turns} for turns in (["One,", None, "two"], [], [None], ["", " "], ["First.", "Second."])]
    )
    assert normalised_prompts(battles) == ["one two", "", "", "", "first second"]
    assert normalised_prompts(battles, first_turn=True) == ["one", "", "", "", "first"]


def _sets(texts: list[str]) -> list[set[int]]:
    hashes, offsets = shingle_sets(texts)
    return [set(hashes[start:stop].tolist()) for start, stop in pairwise(offsets)]


def _expected(text: str) -> set[tuple[str, ...]]:
    spaced = "".join(f" {c} " if "\u4e00" <= c <= "\u9fff" else c for c in text)
    words = ["<", *spaced.split(), ">"] if spaced.split() else []
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}


@given(st.lists(st.text(alphabet="ab 你好世", max_size=12), max_size=8))
def test_shingles_are_the_runs_of_three_tokens(texts: list[str]) -> None:
    found, expected = _sets(texts), [_expected(text) for text in texts]
    for i in range(len(texts)):
        assert len(found[i]) == len(expected[i])
        for j in range(i):
            assert len(found[i] & found[j]) == len(expected[i] & expected[j])


def test_blocks_do_not_change_the_shingles(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"some words {i} and {i % 7} more" for i in range(50)] + [""]
    whole = shingle_sets(texts)
    monkeypatch.setattr(prompts, "_BLOCK_CHARACTERS", 40)
    parts = shingle_sets(texts)
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])


def test_no_texts_have_no_shingles() -> None:
    hashes, offsets = shingle_sets([])
    assert hashes.tolist() == []
    assert offsets.tolist() == [0]


def test_shingles_are_the_same_in_every_process() -> None:
    code = "from votecast.data.prompts import shingle_sets; print(shingle_sets(['why is the sky blue'])[0].tolist())"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == f"{shingle_sets(['why is the sky blue'])[0].tolist()}\n"
