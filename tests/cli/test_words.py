from __future__ import annotations

import pytest

from votecast.cli.options import prepare_words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "x", "--folds.n", "3"], ["train", "x", "--dotted.key=folds.n=3"]),
        (["train", "x", "--folds.n=3"], ["train", "x", "--dotted.key=folds.n=3"]),
        (["train", "x", "--model.rate", "-1.5"], ["train", "x", "--dotted.key=model.rate=-1.5"]),
        (["train", "x", "--folds.group-by", "source"], ["train", "x", "--dotted.key=folds.group-by=source"]),
        (["train", "x", "--folds.n", "--out", "y"], ["train", "x", "--dotted.key=folds.n", "--out", "y"]),
        (["train", "x", "--model.text=a=b"], ["train", "x", "--dotted.key=model.text=a=b"]),
        (["evaluate", "--folds.n", "3"], ["evaluate", "--folds.n", "3"]),
        (["predict", "--input", "-", "--out", "o"], ["predict", "--input=-", "--out", "o"]),
        (["inspect", "-", "--json", "-"], ["inspect", "standard-input:", "--json=-"]),
        (["compare", "--a", "--b", "--b", "- x"], ["compare", "--a=--b", "--b=- x"]),
        (["convert", "-", "x.csv"], ["convert", "standard-input:", "x.csv"]),
        (["compare", "--prompt"], ["compare", "--prompt"]),
        ([], []),
    ],
)
def test_words_that_belong_together_are_joined(words: list[str], expected: list[str]) -> None:
    assert prepare_words(words) == expected
