"""Test the input of each reference system against a plain implementation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.text.battles import battle

from votecast.errors import ConfigError, JudgeError
from votecast.text.encoder import TextEncoder
from votecast.text.settings import TextSettings
from votecast.text.tokenization import FastTokenizer, tiny_tokenizer

SKY = ("Why is the sky blue?", "Because the air scatters blue light.", "The sea is blue, and the sky sees it.")
LONG = ("Why is the sky blue? " * 8, "The air scatters blue light. " * 12, "It is the sea. " * 15)


def ids(tokenizer: FastTokenizer, text: str, *, specials: bool = False) -> list[int]:
    return tokenizer.encode([text], specials=specials)[0]


def pair(tokenizer: FastTokenizer, texts: Any, *, swapped: bool = False, **settings: Any) -> list[int]:
    text = TextEncoder(tokenizer, TextSettings(**settings))
    encoded = text.pairs(text.tokenize(battle(*texts)), swapped=swapped)
    assert encoded.sequences.lengths[0] <= text.settings.max_length
    return encoded.sequences[0].tolist()


def answer(tokenizer: FastTokenizer, texts: Any, side: Any = "a", **settings: Any) -> list[int]:
    text = TextEncoder(tokenizer, TextSettings(**settings))
    encoded = text.answers(text.tokenize(battle(*texts)), side)
    assert encoded.sequences.lengths[0] <= text.settings.max_length
    return encoded.sequences[0].tolist()


def system_1(tokenizer: FastTokenizer, texts: tuple[str, str, str], length: int) -> tuple[list[int], list[int]]:
    """Render the input of system 1 directly."""
    p, a, b = (ids(tokenizer, text) for text in texts)
    room = length - 2
    p = p[: room // 4]
    a = a[: (room - len(p)) // 2]
    b = b[: room - len(p) - len(a)]
    cls, sep = tokenizer.cls_id, tokenizer.sep_id
    tokens = [cls, *p, sep, *a, sep, *b]
    types = [0] * (len(p) + 2) + [1] * (len(a) + 1) + [2] * len(b)
    return tokens[:length], types[:length]  # type: ignore[return-value]


@pytest.mark.parametrize("length", [16, 65, 128, 512])
@pytest.mark.parametrize("texts", [SKY, LONG, ("", "", ""), (LONG[0], "", "x"), ("", LONG[1], ""), ("?", "x", LONG[2])])
def test_system_1(tiny: FastTokenizer, texts: tuple[str, str, str], length: int) -> None:
    text = TextEncoder(tiny, TextSettings(max_length=length))
    tokens = text.tokenize(battle(*texts))
    shown, swapped = text.pairs(tokens), text.pairs(tokens, swapped=True)
    for encoded, order in ((shown, texts), (swapped, (texts[0], texts[2], texts[1]))):
        expected, types = system_1(tiny, order, length)
        assert encoded.sequences.ids.tolist() == expected
        assert encoded.sequences.types is not None
        assert encoded.sequences.types.tolist() == types
    assert shown.cut.full.tolist() == swapped.cut.full.tolist() == [[len(ids(tiny, t)) for t in texts]]
    assert shown.cut.kept.sum() == len(shown.sequences.ids) - 3


def test_system_1_sees_the_cell_as_the_contest_spells_it(tiny: FastTokenizer) -> None:
    prompt = ["Is 1/2 a number?", None, 'A "quoted" 你 \U0001f600']
    cell = r'["Is 1\/2 a number?",null,"A \"quoted\" \u4f60 \ud83d\ude00"]'
    assert json.loads(cell) == prompt
    sequence = pair(tiny, (prompt, ["x"], ["y"]), raw_cell=True)
    assert sequence == [
        tiny.cls_id,
        *ids(tiny, cell),
        tiny.sep_id,
        *ids(tiny, '["x"]'),
        tiny.sep_id,
        *ids(tiny, '["y"]'),
    ]


def test_one_answer_a_sequence(tiny: FastTokenizer) -> None:
    p, a, b = (ids(tiny, text) for text in SKY)
    cls, sep = tiny.cls_id, tiny.sep_id
    assert answer(tiny, SKY) == [cls, *p, sep, *a, sep]
    assert answer(tiny, SKY, "b") == [cls, *p, sep, *b, sep]
    p, a, b = (ids(tiny, text) for text in LONG)
    assert answer(tiny, LONG, max_length=103) == [cls, *p[:25], sep, *a[:75], sep]


def test_turns_are_joined_and_missing_ones_are_empty(tiny: FastTokenizer) -> None:
    sequence = pair(tiny, (["One?", "Two?"], [None, "Second."], ["First."]))
    cls, sep = tiny.cls_id, tiny.sep_id
    a, b = ids(tiny, "Second."), ids(tiny, "First.")
    assert sequence == [cls, *ids(tiny, "One?\n\nTwo?"), sep, *a, sep, *b]
    assert pair(tiny, (["One?", "Two?"], ["x"], ["y"]), joint=" | ")[1:12] == ids(tiny, "One? | Two?")
    assert pair(tiny, (["One?", "Two?"], ["x", "y"], ["z"]), first_turn=True) == pair(tiny, ("One?", "x", "z"))


def tags(p: str, a: str, b: str) -> str:
    return f"<prompt>: {p}\n\n<response_a>: {a}\n\n<response_b>: {b}"


INSTRUCTION = (
    "Which is the better response for the prompt? response_a or response_b or tie? \n'n give score for each lable \n\n "
)


@pytest.mark.parametrize("length", [96, 128, 2048])
@pytest.mark.parametrize("texts", [SKY, LONG])
@pytest.mark.parametrize(("template", "before"), [("tags", ""), ("question", INSTRUCTION)])
def test_systems_3_and_4(
    words: FastTokenizer, texts: tuple[str, str, str], length: int, template: str, before: str
) -> None:
    whole = ids(words, before + tags(*texts), specials=True)
    expected = [words.bos_id, *whole[: length - 2], words.eos_id]
    settings = {"template": template, "cut": "right", "max_length": length}
    assert pair(words, texts, whole=True, **settings) == expected
    if len(expected) < length:
        assert pair(words, texts, **settings) == expected, "turn by turn gives the same where nothing is cut"


def test_systems_3_and_4_join_turns_by_a_space(words: FastTokenizer) -> None:
    turns = (["Why?", "Why is the sea deep?"], ["Because.", None], ["The sea is wide.", "It sings."])
    expected = ids(words, tags("Why? Why is the sea deep?", "Because. ", "The sea is wide. It sings."))
    assert pair(words, turns, template="tags", cut="right", whole=True) == [words.bos_id, *expected, words.eos_id]
    swapped = ids(words, tags("Why? Why is the sea deep?", "The sea is wide. It sings.", "Because."))
    assert pair(words, turns, swapped=True, template="tags", cut="right") == [words.bos_id, *swapped, words.eos_id]


def test_cutting_turn_by_turn_keeps_the_frames(words: FastTokenizer) -> None:
    text = words.tokenizer.decode(pair(words, LONG, template="tags", cut="right", max_length=128)[1:-1])
    assert text.endswith("\n\n<response_b>:")
    text = words.tokenizer.decode(pair(words, LONG, template="tags", cut="left", max_length=128)[1:-1])
    assert text.startswith("<prompt>:\n\n<response_a>:")
    assert text.endswith(LONG[2].rstrip()[-20:] + " ")


def test_whole_texts_can_be_cut_on_the_left(words: FastTokenizer) -> None:
    expected = ids(words, tags(*LONG))[-98:]
    assert pair(words, LONG, template="tags", cut="left", whole=True, max_length=100)[1:-1] == expected


@pytest.mark.parametrize("length", [64, 512])
@pytest.mark.parametrize("texts", [SKY, LONG])
def test_system_5(tiny: FastTokenizer, texts: tuple[str, str, str], length: int) -> None:
    p, a, b = texts
    for side, x in (("a", a), ("b", b)):
        expected = [tiny.cls_id, *ids(tiny, f"Prompt: {p}\n\nResponse: {x}")[: length - 2], tiny.sep_id]
        assert answer(tiny, texts, side, template="labels", cut="right", whole=True, max_length=length) == expected
        if len(expected) < length:
            assert answer(tiny, texts, side, template="labels", cut="right", max_length=length) == expected


def test_system_5_reads_the_first_turn_only(tiny: FastTokenizer) -> None:
    turns = (["One?", "Two?"], ["x", "y"], ["z", "w"])
    settings = {"template": "labels", "cut": "right", "whole": True}
    assert answer(tiny, turns, **settings) == answer(tiny, ("One?", "x", "z"), **settings)
    assert answer(tiny, turns, first_turn=False, **settings) == answer(tiny, ("One? Two?", "x y", "z w"), **settings)


def chatml(*turns: tuple[str, str]) -> str:
    return "".join(f"<|im_start|>user\n{p}<|im_end|>\n<|im_start|>assistant\n{x}<|im_end|>\n" for p, x in turns)


def test_system_2_makes_a_chat_of_each_answer(words: FastTokenizer) -> None:
    turns = (["Why?", "Really?"], ["Because.", "Yes."], ["No idea.", None])
    settings = {"template": "chat", "cut": "drop_turns", "eos": False}
    a = ids(words, chatml(("Why?", "Because."), ("Really?", "Yes.")), specials=True)
    b = ids(words, chatml(("Why?", "No idea."), ("Really?", "")), specials=True)
    assert answer(words, turns, "a", **settings) == [words.bos_id, *a]
    assert answer(words, turns, "b", **settings) == [words.bos_id, *b]


def system_2(prompt: list[str], a: list[str], b: list[str]) -> list[tuple[str, str, str]]:
    turns = list(zip(prompt, a, b, strict=True))
    while turns and sum(len(text) for turn in turns for text in turn) > 7200:
        turns.pop()
    return turns or [(prompt[0][:1000], a[0][:3000], b[0][:3000])]


@pytest.mark.parametrize("lengths", [[(10, 20, 30)], [(100, 3000, 2000), (50, 1000, 1049)], [(100, 3000, 2000)] * 3])
@pytest.mark.parametrize("first", [0, 1400, 8000])
def test_system_2_drops_late_turns_by_characters(
    tiny: FastTokenizer, lengths: list[tuple[int, int, int]], first: int
) -> None:
    lengths = [(lengths[0][0] + first, *lengths[0][1:]), *lengths[1:]]
    prompt, a, b = (["xyz "[i % 4] * turn[i] for turn in lengths] for i in range(3))
    settings = {"template": "chat", "cut": "drop_turns", "characters": (7200, 1000, 3000), "max_length": 9000}
    kept = system_2(prompt, a, b)
    for side, column in (("a", 1), ("b", 2)):
        chat = chatml(*((turn[0], turn[column]) for turn in kept))
        assert answer(tiny, (prompt, a, b), side, **settings) == [tiny.cls_id, *ids(tiny, chat), tiny.sep_id]


def test_a_chat_template_of_the_tokenizer_is_used(words: FastTokenizer) -> None:
    own = FastTokenizer(words.tokenizer)
    own.tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }} {{ strftime_now('%d %b %Y') }}] {{ m.content | trim }} "
        "{% endfor %}"
    )
    try:
        sequence = answer(own, (["Why?", "Sure?"], ["So.", "Yes."], "x"), template="chat", eos=False)
        who = [f"[{role} 26 Jul 2024]" for role in ("user", "assistant")]
        text = f"<s>{who[0]} Why? {who[1]} So. {who[0]} Sure? {who[1]} Yes. "
        assert own.tokenizer.decode(sequence) == text
        own.tokenizer.chat_template = "{{ messages[0].content }}"
        with pytest.raises(JudgeError, match="every turn once and in order"):
            TextEncoder(own, TextSettings(template="chat"))
        own.tokenizer.chat_template = "{{ raise_exception('no system role') }}"
        with pytest.raises(JudgeError, match="no system role"):
            TextEncoder(own, TextSettings(template="chat"))
    finally:
        own.tokenizer.chat_template = None


@pytest.mark.parametrize("whole", [False, True])
def test_both_responses_in_one_user_turn(words: FastTokenizer, whole: bool) -> None:
    own = FastTokenizer(words.tokenizer)
    own.tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
    )
    try:
        sequence = pair(own, SKY, template="tags", cut="right", whole=whole, in_chat=True)
        assert own.tokenizer.decode(sequence) == f"<s>[user] {tags(*SKY)}</s>[assistant] "
        cut = pair(own, LONG, template="tags", cut="balanced", in_chat=True, max_length=90)
        assert own.tokenizer.decode(cut).endswith("</s>[assistant] ")
        own.tokenizer.chat_template = "{{ messages[1].content }}"
        with pytest.raises(JudgeError, match="once and in order"):
            TextEncoder(own, TextSettings(template="tags", cut="right", in_chat=True))
    finally:
        own.tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="has no chat template; set it to false"):
        TextEncoder(own, TextSettings(template="question", cut="right", in_chat=True))


@pytest.mark.parametrize("wrong", [{"template": "chat"}, {"template": "tags", "eos": True}])
def test_in_chat_excludes_one_response_a_sequence_and_end_tokens(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="in_chat"):
        TextSettings.parse({"in_chat": True, "cut": "right"} | wrong)


def test_ends_can_be_left_out(words: FastTokenizer, tiny: FastTokenizer) -> None:
    settings = {"template": "tags", "cut": "right"}
    assert pair(words, SKY, bos=False, eos=False, **settings) == ids(words, tags(*SKY))
    without = tiny_tokenizer(cls_token=None, sep_token=None, eos_token=None)
    with pytest.raises(JudgeError, match=r"text\.bos is true .* no token for the beginning"):
        TextEncoder(without, TextSettings(template="tags", bos=True))
    assert pair(without, SKY, **settings) == ids(tiny, tags(*SKY))


def test_a_template_raises_for_the_other_kind_of_sequence(tiny: FastTokenizer) -> None:
    text = TextEncoder(tiny, TextSettings(template="labels"))
    with pytest.raises(ConfigError, match=r"set text.template to segments, tags or question"):
        text.pairs(text.tokenize(battle(*SKY)))
    text = TextEncoder(tiny, TextSettings(template="tags"))
    with pytest.raises(ConfigError, match=r"set text.template to segments, labels or chat"):
        text.answers(text.tokenize(battle(*SKY)), "a")


def test_a_tokenizer_without_a_separator_raises() -> None:
    with pytest.raises(JudgeError, match=r"no separator \(sep_token\).*tokenizer_config.json"):
        TextEncoder(tiny_tokenizer(sep_token=None), TextSettings())


def test_a_length_without_room_for_texts_raises(tiny: FastTokenizer) -> None:
    with pytest.raises(ConfigError, match="set it to at least"):
        TextEncoder(tiny, TextSettings(template="question", max_length=64))
    with pytest.raises(ConfigError, match="set it to at least"):
        TextEncoder(tiny, TextSettings(template="chat", max_length=64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"whole": True}, "whole goes with template tags"),
        ({"whole": True, "template": "tags", "cut": "balanced"}, "given are template tags and cut balanced"),
        ({"whole": True, "template": "tags", "cut": "right", "raw_cell": True}, "excludes raw_cell"),
        ({"raw_cell": True, "template": "chat"}, "raw_cell reads a column as one text"),
        ({"eos": True}, "special tokens of its own"),
        ({"cut": "rihgt"}, "rihgt"),
        ({"max_length": 4}, "greater than or equal to 16"),
    ],
)
def test_settings_that_contradict_each_other_raise(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TextSettings.parse(settings)
