"""Test the learning rate schedule of the Keras siamese encoder."""

import xml.etree.ElementTree as ET

import pytest

from votecast.cli import main
from votecast.errors import ArtifactError, ConfigError
from votecast.judges.recipe import load_recipe
from votecast.models.keras_siamese.learning_rate import learning_rate, plot_schedule
from votecast.models.keras_siamese.settings import KerasSiameseSettings, LearningSettings


def rates(epochs, **schedule):
    settings = LearningSettings(epochs=epochs, schedule=schedule)
    return [round(learning_rate(settings, epoch) * 1e6, 3) for epoch in range(epochs + 1)]


def test_the_rate_rises_over_two_epochs_to_the_peak_of_the_batch_size():
    assert rates(5)[:3] == [1.0, 5.3, 9.6]
    assert learning_rate(LearningSettings(batch_size=32), 2) == pytest.approx(19.2e-6)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 10])
def test_the_cosine_ends_at_the_floor_however_many_epochs_are_run(epochs):
    found = rates(epochs)
    assert found[-1] == 1.0
    assert learning_rate(LearningSettings(epochs=epochs), LearningSettings(epochs=epochs).rising) == pytest.approx(
        9.6e-6
    )


def test_exponential_decay_nears_the_floor_and_steps_have_none():
    exponential = [1 + 8.6 * 0.8**n for n in range(5)]
    assert rates(6, decay="exponential")[2:] == pytest.approx(exponential, abs=1e-3)
    assert rates(7, decay="step", floor=9e-6)[2:] == pytest.approx([9.6, 9.6, 7.68, 7.68, 6.144, 6.144], abs=1e-3)


def test_a_rate_set_once_an_epoch_holds_through_it():
    settings = LearningSettings(epochs=4, schedule={"update": "epoch"})
    assert learning_rate(settings, 1.99) == learning_rate(settings, 1)
    assert learning_rate(LearningSettings(epochs=4), 1.99) > learning_rate(settings, 1.99)


def test_the_shipped_recipe_has_the_numbers_of_the_system():
    settings = load_recipe("siamese_keras").model
    assert isinstance(settings, KerasSiameseSettings)
    training, schedule = settings.training, settings.training.schedule
    assert (training.epochs, training.batch_size, training.label_smoothing) == (3, 16, 0.02)
    assert (schedule.start, training.peak, schedule.floor) == pytest.approx((1e-6, 9.6e-6, 1e-6))
    assert (schedule.warmup_epochs, schedule.factor, schedule.step_epochs) == (2, 0.8, 2)
    assert (settings.backend, settings.text.template, settings.text.max_length) == ("jax", "labels", 512)


def test_the_picture_is_the_same_file_every_time_and_shows_all_three_decays(tmp_path):
    pytest.importorskip("matplotlib")
    settings = LearningSettings(epochs=4)
    for name in ("one.svg", "two.svg"):
        plot_schedule(settings, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    words = "".join(ET.fromstring((tmp_path / "one.svg").read_text("utf-8")).itertext())
    assert all(word in words for word in ("cosine", "exponential", "step", "epochs done", "learning rate"))
    with pytest.raises(ArtifactError, match="already exists"):
        plot_schedule(settings, tmp_path / "one.svg")


def test_the_command_line_draws_a_recipe_under_overrides(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "rate.svg"
    assert main(["recipes", "siamese_keras", "--plot", str(out), "--model.training.epochs", "10"]) == 0
    assert "over 10 epochs" in out.read_text("utf-8")
    assert str(out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["baseline", "--plot", "rate.svg"], "no learning rate to draw"),
        (["--plot", "rate.svg"], "need a recipe"),
        (["siamese_keras", "--plot", "rate.jpg"], "allowed endings are .svg, .png, .pdf"),
    ],
)
def test_what_cannot_be_drawn_is_one_clear_error(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", *words]) != 0
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_settings_out_of_range_are_named():
    with pytest.raises(ConfigError, match=r"backend.*schedule\.factor"):
        KerasSiameseSettings.parse({"training": {"schedule": {"factor": 2}}, "backend": "mxnet"})
