"""Test judges of scores joined by id, with cross-fitted metrics."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.judges.scored import TRUE, scored_votes

from votecast.calibration.link_fit import fit_link
from votecast.calibration.score_link import DEFAULT_LINK, FIXED_LINK
from votecast.data.battles import Battles
from votecast.data.outputs import write_votes
from votecast.data.outputs.score_files import Scores, ScoreWriter
from votecast.data.reader import read_votes
from votecast.errors import ArtifactError, ConfigError, DataError, LeakError
from votecast.features.style import length_gap
from votecast.judges.link_scores import link, link_judge, match
from votecast.judges.trained import TrainedJudge
from votecast.splits import PromptHashes

SCORES, VOTES = scored_votes(240, prompts=80)
FOR_A = np.flatnonzero(VOTES.targets()[:, 0])


def parts(scores: Scores, rows: Any, **changed: Any) -> Scores:
    kept = np.asarray(rows)
    values = {"ids": [scores.ids[row] for row in kept], "a": scores.a[kept], "b": scores.b[kept]}
    return Scores(**(values | changed))


def test_rows_are_joined_by_id_whatever_their_order() -> None:
    shuffled = np.random.default_rng(0).permutation(240)
    matched = match(parts(SCORES, shuffled), VOTES)
    assert np.array_equal(matched.gap, SCORES.gap)
    assert (matched.unscored, matched.unvoted) == (0, 0)
    judge, joined = link_judge(parts(SCORES, shuffled[:200]), VOTES.take(np.arange(100, 240)))
    assert joined.unscored + len(joined.votes) == 140
    assert joined.unvoted + len(joined.votes) == 200
    assert judge.notes["scores"] == {
        "made_by": None,
        "unscored": joined.unscored,
        "unvoted": joined.unvoted,
        "swapped": 0,
    }


def numbered(battles: Battles, first: int = 0) -> Battles:
    """Return the battles with row numbers for ids."""
    ids = pa.array([str(first + row) for row in range(len(battles))], pa.large_string())
    return Battles(battles.table.set_column(0, "id", ids))


def test_scores_of_other_texts_are_not_joined_by_row_numbers() -> None:
    votes, other = numbered(VOTES[:100]), numbered(VOTES[100:200])
    scores = Scores(votes.ids, SCORES.a[:100], SCORES.b[:100], content=votes.content_hashes())
    assert np.array_equal(match(scores, votes).gap, SCORES.gap[:100])
    with pytest.raises(DataError, match=r"100 of 100 votes have the id of a scored row with other texts.*--trust-ids"):
        match(scores, other)
    mixed = Battles.concat([votes[:99], other[99:]])
    with pytest.raises(DataError, match=r"1 of 100 votes have .* other texts \(first ids: '99'\)"):
        link_judge(scores, mixed)
    assert len(match(scores, mixed, trust_ids=True).votes) == 100


@pytest.mark.parametrize("first", [0, 1])
def test_bare_scores_are_not_joined_by_row_numbers_unless_they_are_trusted(first: int) -> None:
    votes = numbered(VOTES, first)
    scores = Scores(votes.ids, SCORES.a, SCORES.b)
    for known, rows in ((scores, votes), (scores, votes[10:50]), (parts(scores, range(5, 90)), votes)):
        with pytest.raises(DataError, match=r"the ids are row numbers \('.*', .*\) and the scores have no content"):
            match(known, rows)
        assert len(match(known, rows, trust_ids=True).votes) == min(len(known), len(rows))


def test_scores_follow_their_answers_whatever_the_seed(tmp_path: Path) -> None:
    pairs = [
        {"id": f"p{n}", "prompt": f"Question {n}?", "chosen": "Good. " * (n % 7 + 2), "rejected": f"Bad {n % 5}."}
        for n in range(120)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pairs))
    one, other = (read_votes(path, seed=seed) for seed in (0, 1))
    assert one.column("winner") != other.column("winner")
    a, b = (np.array([float(len(text)) for text in one.text(side)]) for side in ("response_a", "response_b"))
    scores = Scores(one.ids, a, b, content=one.content_hashes())
    matched = match(scores, other)
    chosen = np.where(other.targets()[:, 0] == 1, matched.gap, -matched.gap)
    assert (chosen > 0).all()
    assert matched.swapped == int((one.targets()[:, 0] != other.targets()[:, 0]).sum()) > 0
    bare = Scores(one.ids, a, b)
    with pytest.raises(DataError, match=r"the sides of chosen and rejected answers are drawn by the seed.*--trust-ids"):
        match(bare, one)
    assert np.array_equal(match(bare, one, trust_ids=True).gap, a - b)


def test_the_judge_uses_all_votes_and_its_metrics_are_cross_fitted() -> None:
    judge, matched = link_judge(SCORES, VOTES, name="mine")
    found = judge.fitted.members[0].link
    low, high = found.intervals["scale"]
    assert judge.name == "mine"
    assert low < TRUE.parameters["scale"] < high
    held = judge.fitted.out_of_fold
    prompts = np.array([turns[0] for turns in VOTES.column("prompt").to_pylist()])
    assert all(len(set(held.fold[prompts == prompt])) == 1 for prompt in set(prompts))
    for fold in range(5):
        here = held.fold == fold
        other = fit_link(SCORES.gap[~here], VOTES.targets()[~here])
        assert np.array_equal(held.raw[here], other.predict(SCORES.gap[here]))
    assert not np.array_equal(held.raw, found.predict(matched.gap))


def test_the_pipeline_compares_with_unfitted_links_and_saves(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path / "s.csv") as writer:
        writer.add(SCORES.ids, SCORES.a, SCORES.b)
    write_votes(VOTES, tmp_path / "v.jsonl")
    judge = link(tmp_path / "s.csv", tmp_path / "v.jsonl", out=tmp_path / "judge")
    figures = judge.figures
    assert {"prior", "default_link", "fixed_rule"} <= set(figures["baselines"])
    loss = {name: figures["baselines"][name]["log_loss"]["value"] for name in ("prior", "default_link", "fixed_rule")}
    own = figures["metrics"]["log_loss"]["value"]
    assert own < loss["prior"]
    assert loss["fixed_rule"] > 2
    for name, gain in figures["gains"].items():
        assert gain["value"] == pytest.approx(loss[name] - own)
        assert gain["low"] < gain["value"] < gain["high"]
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    assert (again.hash, again.figures) == (judge.hash, figures)
    card = (tmp_path / "judge" / "README.md").read_text()
    assert "link fitted: yes; davidson on 240 votes: scale" in card
    assert "bare numbers; it predicts only rows that bring score_a and score_b" in card
    assert again.notes["link"]["fitted"] is True
    with pytest.raises(ArtifactError, match="already exists"):
        link(tmp_path / "absent.csv", VOTES, out=tmp_path / "judge")
    with pytest.raises(LeakError):
        again.prompt_hashes.check(VOTES)


def test_a_rule_with_nothing_to_fit_is_marked_as_such(tmp_path: Path) -> None:
    judge, _ = link_judge(SCORES, VOTES, method="fixed")
    assert judge.fitted.members[0].link is FIXED_LINK
    assert judge.notes["link"]["fitted"] is False
    judge.save_pretrained(tmp_path / "judge")
    card = (tmp_path / "judge" / "README.md").read_text()
    assert "link fitted: no; fixed" in card
    assert "link not fitted" in card


@pytest.mark.parametrize(
    ("scores", "votes", "options", "error", "message"),
    [
        (
            parts(SCORES, range(5), ids=["1", "2", "3", "4", "5"]),
            VOTES,
            {},
            DataError,
            "no id is in both files.*'1', '2'",
        ),
        (SCORES, Battles.concat([VOTES, VOTES[:1]]), {}, DataError, r"more than once in the votes \(first: 'row 0'\)"),
        (parts(SCORES, range(29)), VOTES, {}, DataError, "29 votes that have scores"),
        (parts(SCORES, range(240), a=SCORES.b), VOTES, {}, DataError, "gap is 0 in all 240 rows"),
        (
            SCORES,
            VOTES.take(np.flatnonzero(VOTES.targets()[:, 0])),
            {},
            DataError,
            "every one of the .* votes is for a",
        ),
        (*scored_votes(60, prompts=1), {}, DataError, "in one fold.*two different prompts"),
        (SCORES, VOTES, {"method": "probit"}, ConfigError, "link: method"),
        (SCORES, VOTES, {"method": "fixed", "length": True}, ConfigError, "no place for the length"),
    ],
)
def test_invalid_scores_raise_one_error(
    scores: Scores, votes: Battles, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        link_judge(scores, votes, **options)


def test_votes_without_labels_are_refused() -> None:
    unlabelled = Battles.from_rows([{"id": "row 0", "prompt": "p", "response_a": "x", "response_b": "y"}])
    with pytest.raises(DataError, match="has no vote"):
        link_judge(SCORES, unlabelled)


def test_a_link_is_never_fitted_on_prompts_that_its_reward_model_was_trained_on() -> None:
    hashes = PromptHashes.of(VOTES[:3])
    trained = Scores(SCORES.ids, SCORES.a, SCORES.b, {"family": "other", "trained_on": hashes.to_dict()})
    with pytest.raises(LeakError, match=r"9 of 240 votes have prompts on which the reward model was trained"):
        link_judge(trained, VOTES)
    with pytest.raises(LeakError):
        link_judge(trained, VOTES, bare=True)
    rest = VOTES.take([row for row in range(240) if row % 80 > 2])
    judge, _ = link_judge(trained, rest)
    assert len(judge.prompt_hashes.overlap(VOTES)) == 240  # those of the link and those of the reward model
    damaged = Scores(SCORES.ids, SCORES.a, SCORES.b, {"trained_on": {"hashes": "x"}})
    with pytest.raises(ArtifactError, match="prompt hashes cannot be read"):
        link_judge(damaged, VOTES)


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="reward models need torch")


@needs_torch
def test_scores_with_a_known_source_become_a_judge_of_texts(tmp_path: Path) -> None:
    from votecast.models.reward.reward_model import RewardModel
    from votecast.models.reward.settings import RewardSettings

    settings = {"name": "tiny:llama", "text": {"max_length": 256}}
    votes = VOTES[:60]
    model = RewardModel(RewardSettings.parse(settings), seed=3)
    a, b = model.answer_scores(model.prepare(votes)).T
    made = model.about_scores()
    judge, matched = link_judge(Scores(votes.ids, a, b, made), votes, length=True)
    assert judge.recipe.family == "reward"
    assert judge.notes["scores"]["made_by"]["model"] == "tiny:llama"
    judge.save_pretrained(tmp_path / "judge")
    again = TrainedJudge.from_pretrained(tmp_path / "judge")
    found = again.fitted.members[0].link
    assert found.fitted and found.has_length
    p = again.predict_proba(votes)
    assert p == pytest.approx(found.predict(matched.gap, length_gap(votes)), abs=1e-5)
    bare, _ = link_judge(Scores(votes.ids, a, b, made), votes, bare=True)
    assert bare.recipe.family == "scores"
    with pytest.raises(ArtifactError, match="weights of SHA-256 f00, and tiny:llama has"):
        link_judge(Scores(votes.ids, a, b, made | {"sha256": "f00"}), votes)
    with pytest.raises(DataError, match="do not record in full what made them"):
        link_judge(Scores(votes.ids, a, b, made | {"settings": {"rank": 3}}), votes)
    gone = {"judge": {"folder": str(tmp_path / "gone"), "name": "mine", "hash": "f00"}}
    with pytest.raises(ArtifactError, match="made by the judge 'mine' in .*gone, which is missing"):
        link_judge(Scores(votes.ids, a, b, made | gone), votes)


@needs_torch
def test_scores_of_a_judge_that_was_trained_here_find_it_again(tmp_path: Path) -> None:
    from votecast.models.reward.reward_model import RewardModel
    from votecast.models.reward.settings import RewardSettings

    votes, other = VOTES[:60], scored_votes(60, seed=1)[1]
    first, _ = link_judge(*_tiny(votes, RewardModel, RewardSettings))
    first.save_pretrained(tmp_path / "first")
    cited = {"folder": str(tmp_path / "first"), "name": first.name, "hash": first.hash}
    member = first.fitted.members[0]
    a, b = member.answer_scores(member.prepare(other)).T
    described = member.about_scores() | {"judge": cited, "trained_on": first.prompt_hashes.to_dict()}
    second, _ = link_judge(Scores(other.ids, a, b, described), other, method="rao_kupper")
    assert second.fitted.members[0].link.method == "rao_kupper"
    assert second.recipe.model.link.method == "rao_kupper"
    second.save_pretrained(tmp_path / "second")
    again = TrainedJudge.from_pretrained(tmp_path / "second")
    assert again.predict_proba(other) == pytest.approx(second.predict_proba(other), abs=1e-9)
    changed = described | {"judge": cited | {"hash": "f00"}}
    with pytest.raises(ArtifactError, match="has the hash"):
        link_judge(Scores(other.ids, a, b, changed), other)


def _tiny(votes: Battles, kind: Any, settings: Any) -> tuple[Scores, Battles]:
    model = kind(settings.parse({"name": "tiny:llama", "text": {"max_length": 256}}), seed=3)
    a, b = model.answer_scores(model.prepare(votes)).T
    return Scores(votes.ids, a, b, model.about_scores()), votes


def test_the_default_link_is_worse_where_scores_have_another_scale() -> None:
    small = Scores(SCORES.ids, SCORES.a / 50, SCORES.b / 50)
    judge = link(small, VOTES)
    gain = judge.figures["gains"]["default_link"]
    assert gain["low"] > 0
    assert judge.figures["baselines"]["default_link"]["log_loss"]["value"] == pytest.approx(
        -float((VOTES.targets() * np.log(DEFAULT_LINK.predict(small.gap))).sum(axis=1).mean())
    )
