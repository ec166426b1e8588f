"""Test decoder judges: last token, swap symmetry and initial offset."""

import numpy as np
import pytest
import torch
from tests.tolerances import assert_rounds_to, rounding

from votecast.errors import ConfigError
from votecast.judges.load import load_judge
from votecast.judges.trained import TrainedJudge
from votecast.models.decoder import DecoderModel
from votecast.models.neural.backbone import TINY_DECODERS, Source
from votecast.models.neural.settings import DecoderSettings
from votecast.testing import check_judge
from votecast.text.tokenization import tiny_tokenizer
from votecast.types import swap_columns

FAST = {
    "folds.n": 2,
    "folds.only": 0,
    "model.name": "tiny:llama",
    "model.text.max_length": 96,
    "model.training.learning_rate": 1e-2,
    "model.training.precision": "fp32",
}


def fit(arena, **more):
    return TrainedJudge("decoder", FAST | more).fit(arena[:80])


def small(**more):
    return DecoderSettings.parse({"name": "tiny:llama", "text": {"template": "tags", "max_length": 96}} | more)


@pytest.mark.parametrize("orders", ["both", "either"])
def test_swapping_responses_swaps_a_and_b(orders, arena):
    judge = fit(arena, **{"model.orders": orders})
    shown, swapped = judge.predict_proba(arena[:20]), judge.predict_proba(arena[:20].swapped())
    assert np.abs(shown - swap_columns(swapped)).max() < 2e-6


def test_one_order_alone_depends_on_it(arena):
    judge = fit(arena, **{"model.orders": "shown"})
    shown, swapped = judge.predict_proba(arena[:20]), judge.predict_proba(arena[:20].swapped())
    assert np.abs(shown - swap_columns(swapped)).max() > 1e-4


@pytest.mark.parametrize("kind", TINY_DECODERS)
def test_every_architecture_learns(kind, arena):
    more = {"model.name": f"tiny:{kind}", "model.training.epochs": 8, "model.training.valid_share": 0}
    records = fit(arena, **more).fitted.members[0].records
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[-1] < losses[0]


def test_padding_does_not_change_the_logits(arena):
    """Padding to a longer sequence keeps the logits."""
    model = DecoderModel(small())
    network = model.initial_network().eval()
    torch.nn.init.normal_(network.score.weight)
    part = model.prepare(arena[:6])
    rows = model.encode_battles(part)[0].sequences
    together, alone = rows.padded(np.arange(6), pad_id=0), [rows.padded([i], pad_id=0) for i in range(6)]
    with torch.no_grad():
        wanted = [network.encode(torch.from_numpy(x.ids), torch.from_numpy(x.mask), None) for x in alone]
        found = network.encode(torch.from_numpy(together.ids), torch.from_numpy(together.mask), None)
    assert_rounds_to(found, torch.cat(wanted), rounding(width=32, layers=2))


def test_without_a_step_predictions_are_the_initial_ones(arena):
    """With a zero head the offset is the output."""
    offset = {"family": "baseline", "model": {"trees": {"rounds": 20}}, "folds": 2}
    more = {"model.offset": offset, "model.training.max_steps": 1, "model.training.learning_rate": 1e-12}
    judge = fit(arena, **more, **{"calibration.method": "none"})
    member = judge.fitted.members[0]
    start = member.offset_judge.predict(member.offset_judge.prepare(arena[:30]))
    assert np.abs(judge.predict_proba(arena[:30]) - start).max() < rounding(width=64, layers=2)


def test_an_adapter_on_top_of_the_baseline_keeps_every_promise(arena):
    offset = {"model": {"trees": {"rounds": 20}}, "folds": 2}
    more = {"model.orders": "either", "model.adapter": {"rank": 2, "layers": [1, 1]}, "model.offset": offset}
    check_judge(lambda: TrainedJudge("decoder", FAST | more), arena[:120], order_tolerance=2e-6)


@pytest.mark.parametrize("weights", ["fp32", "bf16"])
def test_a_judge_with_an_adapter_round_trips(weights, arena, tmp_path):
    judge = fit(arena, **{"model.adapter": {"rank": 2}, "model.weights": weights})
    judge.save_pretrained(tmp_path / "judge")
    again = load_judge(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(arena[:20]), judge.predict_proba(arena[:20]))
    assert not list((tmp_path / "judge").rglob("model.safetensors"))


def test_an_encoder_is_not_a_decoder(arena):
    with pytest.raises(ConfigError, match=r"tiny:bert.*no causal language model.*cross_encoder"):
        fit(arena, **{"model.name": "tiny:bert"})


def test_four_bits_cannot_be_trained_themselves(arena):
    with pytest.raises(ConfigError, match=r"weights is nf4.*set adapter"):
        fit(arena, **{"model.weights": "nf4", "model.adapter": None})


def test_layers_stand_in_order():
    with pytest.raises(ConfigError, match=r"layers is \[3, 1\]"):
        small(adapter={"layers": [3, 1]})


def test_the_end_of_a_text_fills_up_where_nothing_else_does(arena, tmp_path):
    tokenizer = tiny_tokenizer(eos_token="[SEP]", pad_token=None)
    Source.of("tiny:llama").load("decoder").save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    judge = fit(arena, **{"model.name": str(tmp_path)})
    assert judge.fitted.members[0].pad_id == tokenizer.eos_id


def test_a_tokenizer_without_an_end_is_refused(arena, tmp_path):
    Source.of("tiny:llama").load("decoder").save_pretrained(tmp_path)
    tiny_tokenizer(sep_token=None, eos_token=None).save(tmp_path)
    with pytest.raises(Exception, match=r"text\.eos is true and the tokenizer has no token for the end of a text"):
        fit(arena, **{"model.name": str(tmp_path), "model.text.eos": True})


@pytest.mark.parametrize("adapter", [None, {"rank": 2, "layers": [1, 1]}])
def test_computing_activations_twice_changes_nothing(adapter, arena):
    more = {"model.adapter": adapter, "model.training.max_steps": 3, "calibration.method": "none"}
    plain, twice = (fit(arena, **more, **{"model.training.gradient_checkpointing": on}) for on in (False, True))
    assert (
        np.abs(plain.predict_proba(arena[:20]) - twice.predict_proba(arena[:20])).max() < 8 * np.finfo(np.float32).eps
    )
