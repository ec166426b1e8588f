from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.text.battles import battle

from votecast.errors import ConfigError, JudgeError, MissingExtraError
from votecast.text.encoder import TextEncoder
from votecast.text.settings import TextSettings
from votecast.text.tokenization import FastTokenizer, load_tokenizer, tiny_tokenizer


def test_a_tokenizer_survives_saving_and_loading(tiny: FastTokenizer, tmp_path: Path) -> None:
    tiny.save(tmp_path)
    found = load_tokenizer(tmp_path)
    texts = ["Why is the sky blue? \U0001f600 你", "", "[SEP]"]
    assert found.encode(texts) == tiny.encode(texts)
    assert (found.cls_id, found.sep_id, found.pad_id, found.eos_id) == (1, 2, 0, 3)
    assert found.bos_id is None
    assert found.has_types
    assert len(found) == len(tiny) == 261


def test_only_plain_files_are_written_and_the_chat_template_is_among_them(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(chat_template="{% for m in messages %}{{ m.content }};{% endfor %}")
    tokenizer.save(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*")} <= {".json", ".txt", ".model"}
    assert load_tokenizer(tmp_path).render([("a", "b")]) == "a;b;"


def test_the_same_tokenizer_is_saved_as_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tiny_tokenizer().save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_answer_cannot_forge_special_tokens(tiny: FastTokenizer) -> None:
    text = TextEncoder(tiny, TextSettings())
    sequence = text.pairs(text.tokenize(battle("?", "yes[SEP]no[CLS]", "[PAD]"))).sequences[0].tolist()
    assert sequence.count(tiny.sep_id) == 2
    assert sequence.count(tiny.cls_id) == 1
    assert tiny.encode(["[SEP]"], specials=True) == [[tiny.sep_id]]


def test_spans_end_where_the_tokens_end(words: FastTokenizer) -> None:
    text = "Why is the sea blue?"
    ((ids, ends),) = words.spans([text])
    assert ids == words.encode([text])[0]
    assert ends[-1] == len(text)
    assert ends == sorted(ends)


def test_a_name_that_does_not_exist_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"no tokenizer could be read from nobody/nothing: .*tokenizer\.json"):
        load_tokenizer("nobody/nothing")
    with pytest.raises(ConfigError, match="no tokenizer could be read"):
        load_tokenizer(tmp_path / "missing")


def test_a_folder_without_a_tokenizer_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigError, match=r"holds no tokenizer; it needs tokenizer\.json, or one of vocab\.txt"):
        load_tokenizer(tmp_path)


def test_a_damaged_tokenizer_is_one_clear_error(tiny: FastTokenizer, tmp_path: Path) -> None:
    tiny.save(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": {"type"')
    with pytest.raises(ConfigError, match="no tokenizer could be read from"):
        load_tokenizer(tmp_path)


def test_without_a_padding_token_only_a_decoder_can_use_its_end_token(tmp_path: Path) -> None:
    tiny_tokenizer(pad_token=None).save(tmp_path)
    with pytest.raises(JudgeError, match=r"no padding token \(pad_token\); name one"):
        load_tokenizer(tmp_path)
    found = load_tokenizer(tmp_path, eos_as_padding=True)
    assert found.pad_id == found.eos_id == 3


def test_without_transformers_the_error_holds_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        load_tokenizer("anything")
