import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from votecast.features.characters import read_texts
from votecast.features.lexicon import PHRASES, count_phrases, function_words
from votecast.features.words import Sentences, Words, find_sentences, find_words, is_among


def read(*texts: str) -> tuple[Words, Sentences]:
    column = pa.chunked_array([pa.array([[text] for text in texts], pa.list_(pa.large_string()))])
    laid = read_texts([column], 10_000)
    words = find_words(laid)
    return words, find_sentences(laid, words)


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


def test_hashes_ignore_case_and_distinguish_words() -> None:
    hashes = read("Hello hello hallo olleh hell")[0].hashes
    assert hashes[0] == hashes[1]
    assert len(np.unique(hashes)) == 4


def test_lines_with_text_are_hashed_from_their_first_visible_character_on() -> None:
    words = read("- one\n\n  - one\n- two", "", "- one")[0]
    assert words.line_owner.tolist() == [0, 0, 0, 2]
    assert words.line_hashes[0] == words.line_hashes[1] == words.line_hashes[3] != words.line_hashes[2]
    assert ["".join(map(chr, opening)) for opening in words.openings] == ["- on", "- on", "- tw", "- on"]


def test_runs_of_words_stay_within_a_text() -> None:
    words = read("a b c", "d", "e f")[0]
    assert words.grams(2)[1].tolist() == [0, 0, 2]
    assert words.grams(3)[1].tolist() == [0]
    assert words.grams(9)[0].size == 0
    assert words.grams(2)[0][0] == read("a b")[0].grams(2)[0][0]


def test_every_phrase_counts_for_its_list() -> None:
    phrases = [(number, phrase) for number, own in enumerate(PHRASES.values()) for phrase in own]
    counts = count_phrases(read(*(phrase for _, phrase in phrases))[0], len(phrases))
    assert all(counts[number, place] >= 1 for place, (number, _) in enumerate(phrases))
    refusals = count_phrases(read("I cannot. I can’t!", "Icannot", "")[0], 3)[list(PHRASES).index("refusal")]
    assert refusals.tolist() == [2, 0, 0]


def test_function_words_are_those_of_languages_and_of_lists_without_a_topic() -> None:
    assert (np.diff(function_words().astype(np.float64)) > 0).all()
    words = read("the und because whale kill")[0]
    assert is_among(words.hashes, function_words()).tolist() == [True, True, True, False, False]


def test_sentences_end_at_marks_and_line_breaks() -> None:
    words, sentences = read("One two. Three!\nFour", "五六。七", "")
    assert sentences.counts.tolist() == [3, 2, 0]
    assert sentences.of_word.size == words.hashes.size


def test_a_sentence_has_one_hash_wherever_it_stands() -> None:
    hashes = read("Say it. Say it! It say. Say it.", "Say it.")[1].hashes
    assert hashes[0] == hashes[1] == hashes[3] == hashes[4] != hashes[2]


def test_shares_of_sentences() -> None:
    _, sentences = read("The cat sat. The dog ran.", "")
    assert sentences.share(np.array([True, False])).tolist() == [0.5, 0.0]


def test_texts_without_words_have_no_sentences() -> None:
    _, sentences = read("", "?!")
    assert sentences.counts.tolist() == [0, 0]
    assert sentences.hashes.size == 0
