import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.features.characters import texts_of
from votecast.features.lexicon import PHRASES, function_words, phrases_by_size
from votecast.features.words import Sentences, Words, phrase_hashes, sentences_of, words_of


def read(*texts: str) -> tuple[Words, Sentences]:
    column = pa.chunked_array([pa.array([[text] for text in texts], pa.list_(pa.large_string()))])
    laid = texts_of([column], 10_000)
    words = words_of(laid)
    return words, sentences_of(laid, words)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("one", 1), ("Don't stop, 3 times!", 4), ("世界 ok", 3), ("ñandú-ärger", 2), ("...", 0), ("か な", 2)],
)
def test_words_are_counted(text: str, count: int) -> None:
    assert read(text)[0].counts.tolist() == [count]


@given(st.lists(st.sampled_from(["why", "Because", "naïve", "世", "x1"]), max_size=8))
def test_a_word_has_one_hash_wherever_it_stands(picked: list[str]) -> None:
    words = read(" ".join(picked))[0]
    alone = [int(read(word)[0].hashes[0]) for word in picked]
    assert words.hashes.tolist() == alone


def test_hashes_ignore_case_and_tell_words_apart() -> None:
    hashes = read("Hello hello hallo olleh hell")[0].hashes
    assert hashes[0] == hashes[1]
    assert len(np.unique(hashes)) == 4


def test_runs_of_words_stay_within_a_text() -> None:
    words = read("a b c", "d", "e f")[0]
    assert words.grams(2)[1].tolist() == [0, 0, 2]
    assert words.grams(3)[1].tolist() == [0]
    assert words.grams(9)[0].size == 0
    assert words.grams(2)[0][0] == phrase_hashes(("a b",))[2][0]


def test_every_phrase_is_found_by_its_number_of_words() -> None:
    found = {name: sum(hashes[name].size for hashes in (t.hashes for t in phrases_by_size().values()) if name in hashes)
             for name in PHRASES}  # fmt: skip
    assert found == {name: len(set(phrases)) for name, phrases in PHRASES.items()}
    assert (np.diff(function_words().astype(np.float64)) > 0).all()


def test_sentences_end_at_marks_and_line_breaks() -> None:
    words, sentences = read("One two. Three!\nFour", "五六。七", "")
    assert sentences.counts(3).tolist() == [3, 2, 0]
    assert sentences.of_word.size == words.hashes.size


def test_a_sentence_that_repeats_the_one_before_is_marked() -> None:
    _, sentences = read("Say it. Say it! It say. Say it.", "Say it.")
    assert sentences.repeated().tolist() == [False, True, False, False, False]


def test_sentences_that_hold_a_marked_word() -> None:
    words, sentences = read("The cat sat. The dog ran.")
    cat = words.hashes == read("cat")[0].hashes[0]
    assert sentences.holding(cat).tolist() == [True, False]
    assert sentences.share(sentences.holding(cat), 1).tolist() == [0.5]


def test_texts_without_words_have_no_sentences() -> None:
    _, sentences = read("", "?!")
    assert sentences.counts(2).tolist() == [0, 0]
    assert sentences.repeated().size == 0
