"""Test unusual rows: empty, ragged and very long ones."""

from __future__ import annotations

from typing import Any

import pytest
from tests.text.battles import battle

from votecast.data.battles import Battles
from votecast.text.encoder import TextEncoder
from votecast.text.settings import TextSettings
from votecast.text.tokenization import FastTokenizer

ODD = [
    ([], [], []),
    ([None], [None], [None]),
    ("", "", ""),
    (["a", "b", "c"], ["x"], []),
    ([None, "b"], ["x", None, "z"], ["\U0001f600\U0001f469‍\U0001f680", "你好"]),
    (["q"] * 300, ["x"] * 300, ["y"] * 299),
    ("w" * 20_000, "\U0001f600" * 20_000, " " * 20_000),
]
ALL = [
    *(
        {"template": t, "cut": c}
        for t in ("segments", "tags", "labels", "chat", "question")
        for c in ("balanced", "right")
    ),
    {"cut": "shares"},
    {"cut": "middle"},
    {"cut": "left"},
    {"cut": "shares", "raw_cell": True},
    {"template": "chat", "cut": "drop_turns"},
    {"template": "chat", "cut": "left"},
    {"template": "chat", "cut": "shares"},
    {"template": "chat", "cut": "middle"},
    {"template": "chat", "cut": "drop_turns", "characters": (7200, 1000, 3000)},
    {"template": "tags", "cut": "right", "whole": True},
    {"template": "tags", "cut": "left", "whole": True},
    {"template": "labels", "cut": "right", "whole": True},
]


@pytest.mark.parametrize("settings", ALL, ids=str)
def test_sequences_do_not_depend_on_other_rows(tiny: FastTokenizer, settings: dict[str, Any]) -> None:
    text = TextEncoder(tiny, TextSettings(max_length=400, **settings))
    together = text.tokenize(Battles.concat([battle(*row) for row in ODD]))
    one = settings.get("template") in ("labels", "chat")
    encoded = text.answers(together, "b") if one else text.pairs(together, swapped=True)
    assert len(encoded.sequences) == len(ODD)
    assert encoded.sequences.lengths.max() <= 400
    assert (encoded.cut.kept <= encoded.cut.full).all()
    for number, row in enumerate(ODD):
        alone = text.tokenize(battle(*row))
        found = text.answers(alone, "b") if one else text.pairs(alone, swapped=True)
        assert found.sequences.ids.tolist() == encoded.sequences[number].tolist()
        assert found.cut.kept[0].tolist() == encoded.cut.kept[number].tolist()
        assert found.cut.full[0].tolist() == encoded.cut.full[number].tolist()


def test_no_rows_are_no_sequences(tiny: FastTokenizer) -> None:
    for settings in ALL:
        text = TextEncoder(tiny, TextSettings(max_length=400, **settings))
        tokens = text.tokenize(Battles.from_rows([]))
        one = settings.get("template") in ("labels", "chat")
        assert len((text.answers(tokens, "a") if one else text.pairs(tokens)).sequences) == 0


STORY = "Why is the sky blue? Because the air scatters blue light more than red light, said the sea. "


@pytest.mark.parametrize(
    "settings",
    [
        *({"cut": cut} for cut in ("balanced", "shares", "left", "middle", "right")),
        *({"cut": cut, "whole": True, "template": "tags"} for cut in ("right", "left")),
    ],
    ids=str,
)
def test_the_tokens_kept_of_a_very_long_cell_do_not_depend_on_how_much_is_read(
    words: FastTokenizer, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    words.tokenizer.cls_token, words.tokenizer.sep_token = "<s>", "</s>"
    tokenizer = FastTokenizer(words.tokenizer)
    table = battle("".join(f"{i} {STORY}" for i in range(600)), f"{STORY}\n" * 700, STORY)
    text = TextEncoder(tokenizer, TextSettings(max_length=256, **settings))
    short = text.pairs(text.tokenize(table))
    monkeypatch.setattr("votecast.text.tokenization._FIRST", 10**6)
    full = text.pairs(text.tokenize(table))
    assert short.sequences.ids.tolist() == full.sequences.ids.tolist()
    assert short.cut.kept.tolist() == full.cut.kept.tolist()
    assert (abs(short.cut.full - full.cut.full) <= 0.1 * full.cut.full).all()


class Counting(FastTokenizer):
    read = 0

    def encode(self, texts: Any, *, specials: bool = False) -> list[list[int]]:
        self.read += sum(map(len, texts))
        return super().encode(texts, specials=specials)

    def spans(self, texts: Any, *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        self.read += sum(map(len, texts))
        return super().spans(texts, specials=specials)


@pytest.mark.parametrize("cut", ["balanced", "left", "middle", "shares"])
def test_a_cell_of_ten_megabytes_is_read_in_part(tiny: FastTokenizer, cut: Any) -> None:
    tokenizer = Counting(tiny.tokenizer)
    text = TextEncoder(tokenizer, TextSettings(max_length=128, cut=cut))
    encoded = text.pairs(text.tokenize(battle("?", "blue sky " * 1_200_000, "x" * 10_000_000)))
    assert tokenizer.read < 20_000
    assert encoded.cut.full[0].tolist() == [1, 10_800_000, 10_000_000]
