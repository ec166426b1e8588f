"""Test the Keras siamese encoder on JAX: training, predictions, folders."""

import json
import logging
import math
import re
from importlib.util import find_spec

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.tolerances import after_training, rounding

from votecast.data.battles import Battles
from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.judges.train import train
from votecast.models.keras_siamese import KerasSiameseModel, KerasSiameseSettings, keras_backbone
from votecast.models.keras_siamese.keras_network import KerasNetwork, KerasPadding
from votecast.models.keras_siamese.learning_rate import learning_rate
from votecast.types import Run

ROUNDING = rounding(width=64, layers=2)
"""Of the tiny backbone: sums of up to 64 products in two layers, in fp32."""
pytestmark = pytest.mark.skipif(not (find_spec("keras_hub") and find_spec("jax")), reason="needs the extra keras")

ODD = [
    {"prompt": "", "response_a": "", "response_b": ""},
    {"prompt": "Same?", "response_a": "Yes.", "response_b": "Yes."},
    {"prompt": ["Hi", None], "response_a": ["Hello", None], "response_b": ["\U0001f600\x00", "�"]},
    {"prompt": "1+1=3", "response_a": "x" * 9_000, "response_b": []},
]


@pytest.fixture(scope="module", autouse=True)
def _quick_compiler():
    """Lower XLA's optimisation, which takes most of the time."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def settings(**changes):
    training = {"epochs": 2, "schedule": {"peak_per_row": 3e-4}} | changes.pop("training", {})
    text = {"template": "labels", "cut": "balanced", "max_length": 48}
    return KerasSiameseSettings(name="tiny:bert", widths=1, text=text, training=training, **changes)


def fitted(battles, changed=None, *, run=None, seed=1, weights=None, targets=None):
    model = KerasSiameseModel(changed or settings(), seed=seed)
    targets = battles.targets() if targets is None else targets
    weights = battles.weights() if weights is None else weights
    return model.fit(model.prepare(battles), targets, weights, run=run or Run())


@pytest.fixture(scope="module")
def battles(arena):
    return arena[:80]


@pytest.fixture(scope="module")
def model(battles):
    return fitted(battles)


def prediction(model, battles):
    return model.predict(model.prepare(battles))


def test_swapping_responses_swaps_the_columns_exactly(model, battles):
    battles = Battles.concat([battles, Battles.from_rows(ODD)])
    p = prediction(model, battles)
    assert np.array_equal(prediction(model, battles.swapped())[:, [1, 0, 2]], p)
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p > 0).all()
    assert p[81, 0] == p[81, 1]
    assert not model.order_matters


def test_one_order_on_request(model, battles):
    shown = KerasSiameseModel(settings(orders="shown"), seed=1)
    shown._backbone, shown._weights = model._backbone, model._weights
    p, q = prediction(shown, battles), prediction(shown, battles.swapped())[:, [1, 0, 2]]
    assert shown.order_matters
    assert not np.allclose(p, q)
    both = (p + q) / 2
    assert np.allclose(both / both.sum(axis=1, keepdims=True), prediction(model, battles), rtol=0, atol=1e-12)


def test_a_row_does_not_see_the_others(model, battles):
    few = Battles.concat([battles[:4], Battles.from_rows(ODD)])
    p = prediction(model, few)
    alone = np.concatenate([prediction(model, few[i : i + 1]) for i in range(len(few))])
    assert np.abs(alone - p).max() < ROUNDING
    assert prediction(model, few[:0]).shape == (0, 3)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(model, battles):
    again, other = fitted(battles), fitted(battles, seed=2)
    assert all(np.array_equal(again._weights[name], array) for name, array in model._weights.items())
    assert again.records == model.records
    assert not np.array_equal(other._weights["head/kernel"], model._weights["head/kernel"])


def test_saving_and_loading_keeps_every_bit(model, battles, tmp_path):
    model.save(tmp_path)
    again = KerasSiameseModel.load(tmp_path, settings(), seed=1)
    assert np.array_equal(prediction(again, battles), prediction(model, battles))
    assert again.records == model.records
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".json", ".jsonl", ".safetensors"}
    assert "head/kernel" in load_file(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("name", ["weights.safetensors", "backbone.json", "metrics.jsonl"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_files_are_one_clear_error(model, tmp_path, name, damage):
    model.save(tmp_path)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:30]) if damage == "cut" else file.unlink()
    with pytest.raises(ArtifactError, match="damaged"):
        KerasSiameseModel.load(tmp_path, settings())


def test_weights_of_another_network_and_descriptions_of_objects_are_refused(model, tmp_path):
    model.save(tmp_path)
    weights = load_file(tmp_path / "weights.safetensors")
    save_file(weights | {"head/kernel": np.zeros((2, 3), np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(ArtifactError, match="head/kernel do not belong"):
        KerasSiameseModel.load(tmp_path, settings())
    described = json.loads((tmp_path / "backbone.json").read_text("utf-8"))
    described["config"]["dtype"] = {"class_name": "Lambda", "config": {}}
    (tmp_path / "backbone.json").write_text(json.dumps(described), "utf-8")
    with pytest.raises(ArtifactError, match="plain numbers and words"):
        KerasSiameseModel.load(tmp_path, settings())


def test_it_learns_soft_labels_by_their_weights(battles):
    n = len(battles)
    targets, weights = np.eye(3)[np.arange(n) % 2 * 2], np.where(np.arange(n) % 2, 9.0, 1.0)
    training = {"epochs": 6, "valid_share": 0, "schedule": {"peak_per_row": 2e-3, "warmup_epochs": 1}}
    weighted = prediction(fitted(battles, settings(training=training), targets=targets, weights=weights), battles)
    assert weighted[:, 2].mean() == pytest.approx(0.9, abs=0.08)
    soft = prediction(fitted(battles, settings(training=training), targets=np.tile([0.2, 0.2, 0.6], (n, 1))), battles)
    assert soft[:, 2].mean() == pytest.approx(0.6, abs=0.05)


@pytest.fixture
def notebook(monkeypatch):
    """Register a tracker of accelerate, and return what it logs by run."""
    tracking = pytest.importorskip("accelerate.tracking")
    pages = {}

    class Notebook(tracking.GeneralTracker):
        name, requires_logging_directory, tracker = "notebook", False, None

        def __init__(self, run_name):
            super().__init__()
            self.page = pages[run_name] = []

        def store_init_configuration(self, values):
            assert values["batch_size"] == 16

        def log(self, values, step):
            self.page.append({"step": step, **values})

    monkeypatch.setattr(tracking, "LOGGER_TYPE_TO_CLASS", dict(tracking.LOGGER_TYPE_TO_CLASS))
    tracking.register_tracker_class(Notebook)
    return pages


def test_the_metrics_name_steps_rates_and_the_log_loss_that_chose_the_weights(battles, tmp_path, notebook, caplog):
    caplog.set_level(logging.DEBUG, "votecast")
    changed = settings(training={"report_to": "notebook"})
    model = fitted(battles, changed, run=Run(tmp_path, name=("judge", "fold_0")))
    assert model.report_to == ("notebook",)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert records == model.records
    assert notebook == {"judge/fold_0": records}
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert re.search(r"BertBackbone on jax, computing in float32: [\d,]+ parameters, .* trained \(100.0%\)", said[0])
    assert any("head (Dense)" in record.getMessage() for record in caplog.records)  # the table of Keras
    judged = [record for record in records if "log_loss" in record]
    assert [record["epoch"] for record in judged] == [1, 2]
    assert all(0 <= record["accuracy"] <= 1 for record in judged)
    rates = [record["learning_rate"] for record in records if "learning_rate" in record]
    assert len(rates) == 2
    assert all(1e-6 < rate < 3e-4 * 16 for rate in rates)


def test_the_average_over_positions_depends_on_the_padding_and_the_other_does_not(battles):
    frame = KerasPadding(48, 12, 0, always_longest=True, has_segments=False)
    assert [frame.width(n) for n in (1, 13, 48)] == [48, 48, 48]
    masked, positions = (fitted(battles[:40], settings(pooling=pooling)) for pooling in ("masked", "positions"))
    long = settings(pooling="positions").model_copy(
        update={"text": settings().text.model_copy(update={"max_length": 64})}
    )
    short = Battles.from_rows([{"prompt": "a", "response_a": "b", "response_b": "c"}])
    for model, same in ((masked, True), (positions, False)):
        other = KerasSiameseModel(long.model_copy(update={"pooling": model.settings.pooling}), seed=1)
        other._backbone, other._weights = model._backbone, model._weights
        assert np.allclose(prediction(other, short), prediction(model, short), rtol=0, atol=ROUNDING) is same


def test_members_average_their_weights(model, battles):
    mean = KerasSiameseModel.averaged([model, fitted(battles, seed=2)])
    assert np.isfinite(prediction(mean, battles[:3])).all()
    assert [record["member"] for record in mean.records if "log_loss" in record][-1] == 1
    twice = KerasSiameseModel.averaged([model, model])
    assert np.array_equal(prediction(twice, battles[:9]), prediction(model, battles[:9]))


def test_a_loss_that_is_not_finite_names_the_step_and_the_rows(battles):
    changed = settings(training={"valid_share": 0, "schedule": {"peak_per_row": 1e30}})
    with pytest.raises(JudgeError, match=r"the loss of step \d+ is (nan|inf).*rows \d+, .*counted from 0"):
        fitted(battles, changed)


def test_labels_and_weights_that_are_no_numbers_name_their_rows(battles):
    weights, targets = battles.weights().copy(), battles.targets().copy()
    weights[7], targets[[3, 5]] = np.inf, np.nan
    with pytest.raises(JudgeError, match=r"row 7 cannot be trained on: the first weight is inf"):
        fitted(battles, weights=weights)
    with pytest.raises(JudgeError, match=r"rows 3, 5 cannot be trained on: the first label is \[nan, nan, nan\]"):
        fitted(battles, targets=targets)


@pytest.mark.parametrize(("n", "weight"), [(0, 1.0), (3, 0.0)])
def test_nothing_to_learn_from_is_refused(battles, n, weight):
    with pytest.raises(JudgeError, match="at least one row"):
        fitted(battles[:n], weights=np.full(n, weight))


def test_before_the_first_fit_there_is_nothing(battles, tmp_path):
    model = KerasSiameseModel(settings())
    with pytest.raises(JudgeError, match="cannot predict"):
        prediction(model, battles[:1])
    with pytest.raises(JudgeError, match="cannot save"):
        model.save(tmp_path)


def test_a_second_backend_in_one_process_is_one_clear_error(battles):
    with pytest.raises(ConfigError, match=r"model\.backend is torch.*already runs on jax.*fresh process"):
        fitted(battles[:10], settings(backend="torch"))


def test_several_launched_processes_are_refused_before_any_vote_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"one process, and a launcher has started 2; start votecast without"):
        train("siamese_keras", tmp_path / "no such file.csv", small=True, out=tmp_path / "judge")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "tiny:gpt"}, "no small backbone 'tiny:gpt'"),
        ({"name": "./nothing/here"}, "there is no such folder"),
        (
            {"text": {"template": "labels", "cut": "right", "max_length": 600}},
            "600, and the backbone has 512 positions",
        ),
    ],
)
def test_invalid_networks_raise_one_error(battles, changes, message):
    changed = KerasSiameseSettings(**({"name": "tiny:bert"} | changes))
    with pytest.raises(ConfigError, match=message):
        fitted(battles[:10], changed)


def test_half_precision_trains_with_a_scaled_loss(battles):
    model = fitted(battles[:40], settings(precision="mixed_float16", training={"epochs": 1}))
    assert all(array.dtype == np.float32 for array in model._weights.values())
    assert all(math.isfinite(record.get("loss", 0)) for record in model.records)
    assert np.isfinite(prediction(model, battles[:5])).all()


def without_dropout(network):
    for layer in network._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    return network


def plain_keras(network, padding, battles, smoothing):
    """Return the model of the Keras example with the weights of a network, and the arrays it is fitted on."""
    import keras

    names = sorted(network.inputs)
    inputs = [{name: keras.Input((48,), dtype="int32") for name in names} for _ in "ab"]
    backbone = without_dropout(network.backbone.build("float32"))
    reader = keras.Model(backbone.input, backbone.output["sequence_output"])
    weights = network.weights()
    reader.set_weights([array for name, array in weights.items() if not name.startswith("head/")])
    mean = keras.layers.GlobalAveragePooling1D()
    pooled = [mean(reader(given), mask=given["padding_mask"]) for given in inputs]
    head = keras.layers.Dense(3)
    model = keras.Model(inputs, head(keras.layers.Concatenate()(pooled)))
    head.set_weights([weights["head/kernel"], weights["head/bias"]])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    model.compile(optimizer=keras.optimizers.Adam(), loss=loss)
    return model, [padding.fill(part, len(battles)) for part in (battles.a, battles.b)]


def test_every_step_is_that_of_plain_keras(battles, monkeypatch):
    monkeypatch.setitem(keras_backbone._TINY_SHAPE, "num_layers", 1)  # less to compile
    training = {"epochs": 4, "orders": "shown", "valid_share": 0, "label_smoothing": 0.03}
    model = KerasSiameseModel(settings(training=training), seed=1)
    # one step an epoch, of 11 rows and not of 16: Keras takes their mean, and here 5 rows of no weight are added
    prepared, targets = model.prepare(battles[:11]), battles[:11].targets()
    learning, network = model.settings.training, model._network_to_train()
    monkeypatch.setattr(model, "_network_to_train", lambda: network)  # built once
    without_dropout(network._trained)
    plain, (a, b) = plain_keras(network, model._padding(network), prepared, 0.03)
    losses, step = [], KerasNetwork.step
    monkeypatch.setattr(KerasNetwork, "step", lambda *given: losses.append(step(*given)) or losses[-1])
    model.fit(prepared, targets, np.ones(11))
    found = []
    for epoch in range(4):
        plain.optimizer.learning_rate = learning_rate(learning, epoch)
        found += plain.fit([a, b], targets, batch_size=16, shuffle=False, verbose=0).history["loss"]
    assert losses == pytest.approx(found, abs=1e-5)
    assert max(losses) - min(losses) > 1e-3
    moved = after_training(steps=4, learning_rate=learning.peak)
    np.testing.assert_allclose(model._weights["head/kernel"], plain.layers[-1].kernel.value, rtol=0, atol=moved)
