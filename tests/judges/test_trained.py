"""Test trained judges: folds, calibration, folders and damage."""

import json
import shutil

import numpy as np
import pytest

from votecast.artifacts import write_folder
from votecast.data.battles import Battles
from votecast.errors import ArtifactError, DataError, JudgeError, LeakError
from votecast.judges.load import bundled_names, load_judge
from votecast.judges.out_of_fold import calibration_folds, check_distributions
from votecast.judges.trained import TrainedJudge
from votecast.splits import PromptHashes

SMALL = {"folds.n": 2}


@pytest.fixture(scope="module")
def saved(judge, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges") / "mine"
    judge.save_pretrained(folder)
    return folder


def test_every_row_has_one_out_of_fold_prediction(judge, arena):
    held = judge.fitted.out_of_fold
    assert held.ids == arena[:500].ids
    assert held.content == arena[:500].content_hashes()
    assert sorted(np.unique(held.fold)) == [0, 1]
    assert np.array_equal(held.targets, arena[:500].targets())
    check_distributions(held.raw, "held")


def test_no_prompt_cluster_is_in_two_folds(judge):
    held = judge.fitted.out_of_fold
    for cluster in np.unique(held.clusters):
        assert len(np.unique(held.fold[held.clusters == cluster])) == 1


def test_out_of_fold_rows_survive_the_folder(judge, saved):
    ours, theirs = judge.fitted.out_of_fold, TrainedJudge.from_pretrained(saved).fitted.out_of_fold
    for name in ("rows", "fold", "raw", "targets", "weights", "clusters"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
    assert (ours.ids, ours.content) == (theirs.ids, theirs.content)


def test_the_folder_holds_no_text_of_the_training_data(saved, arena):
    prompts = {turn for battle in arena[:100] for turn in battle.prompt if turn and len(turn) > 30}
    assert prompts
    for file in (path for path in saved.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        assert not any(prompt.encode() in whole for prompt in prompts), file.name


def test_averaging_keeps_one_member_per_fold(arena, judge):
    averaged = TrainedJudge("baseline", SMALL | {"final": "average"}).fit(arena[:500])
    assert len(averaged.fitted.members) == 2
    assert np.array_equal(averaged.fitted.out_of_fold.raw, judge.fitted.out_of_fold.raw)
    assert not np.array_equal(averaged.predict_proba(arena), judge.predict_proba(arena))


def test_held_out_votes_take_the_place_of_folds(arena):
    train, valid = arena.take([i for i in range(600) if i % 3]), arena.take(range(0, 600, 3))
    with pytest.raises(LeakError):
        TrainedJudge("baseline").fit(train, valid=Battles.concat([valid, train[:1]]))
    apart = valid.take(np.setdiff1d(np.arange(len(valid)), PromptHashes.of(train).overlap(valid)))
    judge = TrainedJudge("baseline").fit(train, valid=apart)
    assert judge.fitted.out_of_fold.ids == apart.ids
    assert len(np.unique(calibration_folds(judge.fitted.out_of_fold, 0))) > 1


def test_a_frozen_seed_gives_the_same_hash_and_another_seed_another(arena, judge):
    assert TrainedJudge("baseline", SMALL).fit(arena[:500]).hash == judge.hash
    assert TrainedJudge("baseline", SMALL | {"seed": 1}).fit(arena[:500]).hash != judge.hash


def test_rows_without_votes_and_no_rows_are_refused(arena):
    with pytest.raises(DataError, match="has no vote"):
        TrainedJudge().fit([{"prompt": "x", "response_a": "y", "response_b": "z"}] * 10)
    with pytest.raises(DataError, match="no battles"):
        TrainedJudge().fit(arena[:0])
    weightless = [battle.model_copy(update={"weight": 0.0}) for battle in arena[:50]]
    with pytest.raises(DataError, match="weights of all rows are 0"):
        TrainedJudge().fit(weightless)


def test_an_unfitted_judge_raises():
    with pytest.raises(JudgeError, match="has not been fitted"):
        TrainedJudge().predict_proba([{"prompt": "x", "response_a": "y", "response_b": "z"}])


@pytest.mark.parametrize("row", [[0.5, 0.5, 0.5], [np.nan, 0.5, 0.5], [1.5, -0.5, 0.0], [np.inf, 0, 0]])
def test_invalid_probabilities_raise(row):
    with pytest.raises(JudgeError, match="row 2 of a batch"):
        check_distributions(np.array([[0.2, 0.3, 0.5], row]), "mine")


def test_a_judge_of_an_unknown_family_asks_for_an_upgrade(tmp_path):
    write_folder(tmp_path / "future", {"family": "telepathy"}, lambda folder: None)
    with pytest.raises(ArtifactError, match="'telepathy'.*upgrade"):
        TrainedJudge.from_pretrained(tmp_path / "future")


@pytest.mark.parametrize(
    "change",
    [
        {"family": []},
        {"members": 0},
        {"members": 10**12},
        {"members": "1"},
        {"recipe": {"family": "baseline", "folds": 3}},
        {"calibration": []},
        {"calibration": {"method": "magic"}},
        {"calibration": {"method": "temperature", "temperature": -1}},
        {"facts": None},
        {"notes": 3},
        {"figures": []},
    ],
)
def test_a_well_hashed_folder_with_odd_settings_is_one_clear_error(saved, tmp_path, change):
    config = json.loads((saved / "config.json").read_text()) | change

    def _copied(folder):
        shutil.copytree(saved, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("config.json"))

    write_folder(tmp_path / "odd", config, _copied)
    with pytest.raises(ArtifactError, match=str(tmp_path / "odd")):
        TrainedJudge.from_pretrained(tmp_path / "odd")


def test_a_well_hashed_folder_with_missing_parts_is_damaged(saved, tmp_path):
    config = json.loads((saved / "config.json").read_text())

    def without_calibration(folder):
        for name in config["files"]:
            if "calibration" not in name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(saved / name, folder / name)

    write_folder(tmp_path / "torn", config, without_calibration)
    with pytest.raises(ArtifactError, match="torn is damaged"):
        TrainedJudge.from_pretrained(tmp_path / "torn")


def test_names_of_judges(saved, judge, monkeypatch, tmp_path):
    assert load_judge(saved).hash == judge.hash
    assert "baseline" in bundled_names()
    with pytest.raises(ArtifactError, match="bundled:baseline"):
        load_judge("bundled:nothing")
    with pytest.raises(ArtifactError, match="absent not found; give the path of a judge folder"):
        load_judge(tmp_path / "absent")
    (tmp_path / "config.yaml").write_text(f"default_judge: {saved}\n")
    monkeypatch.setenv("VOTECAST_CONFIG", str(tmp_path / "config.yaml"))
    assert load_judge().hash == judge.hash
