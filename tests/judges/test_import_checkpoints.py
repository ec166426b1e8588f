"""Test external checkpoints: same predictions, clear errors, unchanged files."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.judges.checkpoints import checkpoint
from tests.tolerances import assert_rounds_to, rounding
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.reader import read_votes
from votecast.data.simulation import simulate
from votecast.data.simulation.arena import write_simulation
from votecast.errors import ArtifactError, ConfigError, DataError, JudgeError, VotecastError
from votecast.judges.evaluate import evaluate_out_of_fold
from votecast.judges.import_checkpoints import calibrate, check_apart, checked_labels, import_judge
from votecast.judges.train import train
from votecast.judges.trained import TrainedJudge
from votecast.models.neural.backbone import TINY_ENCODERS
from votecast.models.neural.classifier_checkpoint import read_classifier
from votecast.types import CLASSES

SHORT = {"model.text.max_length": 64}


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Save three folds in three layouts."""
    place = tmp_path_factory.mktemp("folds")
    layouts = ("safetensors", "shards", "bin")
    return [checkpoint(place / f"fold_{n}" / "best_model", seed=n, layout=layout) for n, layout in enumerate(layouts)]


@pytest.fixture(scope="module")
def battles() -> Battles:
    return Battles.concat([part for part, _ in simulate(rows=40, seed=5)])


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def as_system_1(folder: Path, rows: list[dict[str, str]], length: int = 512) -> np.ndarray:
    """Predict like the notebook of system 1, padded and in one order."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    out = []
    for row in rows:
        p, a, b = (
            tokenizer(row[name], add_special_tokens=False)["input_ids"]
            for name in ("prompt", "response_a", "response_b")
        )
        budget = length - 2
        p = p[: budget // 4]
        a = a[: (budget - len(p)) // 2]
        b = b[: budget - len(p) - len(a)]
        ids = [tokenizer.cls_token_id, *p, tokenizer.sep_token_id, *a, tokenizer.sep_token_id, *b][:length]
        mask = [1] * len(ids) + [0] * (length - len(ids))
        ids += [tokenizer.pad_token_id] * (length - len(ids))
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask])).logits[0]
        out.append(torch.softmax(logits.double(), dim=0).numpy())
    return np.stack(out)


def test_raw_cells_in_the_shown_order_match_system_1(folds: list[Path], tmp_path: Path) -> None:
    write_simulation(tmp_path / "votes.csv", rows=8, seed=2)
    with (tmp_path / "votes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert any("\\" in row["response_a"] for row in rows)
    judge = import_judge(folds, settings={"model.text.raw_cell": True, "model.orders": "shown"})
    battles = read_votes(tmp_path / "votes.csv")
    expected = [as_system_1(folder, rows) for folder in folds]
    for member, each in zip(judge.fitted.members, expected, strict=True):
        assert np.abs(np.log(member.predict(member.prepare(battles))) - np.log(each)).max() < 1e-5
    assert np.abs(judge.predict_proba(battles) - np.mean(expected, axis=0)).max() < 1e-5
    assert np.ptp(expected[0], axis=0).max() > 1e-3


def as_folds_of_system_1(place: Path, sources: list[Path]) -> Path:
    """Lay checkpoints out as system 1: `fold_N/best_model` without a tokenizer, and `fold_N/tokenizer`."""
    for n, source in enumerate(sources):
        shutil.copytree(source, place / f"fold_{n}" / "best_model", ignore=shutil.ignore_patterns("tokenizer*"))
        shutil.copytree(source, place / f"fold_{n}" / "tokenizer", ignore=shutil.ignore_patterns("*.safetensors*"))
        (place / f"fold_{n}" / "tokenizer" / "config.json").unlink()
    (place / "parameters.json").write_text("{}")
    return place


def test_the_layout_of_system_1_is_found(folds: list[Path], tmp_path: Path, battles: Battles) -> None:
    place = as_folds_of_system_1(tmp_path / "models", folds[:2])
    expected = import_judge(folds[:2], settings=SHORT).predict_proba(battles)
    for given in ([place], [place / "fold_0", place / "fold_1" / "best_model"]):
        judge = import_judge(given, settings=SHORT)
        assert np.array_equal(judge.predict_proba(battles), expected)
        members = judge.notes["imported"]["members"]
        assert [each["folder"] for each in members] == ["fold_0/best_model", "fold_1/best_model"]
    shutil.rmtree(place / "fold_1" / "tokenizer")
    with pytest.raises(ArtifactError, match=r"fold_1/best_model has no tokenizer.*pass --tokenizer with its folder"):
        import_judge([place], settings=SHORT)
    judge = import_judge([place], settings=SHORT, tokenizer=str(place / "fold_0" / "tokenizer"))
    assert np.array_equal(judge.predict_proba(battles), expected)
    shutil.rmtree(place / "fold_1" / "best_model")
    with pytest.raises(ArtifactError, match=r"fold_1 has no config.json"):
        import_judge([place], settings=SHORT)


def test_heads_of_two_outputs_keep_their_odds_and_ties_come_from_a_link(tmp_path: Path, battles: Battles) -> None:
    names = {0: "model_b", 1: "model_a"}
    folders = [checkpoint(tmp_path / f"fold_{n}", seed=n, outputs=2, names=names) for n in range(2)]
    judge = import_judge(folders, settings={"model.text.max_length": 512, "model.orders": "shown"})
    rows = [{name: battles[n].model_dump()[name][0] for name in TEXT_COLUMNS} for n in range(4)]
    expected = np.mean([as_system_1(folder, rows)[:, ::-1] for folder in folders], axis=0)
    found = judge.predict_proba(Battles.from_rows(rows))
    assert np.abs(found[:, :2] - expected).max() < 1e-5
    assert found[:, 2].max() < 1e-13
    judge = import_judge(folders, settings=SHORT)
    judge.save_pretrained(tmp_path / "judge")
    raw = judge.predict_proba(battles)
    assert np.array_equal(TrainedJudge.from_pretrained(tmp_path / "judge").predict_proba(battles), raw)
    linked = calibrate(judge, battles)
    assert linked.recipe.calibration.method == "tie_link"
    share = float(battles.targets()[:, 2].mean())
    assert linked.predict_proba(battles)[:, 2].mean() == pytest.approx(share, abs=0.02)
    decided = battles.take(np.flatnonzero(battles.targets()[:, 2] == 0))
    assert calibrate(judge, decided).recipe.calibration.method == "temperature"
    with pytest.raises(DataError, match=r"model.ties is false, and \d+ votes are ties"):
        TrainedJudge("cross_encoder", {"model.name": "tiny:bert", "model.ties": False}).fit(battles)
    three = checkpoint(tmp_path / "three")
    with pytest.raises(ArtifactError, match="another architecture"):
        import_judge([folders[0], three], settings=SHORT)


def test_both_orders_are_averaged_by_default(folds: list[Path], battles: Battles) -> None:
    both, shown = (import_judge(folds[:1], settings=SHORT | {"model.orders": o}) for o in ("both", "shown"))
    swapped = [1, 0, 2]
    one, two = shown.predict_proba(battles), shown.predict_proba(battles.swapped())[:, swapped]
    assert np.abs(one - two).max() > 1e-4
    assert np.abs(both.predict_proba(battles) - (one + two) / 2).max() < 1e-6


@pytest.mark.parametrize("kind", TINY_ENCODERS)
def test_outputs_are_put_into_one_order_in_every_architecture(kind: str, tmp_path: Path) -> None:
    order = ("tie", "a", "b")
    folder = checkpoint(tmp_path / "it", kind=kind, names=None)
    before = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = read_classifier(folder, order)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = before(ids).logits[:, [order.index(name) for name in CLASSES]]
        assert_rounds_to(found.model(ids).logits, expected, rounding(width=64, layers=2))
    assert len({round(float(value), 3) for value in expected[0]}) == 3
    assert found.model.config.id2label == {0: "a", 1: "b", 2: "tie"}


def test_labels_override_the_output_names_of_the_config(
    tmp_path: Path, battles: Battles, caplog: pytest.LogCaptureFixture
) -> None:
    plain = checkpoint(tmp_path / "plain", names=None)
    named = checkpoint(tmp_path / "named", names={0: "Model_B", 1: "model_a", 2: "tie"})
    with pytest.raises(ConfigError, match="'LABEL_0', 'LABEL_1', 'LABEL_2'.*--labels a,b,tie"):
        import_judge([plain])
    message = import_judge([named], settings=SHORT).predict_proba(battles)
    assert np.array_equal(
        message, import_judge([plain], labels=["b", "a", "tie"], settings=SHORT).predict_proba(battles)
    )
    assert not caplog.records
    given = import_judge([named], labels=["a", "b", "tie"], settings=SHORT)
    assert np.array_equal(
        given.predict_proba(battles), import_judge([plain], labels=CLASSES, settings=SHORT).predict_proba(battles)
    )
    assert "the given labels win" in caplog.text


@pytest.mark.parametrize("labels", [["a", "tie"], ["a", "b", "c"], ["a", "a", "tie"], [""]])
def test_labels_are_a_b_and_tie_each_once(labels: list[str]) -> None:
    with pytest.raises(ConfigError, match=f"labels is '{','.join(labels)}'; allowed are a, b and tie, each once"):
        checked_labels(labels)


def test_nothing_is_changed_and_the_same_folders_give_the_same_judge(folds: list[Path], tmp_path: Path) -> None:
    before = [contents(folder) for folder in folds]
    for name in ("one", "two"):
        import_judge(folds, settings=SHORT).save_pretrained(tmp_path / name)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert [contents(folder) for folder in folds] == before
    assert not list((tmp_path / "one").rglob("*.bin"))


def test_a_saved_judge_records_its_source_and_unknowns(folds: list[Path], tmp_path: Path, battles: Battles) -> None:
    judge = import_judge(folds, name="old", settings=SHORT)
    judge.save_pretrained(tmp_path / "judge")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(battles), judge.predict_proba(battles))
    assert (again.prompt_hashes, len(again.fitted.out_of_fold), again.fitted.calibrator.method) == (None, 0, "none")
    members = again.notes["imported"]["members"]
    assert [member["folder"] for member in members] == [f"fold_{n}/best_model" for n in range(3)]
    digest = hashlib.sha256((folds[0] / "model.safetensors").read_bytes()).hexdigest()
    assert members[0]["sha256"] == {"model.safetensors": digest}
    card = (tmp_path / "judge" / "README.md").read_text()
    for message in ("# old", "trained elsewhere", digest, "no leak check is possible", "calibration: none", "3 models"):
        assert message in card
    assert "trained on all rows" not in card
    with pytest.raises(ConfigError, match="trained elsewhere and has no folds"):
        train("baseline", battles, folds_from=tmp_path / "judge")


def test_a_member_of_a_judge_is_a_checkpoint_and_the_judge_is_not(
    folds: list[Path], tmp_path: Path, battles: Battles
) -> None:
    import_judge(folds[2:], settings=SHORT).save_pretrained(tmp_path / "judge")
    again = import_judge([tmp_path / "judge" / "members" / "0"], settings=SHORT)
    assert np.array_equal(again.predict_proba(battles), import_judge(folds[2:], settings=SHORT).predict_proba(battles))
    with pytest.raises(ArtifactError, match="a judge of votecast already.*members/0"):
        import_judge([tmp_path / "judge"])


def test_votes_calibrate_and_measure_an_imported_judge(folds: list[Path], tmp_path: Path, battles: Battles) -> None:
    raw = import_judge(folds[:1], settings=SHORT)
    made = calibrate(raw, battles, "temperature")
    figures = evaluate_out_of_fold(made, battles, draws=20).to_dict()
    made.record(figures=figures)
    made.save_pretrained(tmp_path / "judge")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert np.array_equal(again.predict_proba(battles), made.predict_proba(battles))
    assert not np.array_equal(again.predict_proba(battles), raw.predict_proba(battles))
    assert np.array_equal(again.fitted.out_of_fold.raw, raw.predict_proba(battles))
    assert again.prompt_hashes is None
    card = (tmp_path / "judge" / "README.md").read_text()
    assert "temperature, fitted on the 40 votes given at the import" in card
    assert "if they were, the figures flatter" in " ".join(card.split())
    with pytest.raises(JudgeError, match="calibrated already"):
        calibrate(made, battles)
    with pytest.raises(ConfigError, match="no votes to fit it on"):
        import_judge(folds, settings={"calibration.method": "isotonic"})


class Shell:
    """A payload that unsafe loading would run."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def without(name: str) -> Callable[[Path], None]:
    def _break(folder: Path) -> None:
        for path in folder.glob(name):
            path.unlink()

    return _break


def torn(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:200]) and None


def stored(value: Callable[[Path], Any]) -> Callable[[Path], None]:
    def _break(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save(value(folder), folder / "pytorch_model.bin")

    return _break


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    return lambda folder: save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def indexed(*names: str) -> Callable[[Path], None]:
    def _break(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        index = {"weight_map": {str(place): name for place, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return _break


def configured(**values: Any) -> Callable[[Path], None]:
    def _break(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | values))

    return _break


def adapter_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text("{}")


BROKEN = {
    "no folder": (shutil.rmtree, "is not a folder; give folders with config.json"),
    "no config": (without("config.json"), "has no config.json"),
    "a torn config": (torn("config.json"), "cannot be loaded"),
    "no weights": (without("model.safetensors"), "holds no weights; allowed are model.safetensors"),
    "no tokenizer": (without("tokenizer*"), "has no tokenizer; allowed are tokenizer.json"),
    "settings of a tokenizer only": (without("tokenizer.json"), "has no tokenizer; allowed are tokenizer.json"),
    "torn weights": (torn("model.safetensors"), "model.safetensors is damaged"),
    "code among the weights": (stored(lambda folder: {"x": Shell(folder / "ran")}), "holds more than tensors"),
    "a whole training state": (stored(lambda _: {"model": {"x": torch.ones(1)}}), "something else than named tensors"),
    "an empty file of weights": (
        lambda folder: stored(lambda _: {})(folder) or (folder / "pytorch_model.bin").write_bytes(b""),
        "pytorch_model.bin is damaged",
    ),
    "a shard that is absent": (indexed("model-1.safetensors"), "lacks model-1.safetensors, 1 of 1 files"),
    "a shard elsewhere": (indexed("../model.safetensors"), "names ../model.safetensors, and weights are"),
    "an index of nothing": (indexed(), "names no files"),
    "no classifier": (
        weights(lambda found: {name: value for name, value in found.items() if "classifier" not in name}),
        r"2 weights are missing \(classifier.bias, classifier.weight\) and would be random",
    ),
    "names of another program": (
        weights(lambda found: {f"module.{name}": value for name, value in found.items()}),
        "weights are missing .* and would be random",
    ),
    "another shape": (
        weights(lambda found: found | {"classifier.weight": torch.zeros(3, 8)}),
        "the weights do not fit config.json",
    ),
    "no numbers": (
        weights(lambda found: found | {"classifier.bias": torch.full((3,), torch.nan)}),
        "predicted .nan, nan, nan. for row 1",
    ),
    "an unknown type": (configured(model_type="unheard-of"), "cannot be loaded"),
    "a model of pictures": (configured(model_type="vit"), "no sequence classifier of the type 'vit'"),
    "an adapter": (adapter_only, "an adapter only; merge it"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_cannot_be_read_is_one_clear_error(fault: str, folds: list[Path], tmp_path: Path) -> None:
    harm, message = BROKEN[fault]
    folder = Path(shutil.copytree(folds[0], tmp_path / "fold"))
    harm(folder)
    with pytest.raises(VotecastError, match=message) as error:
        import_judge([folder], labels=CLASSES)
    assert str(folder) in str(error.value)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"outputs": 2}, "has 2 outputs, and --labels names a, b, tie"),
        ({"sep_token": None}, "has no separator"),
        ({"cls_token": None}, "has no classification token"),
        ({"pad_token": None}, "has no padding token"),
        ({"kind": "bert", "config": {"max_position_embeddings": 40}}, "max_length is 64, and .* has 40 positions"),
        ({"config": {"vocab_size": 100}}, "the tokenizer has 261 tokens and the model 100"),
    ],
)
def test_a_model_that_cannot_be_a_judge_is_one_clear_error(made: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "fold", **made)
    with pytest.raises(VotecastError, match=message) as error:
        import_judge([folder], labels=CLASSES, settings=SHORT)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"kind": "bert"}, "another architecture .BertForSequenceClassification.* than"),
        ({"config": {"num_hidden_layers": 1}}, "another architecture"),
        ({"sep_token": "[EOS]"}, "has another tokenizer"),
        ({"seed": 0}, "hold the same weights; name each fold once"),
    ],
)
def test_folds_that_do_not_belong_together_are_refused(
    other: dict[str, Any], message: str, folds: list[Path], tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / "other", **({"seed": 9} | other))
    with pytest.raises(ArtifactError, match=message):
        import_judge([folds[0], folder], settings=SHORT)


def test_an_output_never_covers_a_checkpoint(tmp_path: Path) -> None:
    for out in ("folds", "folds/0", "folds/0/judge", "folds/../folds/0"):
        with pytest.raises(ArtifactError, match="would change the checkpoint .*; name another output"):
            check_apart(tmp_path / out, [tmp_path / "folds" / "0"])
    check_apart(tmp_path / "judge", [tmp_path / "folds" / "0"])


def test_no_folder_and_an_adapter_are_wrong_use(folds: list[Path]) -> None:
    with pytest.raises(ConfigError, match="no folder is given"):
        import_judge([])
    with pytest.raises(ConfigError, match=r"model\.adapter is set"):
        import_judge(folds, settings={"model.adapter.rank": 4})
