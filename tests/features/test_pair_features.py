"""Test battle features: values, row independence and swaps."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.data.battles import Battles
from votecast.features import BUCKETS, COLUMNS, PairFeatures, extract
from votecast.features import pair_features as pairs_module

WORDS = st.text(st.characters(codec="utf-8"), max_size=60)
PHRASED = st.lists(
    st.sampled_from(["I can't", "# Sum\n", "- x\n", "2+2=5 ", "世界。", "```\n", "the cat ", "\x00", "😀"]), max_size=8
)
TURNS = st.lists(st.none() | WORDS | PHRASED.map("".join), max_size=3)
ROW = st.fixed_dictionaries({"prompt": TURNS, "response_a": TURNS, "response_b": TURNS})


def features_of(a: str, prompt: str = "Tell me about whales", b: str = "") -> dict[str, float]:
    found = extract(Battles.from_rows([{"prompt": prompt, "response_a": a, "response_b": b}]))
    shared = dict(zip(found.shared_names, found.shared[0].tolist(), strict=True))
    return dict(zip(found.names, found.a[0].tolist(), strict=True)) | shared


def same(one: PairFeatures, two: PairFeatures) -> bool:
    dense = all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("a", "b", "shared", "characters"))
    return dense and (one.terms != two.terms).nnz == 0


@pytest.mark.parametrize(
    ("name", "more", "less"),
    [
        ("bullets", "- a\n- b\n* c", "a - b"),
        ("numbered", "1. a\n12) b", "In 1999. Yes"),
        ("headings", "# Title\n\ntext", "#tag text"),
        ("bold", "**very** good", "5 * 3"),
        ("code_blocks", "```python\nx = 1\n```", "x = 1"),
        ("open_code", "```python\nx = 1", "```\nx\n```"),
        ("inline_code", "use `x`", "```\nuse\n```"),
        ("table_rows", "| a | b |\n|---|---|", "a | b"),
        ("links", "see https://example.org", "see example"),
        ("formulas", r"\(x^2\)", "x squared"),
        ("paragraphs", "one\n\ntwo", "one\ntwo"),
        ("refusal", "I'm sorry, but I can't help", "Happily"),
        ("refusal", "我无法回答", "我回答"),
        ("refusal", "Lo siento, no puedo ayudar", "Claro que sí"),
        ("machine", "As an AI language model", "As a sailor"),
        ("apology", "Unfortunately", "Fortunately"),
        ("is_german", "das ist nicht der Hund", "that is not the dog"),
        ("script_cyrillic", "привет", "hello"),
        ("wrong_sums", "2 + 2 = 5", "2 + 2 = 4"),
        ("right_sums", "12 * 12 = 144", "12 * 12 = 145"),
        ("repeated_sentences", "Go on. Go on. Go on.", "Go on. Stop now. Wait here."),
        ("distinct_words", "all words differ here", "same same same same"),
        ("prompt_words_in", "Whales? Let me tell about them", "Birds can fly"),
        ("on_topic", "Whales swim. Whales sing.", "Whales swim. Birds sing. They fly."),
        ("ends_stopped", "Done.", "Not yet"),
        ("ends_asking", "Shall I?", "I shall."),
        ("ends_in_word", "and then the", "and then."),
        ("long_words", "extraordinary considerations", "a big dog"),
        ("chars", "longer text", "short"),
        ("empty", "", "x"),
        ("same_script", "Whales swim", "鲸鱼"),
    ],
)
def test_each_feature_responds_to_its_property(name: str, more: str, less: str) -> None:
    assert features_of(more)[name] > features_of(less)[name]


def test_answers_are_compared_with_each_other_and_the_prompt() -> None:
    alike = features_of("Whales are large.", b="Whales are large.")
    apart = features_of("Whales are large.", b="No idea")
    assert alike["likeness_words"] == 1 > apart["likeness_words"]
    assert features_of("x", prompt="Write a python function")["prompt_wants_code"] > 0
    assert features_of("", b="")["likeness_words"] == 1


@settings(max_examples=60)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_swapping_the_responses_swaps_their_features(rows: list[dict[str, Any]]) -> None:
    battles = Battles.from_rows(rows)
    one, two = extract(battles), extract(battles.swapped())
    assert np.array_equal(one.a, two.b)
    assert np.array_equal(one.shared, two.shared)
    assert abs(one.terms + two.terms).nnz == 0
    assert np.array_equal(one.characters, -two.characters)
    assert np.isfinite(one.a).all() and np.isfinite(one.shared).all() and np.isfinite(one.terms.data).all()


@settings(max_examples=60)
@given(st.lists(ROW, min_size=2, max_size=5), st.integers(0, 1))
def test_features_of_a_row_depend_only_on_that_row(rows: list[dict[str, Any]], place: int) -> None:
    battles = Battles.from_rows(rows)
    assert same(extract(battles).take([place]), extract(battles[place : place + 1]))


def test_chunks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": f"Q{i}", "response_a": "word " * i, "response_b": "- item\n" * i} for i in range(40)]
    battles = Battles.from_rows(rows)
    whole = extract(battles, threads=1)
    monkeypatch.setattr(pairs_module, "_CHUNK_BYTES", 500)
    assert len(list(pairs_module._chunks(battles))) > 5
    assert same(whole, extract(battles, threads=1))
    assert same(whole, extract(battles, threads=3))


def test_no_rows_give_no_features() -> None:
    found = extract(Battles.from_rows([]))
    assert len(found) == 0
    assert found.terms.shape == (0, COLUMNS)
    assert found.characters.shape == (0, BUCKETS)


def test_a_huge_answer_is_read_within_bounds() -> None:
    found = features_of("Whales! " * 1_300_000)
    assert found["chars"] == pytest.approx(np.log1p(8 * 1_300_000))
    assert np.isfinite(list(found.values())).all()


def test_terms_are_hashed_weighted_and_of_unit_length() -> None:
    found = extract(Battles.from_rows([{"prompt": "", "response_a": "red red green blue", "response_b": ""}]))
    assert found.terms.nnz == 3 + 3
    assert (found.terms.data**2).sum() == pytest.approx(1.0, abs=1e-5)
