"""A checkpoint of somebody else is refused by arithmetic, runs no code, and names no kernel or base to download."""

import json
from pathlib import Path

import pytest
from transformers import AutoModel, BertConfig

from votecast.artifacts import check_text_files
from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.models.neural.backbone import Source, tiny_config
from votecast.models.neural.config_limits import LIMITS, check_config
from votecast.text.tokenization import load_tokenizer, tiny_tokenizer


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    tokenizer, folder = tiny_tokenizer(), tmp_path / "model"
    AutoModel.from_config(tiny_config("bert", tokenizer)).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def _edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000; allowed is 0 to 1000"),
        ({"hidden_size": -16}, "hidden_size is -16"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"vocab_size": 2 * 10**9}, "vocab_size is 2000000000"),
        ({"max_position_embeddings": 2 * 10**9}, "max_position_embeddings is 2000000000"),
        ({"num_labels": 10**9}, "num_labels is 1000000000"),
        ({"text_config": {"num_layers": 10**9}}, "num_layers is 1000000000"),
        ({"dtype": "os"}, "dtype is 'os'"),
        ({"torch_dtype": {"": "load"}}, "torch_dtype is 'load'"),
    ],
)
def test_an_impossible_network_is_refused_before_it_is_made(checkpoint: Path, changes: dict, message: str) -> None:
    _edit(checkpoint / "config.json", **changes)
    with pytest.raises(ConfigError, match=message):
        Source(str(checkpoint)).load("encoder")


def test_a_network_that_its_weights_cannot_hold_is_refused_before_it_is_filled(checkpoint: Path) -> None:
    _edit(checkpoint / "config.json", vocab_size=2**23)
    with pytest.raises(ConfigError, match=r"vocab_size is 8,388,608 .* bytes"):
        Source(str(checkpoint)).load("encoder")


def test_published_networks_are_within_the_limits() -> None:
    from votecast.models.sizing.network_size import PUBLISHED

    assert len(PUBLISHED) > 5 and len(LIMITS) > 5
    for name, values in PUBLISHED.items():
        check_config(values, name)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "experts_implementation"])
def test_a_kernel_of_a_hub_is_never_asked_for(checkpoint: Path, key: str) -> None:
    _edit(checkpoint / "config.json", **{key: "somebody/kernel"})
    config = Source(str(checkpoint)).config()
    assert isinstance(config, BertConfig)
    assert config._attn_implementation is None
    assert Source(str(checkpoint)).load("encoder").config._attn_implementation in {"sdpa", "eager"}


def test_code_beside_a_checkpoint_is_not_run(checkpoint: Path) -> None:
    (checkpoint / "evil.py").write_text(f"open({str(checkpoint / 'ran')!r}, 'w')")
    _edit(checkpoint / "config.json", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    Source(str(checkpoint)).load("encoder")
    _edit(checkpoint / "config.json", model_type="evil")
    with pytest.raises(ConfigError):
        Source(str(checkpoint)).load("encoder")
    assert not (checkpoint / "ran").exists()


def test_a_base_that_a_judge_names_is_taken_from_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def _found(name: str, file: str, **options: object) -> None:
        asked.append(options["local_files_only"])
        raise OSError("not in the cache")

    monkeypatch.setattr("votecast.models.neural.hub.cached_file", _found)
    with pytest.raises(ConfigError, match="run `hf download somebody/model --revision 0123` and load the judge again"):
        Source.of("somebody/model", "0123", local=True).pinned()
    assert asked == [True]
    assert Source.of("somebody/model", "0123", local=True)._options()["local_files_only"] is True


def test_a_normalizer_that_makes_texts_endless_is_refused(checkpoint: Path) -> None:
    replace = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}] * 3
    _edit(checkpoint / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": replace})
    with pytest.raises(ConfigError, match="makes texts 1,000,000,000 times longer; allowed is 64"):
        load_tokenizer(checkpoint)


def test_a_pattern_that_takes_too_long_is_an_error_of_the_judge(checkpoint: Path) -> None:
    split = {"type": "Split", "pattern": {"Regex": "(a|a)*$|(.*.*.*.*.*)*x"}, "behavior": "Isolated", "invert": False}
    _edit(checkpoint / "tokenizer.json", pre_tokenizer=split)
    with pytest.raises(JudgeError, match="the tokenizer failed on a text"):
        load_tokenizer(checkpoint).encode(["a" * 60 + "b"])


def test_files_that_parsers_read_whole_have_a_limit(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("votecast.artifacts.regular_files.MOST_JSON", 100)
    with pytest.raises(ArtifactError, match="the limit of such files is 100"):
        Source(str(checkpoint)).config()
    (checkpoint / "vocab.txt").symlink_to("/dev/zero")
    with pytest.raises(ArtifactError, match=r"pipe or a device|limit"):
        check_text_files(checkpoint)
