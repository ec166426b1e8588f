"""Test which tokens stay when a battle is truncated."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.text.battles import battle

from votecast.data.battles import Battles
from votecast.text.encoder import Encoded, TextEncoder
from votecast.text.settings import TextSettings
from votecast.text.tokenization import tiny_tokenizer
from votecast.text.truncation import TruncationReport

TINY = tiny_tokenizer()
CUTS = ("shares", "balanced", "drop_turns", "right", "left", "middle")
TEMPLATES = ("segments", "tags", "labels", "chat")

LENGTHS = st.one_of(st.integers(0, 5), st.integers(0, 120), st.sampled_from([900, 3000]))
TURNS = st.lists(st.none() | LENGTHS.map(lambda n: ("abc " * n)[:n]), max_size=4)
BATTLES = st.lists(st.tuples(TURNS, TURNS, TURNS), min_size=1, max_size=4)
BUDGETS = st.sampled_from([16, 40, 100, 333])


def battles(rows: Any) -> Battles:
    return Battles.from_rows([{"prompt": p, "response_a": a, "response_b": b} for p, a, b in rows])


def swapped(rows: Any) -> Battles:
    return battles([(p, b, a) for p, a, b in rows])


def everything(text: TextEncoder, table: Battles) -> list[Encoded]:
    tokens = text.tokenize(table)
    if text.settings.template in ("labels", "chat"):
        return [text.answers(tokens, "a"), text.answers(tokens, "b")]
    pairs = [text.pairs(tokens), text.pairs(tokens, swapped=True)]
    return pairs if text.settings.template == "tags" else [*pairs, text.answers(tokens, "a"), text.answers(tokens, "b")]


@settings(max_examples=60)
@given(BATTLES, BUDGETS, st.sampled_from(CUTS), st.sampled_from(TEMPLATES), st.integers(8, 90))
def test_no_sequence_is_longer_than_allowed_and_the_report_counts_every_token(
    rows: Any, budget: int, cut: Any, template: Any, floor: int
) -> None:
    budget += {"segments": 0, "labels": 30, "tags": 60, "chat": 300}[template]
    text = TextEncoder(TINY, TextSettings(template=template, cut=cut, max_length=budget, floor=floor))
    for encoded in everything(text, battles(rows)):
        assert len(encoded.sequences) == len(rows)
        assert (encoded.sequences.lengths <= budget).all()
        assert (encoded.cut.kept <= encoded.cut.full).all()
        assert (encoded.cut.kept >= 0).all()
        if template == "segments" and cut != "middle":
            assert (encoded.sequences.lengths - encoded.cut.kept.sum(axis=1) == 3).all()


@settings(max_examples=40)
@given(BATTLES, st.sampled_from(CUTS), st.sampled_from(TEMPLATES))
def test_battles_that_fit_are_not_truncated(rows: Any, cut: Any, template: Any) -> None:
    cut = "balanced" if cut == "shares" else cut
    text = TextEncoder(TINY, TextSettings(template=template, cut=cut, max_length=50_000))
    for encoded in everything(text, battles(rows)):
        assert encoded.cut.rows_cut == 0
        assert (encoded.cut.kept == encoded.cut.full).all()


@settings(max_examples=60)
@given(BATTLES, BUDGETS, st.sampled_from(["balanced", "middle"]), st.integers(8, 90))
def test_balanced_truncation_does_not_depend_on_the_order_of_the_responses(
    rows: Any, budget: int, cut: Any, floor: int
) -> None:
    text = TextEncoder(TINY, TextSettings(cut=cut, max_length=budget, floor=floor))
    shown, other = text.pairs(text.tokenize(battles(rows))), text.pairs(text.tokenize(swapped(rows)), swapped=True)
    assert shown.sequences.types is not None
    assert other.sequences.types is not None
    assert (shown.cut.kept == other.cut.kept[:, [0, 2, 1]]).all()
    assert shown.sequences.ids.tolist() == other.sequences.ids.tolist()
    back = text.pairs(text.tokenize(battles(rows)), swapped=True)
    for row in range(len(rows)):
        types = [0, 2, 1]
        for part in range(3):
            mine = _part(shown, row, part)
            theirs = _part(back, row, types[part])
            assert mine == theirs


def _part(encoded: Encoded, row: int, kind: int) -> list[int]:
    ids = encoded.sequences.take([row])
    assert ids.types is not None
    return [i for i, t in zip(ids.ids.tolist(), ids.types.tolist(), strict=True) if t == kind and i > 4]


@settings(max_examples=150)
@given(BATTLES, BUDGETS, st.sampled_from(["balanced", "middle", "shares"]), st.integers(8, 90), st.floats(0.05, 0.9))
def test_a_response_with_text_keeps_some_of_it(rows: Any, budget: int, cut: Any, floor: int, share: float) -> None:
    text = TextEncoder(TINY, TextSettings(cut=cut, max_length=budget, floor=floor, prompt_share=share))
    tokens = text.tokenize(battles(rows))
    for encoded in (text.pairs(tokens), text.pairs(tokens, swapped=True)):
        answers = encoded.cut.full[:, 1:] > 0
        if cut != "shares" or budget * (1 - share) > 8:
            assert (encoded.cut.kept[:, 1:][answers] > 0).all()
    for side, column in (("a", 1), ("b", 2)):
        cut_ = text.answers(tokens, side).cut  # type: ignore[arg-type]
        if cut != "shares" or budget * (1 - share) > 8:
            assert (cut_.kept[cut_.full[:, column] > 0, column] > 0).all()


def test_a_response_in_a_late_turn_is_kept() -> None:
    rows = [(["a" * 200] * 30, [*[None] * 29, "late"], ["b" * 200] * 30)]
    for template, budget in (("segments", 64), ("segments", 300)):
        text = TextEncoder(TINY, TextSettings(template=template, cut="balanced", max_length=budget))
        kept = text.pairs(text.tokenize(battles(rows))).cut.kept[0]
        assert kept[1] == 4
        assert kept[2] > 0
    text = TextEncoder(TINY, TextSettings(template="chat", cut="balanced", max_length=400))
    tokens = text.tokenize(battles(rows))
    assert text.answers(tokens, "a").cut.kept[0, 1] == 4
    assert text.answers(tokens, "b").cut.kept[0, 2] > 0


def kept(cut: Any, texts: Any, length: int, **more: Any) -> list[int]:
    text = TextEncoder(TINY, TextSettings(cut=cut, max_length=length + 3, **more))
    found: list[int] = text.pairs(text.tokenize(battle(*texts))).cut.kept[0].tolist()
    return found


def test_balanced_shares_out_20_40_40_and_uses_what_a_part_does_not_need() -> None:
    assert kept("balanced", ("p" * 900, "a" * 900, "b" * 900), 500) == [100, 200, 200]
    assert kept("balanced", ("p" * 40, "a" * 900, "b" * 900), 500) == [40, 230, 230]
    assert kept("balanced", ("p" * 900, "a" * 900, "b" * 20), 320) == [100, 200, 20]
    assert kept("balanced", ("p" * 40, "a" * 900, "b" * 20), 500) == [40, 440, 20]
    assert kept("balanced", ("p" * 900, "a" * 30, "b" * 20), 500) == [450, 30, 20]


def test_balanced_shares_out_among_turns_and_drops_those_below_the_floor() -> None:
    long = ["x" * 300] * 3
    assert kept("balanced", (long, long, long), 300, joint="") == [60, 120, 120]
    text = TextEncoder(TINY, TextSettings(cut="balanced", max_length=203, joint="", template="segments"))
    table = battle(["p" * 300, "q" * 300, "r" * 300], ["a" * 300] * 3, ["b" * 300] * 3)
    shown = TINY.tokenizer.decode(text.pairs(text.tokenize(table)).sequences[0])
    assert "p" * 20 + "q" * 20 in shown
    assert "r" not in shown
    short = kept("balanced", (["p" * 900, "?"], ["a" * 900, "no"], ["b" * 900, "yes"]), 300, joint="", floor=80)
    assert sum(short) >= 299


def test_right_and_left_cut_the_ends_of_the_whole() -> None:
    assert kept("right", ("p" * 50, "a" * 100, "b" * 100), 100) == [50, 50, 0]
    assert kept("left", ("p" * 50, "a" * 100, "b" * 100), 150) == [0, 50, 100]
    text = TextEncoder(TINY, TextSettings(cut="left", max_length=16))
    shown = text.pairs(text.tokenize(battle("abcdef", "ghijkl", "0123456789"))).sequences[0]
    assert TINY.tokenizer.decode(shown) == "[CLS][SEP]jkl[SEP]0123456789"


def test_late_turns_are_dropped_equally_for_both_responses() -> None:
    turns = (["p" * 20] * 4, ["a" * 30] * 4, ["b" * 80] * 4)
    text = TextEncoder(TINY, TextSettings(template="chat", cut="drop_turns", max_length=500))
    tokens = text.tokenize(battle(*turns))
    a, b = text.answers(tokens, "a").cut.kept[0], text.answers(tokens, "b").cut.kept[0]
    assert a.tolist() == [60, 90, 0]
    assert b.tolist() == [60, 0, 240]
    assert kept("drop_turns", (["p" * 20] * 4, ["a" * 30] * 4, ["b" * 50] * 4), 250, joint="") == [40, 60, 100]
    assert kept("drop_turns", ("p" * 2000, "a" * 5000, "b" * 5000), 700) == [100, 300, 300]


def test_a_mark_in_the_middle_counts_the_missing_characters() -> None:
    answer = "".join(f"{i:03d}" for i in range(200))
    text = TextEncoder(TINY, TextSettings(cut="middle", max_length=203))
    encoded = text.pairs(text.tokenize(battle("?", answer, "yes")))
    shown = TINY.tokenizer.decode(encoded.sequences[0])
    found = re.fullmatch(r"\[CLS\]\?\[SEP\](\d+) \(… (\d+) characters\) (\d+)\[SEP\]yes", shown)
    assert found is not None
    head, number, tail = found.groups()
    assert len(encoded.sequences[0]) == 203
    assert len(head) + int(number) + len(tail) == 600
    assert answer.startswith(head)
    assert answer.endswith(tail)
    assert abs(len(head) - len(tail)) <= 1
    assert encoded.cut.kept.tolist() == [[1, len(head) + len(tail), 3]]


def test_a_mark_needs_room_for_itself_and_both_ends() -> None:
    text = TextEncoder(TINY, TextSettings(cut="middle", max_length=40))
    encoded = text.pairs(text.tokenize(battle("p" * 99, "a" * 99, "b" * 99)))
    assert TINY.tokenizer.decode(encoded.sequences[0]) == f"[CLS]{'p' * 9}[SEP]{'a' * 14}[SEP]{'b' * 14}"


def test_the_mark_of_a_very_long_response_counts_characters_that_were_not_read() -> None:
    answer = "start " + "x" * 300_000 + " end"
    text = TextEncoder(TINY, TextSettings(cut="middle", max_length=103))
    encoded = text.pairs(text.tokenize(battle("?", answer, "yes")))
    shown = TINY.tokenizer.decode(encoded.sequences[0])
    found = re.search(r"\](start x+) \(… (\d+) characters\) (x+ end)\[", shown)
    assert found is not None
    assert len(found[1]) + int(found[2]) + len(found[3]) == len(answer)
    assert encoded.cut.full[0, 1] == len(answer)


def test_reports_of_two_files_become_one() -> None:
    text = TextEncoder(TINY, TextSettings(cut="balanced", max_length=16))
    tokens = text.tokenize(battles([("p", "a" * 50, "b"), ("p", "a", "b")]))
    cut = text.pairs(tokens).cut
    assert cut.rows_cut == 1
    both = TruncationReport.concat([cut, cut.take([1])])
    assert len(both) == 3
    assert both.to_dict() == {"rows": 3, "rows_cut": 1, "kept": {"prompt": 1.0, "a": 0.25, "b": 1.0}}
    assert TruncationReport.concat([]).to_dict() == {
        "rows": 0,
        "rows_cut": 0,
        "kept": {"prompt": 1.0, "a": 1.0, "b": 1.0},
    }
    sides = TruncationReport.of_answers(text.answers(tokens, "a").cut, text.answers(tokens, "b").cut)
    assert sides.full.tolist() == cut.full.tolist()
    assert sides.kept.tolist() == [[1, 12, 1], [1, 1, 1]]


def test_encodings_do_not_depend_on_other_rows() -> None:
    rows = [(["p" * n, "q"], ["a" * 3 * n, None], ["b" * n]) for n in (1, 40, 5, 200)]
    for cut in CUTS:
        text = TextEncoder(TINY, TextSettings(cut=cut, max_length=60))
        tokens = text.tokenize(battles(rows))
        whole, part = text.pairs(tokens), text.pairs(tokens.take([3, 1]))
        assert part.sequences.ids.tolist() == whole.sequences.take([3, 1]).ids.tolist()
        assert np.array_equal(part.cut.kept, whole.cut.take([3, 1]).kept)
