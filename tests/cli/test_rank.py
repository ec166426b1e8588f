"""Test votecast rank: leaderboards from votes, predictions and both."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evalica
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tests.judges.scored import scored_votes
from tests.leaderboard.votes import SIZES, bare_file, file_of, round_robin, sized_votes, without_votes

from votecast.cli import main
from votecast.data import Battles, read_votes
from votecast.data.outputs.score_files import ScoreWriter

GOLDEN = Path(__file__).parents[1] / "leaderboard" / "golden.csv"
COLUMNS = [
    *("rank", "model", "score", "low", "high", "rank_low", "rank_high"),
    *("battles", "wins", "ties", "losses", "win_rate", "expected_win_rate"),
]


@pytest.fixture(autouse=True)
def _errors_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOTECAST_DEBUG", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return votes, swapped votes, unlabelled pairs and a trained judge."""
    folder = tmp_path_factory.mktemp("rank")
    votes, fresh = sized_votes(600), sized_votes(600, seed=1)
    file_of(votes, folder / "votes.csv")
    file_of(votes.swapped(), folder / "swapped.csv")
    file_of(without_votes(fresh), folder / "pairs.jsonl")
    file_of(fresh, folder / "fresh.csv")
    words = ["train", "baseline", "--train", folder / "votes.csv", "--out", folder / "judge", "--folds.n", "2"]
    assert main([*map(str, words), "--model.trees.rounds", "5"]) == 0
    return folder


def board(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ranked(votecast: Callable, *words: Any) -> Any:
    ran = votecast("rank", *words)
    assert ran.code == 0, ran.err
    return ran


def refused(votecast: Callable, *words: Any) -> str:
    ran = votecast("rank", *words)
    assert ran.code in (1, 2)
    return " ".join(ran.err.split())


def test_votes_become_a_table_a_file_and_settings(votecast: Callable, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "board.csv"
    ran = ranked(votecast, "--input", files / "votes.csv", "--out", out)
    assert "6 models by votes: " in ran.out and "of the pairs of models are separated" in ran.out
    assert "votes of a model against itself are left out" in ran.out
    rows = board(out)
    assert list(rows[0]) == COLUMNS
    assert {row["model"] for row in rows} == set(SIZES)
    for row in rows:
        assert float(row["low"]) < float(row["score"]) < float(row["high"])
        assert int(row["battles"]) == int(row["wins"]) + int(row["ties"]) + int(row["losses"])
        assert int(row["rank_low"]) <= int(row["rank"]) <= int(row["rank_high"])
    settings = json.loads(Path(f"{out}.settings.json").read_text())
    assert settings["command"] == "rank" and settings["settings"]["method"] == "bradley_terry"


def test_the_leaderboard_is_the_golden_one(votecast: Callable, files: Path, tmp_path: Path) -> None:
    ranked(votecast, "--input", files / "votes.csv", "--out", tmp_path / "board.csv")
    found, wanted = board(tmp_path / "board.csv"), board(GOLDEN)
    assert [row["model"] for row in found] == [row["model"] for row in wanted]
    for name in set(COLUMNS) - {"model"}:
        np.testing.assert_allclose(
            [float(row[name]) for row in found], [float(row[name]) for row in wanted], rtol=1e-5, err_msg=name
        )


@pytest.mark.parametrize("words", [(), ("--style-control",), ("--method", "davidson"), ("--method", "rao_kupper")])
def test_swapping_the_responses_of_every_row_changes_nothing(
    votecast: Callable, files: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in ("votes", "swapped"):
        ranked(votecast, "--input", files / f"{name}.csv", "--out", tmp_path / f"{name}.csv", *words)
    one, other = board(tmp_path / "votes.csv"), board(tmp_path / "swapped.csv")
    assert [row["model"] for row in one] == [row["model"] for row in other]
    for mine, theirs in zip(one, other, strict=True):
        numbers = [[float(value) for name, value in row.items() if name != "model"] for row in (mine, theirs)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=2e-5)


def test_scores_are_those_of_evalica(votecast: Callable, files: Path) -> None:
    ran = ranked(votecast, "--input", files / "votes.csv", "--json", "-")
    found = json.loads(ran.out)["ranking"]
    votes = read_votes(files / "votes.csv")
    table = votes.table.select(["model_a", "model_b", "winner"]).to_pandas()
    table = table[table.model_a != table.model_b]
    winners = table.winner.map({"a": evalica.Winner.X, "b": evalica.Winner.Y, "tie": evalica.Winner.Draw})
    theirs = evalica.bradley_terry(table.model_a, table.model_b, winners, tolerance=1e-12, limit=10_000).scores
    elo = 400 / np.log(10) * np.log(pd.Series(theirs).loc[list(found["models"])].to_numpy())
    scores = np.array(found["score"])
    np.testing.assert_allclose(scores - scores.mean(), elo - elo.mean(), atol=1e-6)


def test_fits_of_evalica_are_available(votecast: Callable, files: Path) -> None:
    ran = ranked(votecast, "--input", files / "votes.csv", "--method", "newman", "--draws", "20")
    assert "newman" in ran.out and "bootstrap" in ran.out


def test_files_of_models_and_votes_alone_suffice(votecast: Callable, tmp_path: Path) -> None:
    path = bare_file(round_robin(), tmp_path / "bare.csv")
    ran = ranked(votecast, "--input", path, "--method", "davidson", "--out", tmp_path / "board.jsonl")
    assert [row["model"] for row in map(json.loads, (tmp_path / "board.jsonl").read_text().splitlines())] == [
        "m0",
        "m1",
        "m2",
        "m3",
    ]
    assert "nu" in ran.out and "the rows have no prompts: every row counts by itself" in ran.out
    assert "the rows have no texts" in refused(votecast, "--input", path, "--style-control")


def test_style_control_shows_what_style_is_worth(votecast: Callable, files: Path, tmp_path: Path) -> None:
    page = tmp_path / "board.html"
    ran = ranked(votecast, "--input", files / "votes.csv", "--style-control", "--html", page)
    assert "length" in ran.out and "log odds for one usual gap" in " ".join(ran.out.split())
    text = page.read_text()
    assert "Worth of a usual gap in style" in text and "<script" not in text and "https:" not in text


def test_predictions_alone_give_the_ranking_of_the_judge(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--judge", files / "judge", "--pairs", files / "pairs.jsonl")
    ran = ranked(votecast, *words, "--json", tmp_path / "board.json", "--html", tmp_path / "board.html")
    assert "6 models by predictions: " in ran.out
    assert "the ranking is that of the judge" in " ".join(ran.out.split())
    assert "how far the judge is from people" in (tmp_path / "board.html").read_text()
    found = json.loads((tmp_path / "board.json").read_text())
    assert found["judge"]["name"] == "baseline" and found["rows"]["voted"] == 0


def test_votes_and_predictions_rank_together(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--judge", files / "judge", "--pairs", files / "pairs.jsonl", "--json", tmp_path / "board.json")
    ran = ranked(votecast, "--input", files / "votes.csv", *words)
    output = " ".join(ran.out.split())
    assert "6 models by votes and predictions: " in output and "the predictions have weight" in output
    assert "out-of-fold predictions are used, matched by texts" in output
    found = json.loads((tmp_path / "board.json").read_text())
    assert found["ranking"]["tuning"] is not None and found["rows"]["predicted"] > 400


def test_rows_without_a_vote_are_predicted_when_no_pairs_are_given(
    votecast: Callable, files: Path, tmp_path: Path
) -> None:
    votes = sized_votes(600, seed=2)
    mixed = Battles.concat([votes[:300], without_votes(votes[300:])])
    path = file_of(mixed, tmp_path / "mixed.jsonl")
    ran = ranked(votecast, "--input", path, "--judge", files / "judge")
    assert "by votes and predictions" in ran.out
    assert "no voted prompt is among those that the judge was trained on" in " ".join(ran.out.split())
    ran = ranked(votecast, "--input", path)
    assert "300 of 600 rows have no vote and are left out" in ran.out


def test_training_prompts_need_out_of_fold_predictions(votecast: Callable, files: Path, tmp_path: Path) -> None:
    votes = sized_votes(600)
    place, field = votes.table.column_names.index("response_a"), votes.table.schema.field("response_a")
    answers = pa.array([[f"Another answer, number {row}."] for row in range(600)], field.type)
    other = file_of(Battles(votes.table.set_column(place, field, answers)), tmp_path / "other.jsonl")
    words = ("--judge", files / "judge", "--pairs", files / "pairs.jsonl")
    output = refused(votecast, "--input", other, *words)
    assert "506 of 506 rows have prompts on which the judge was trained" in output  # of two models each
    assert "holds no out-of-fold predictions of them" in output


def test_pairs_that_the_judge_knows_are_left_out(votecast: Callable, files: Path, tmp_path: Path) -> None:
    known = file_of(without_votes(sized_votes(600)), tmp_path / "known.jsonl")
    output = refused(votecast, "--input", files / "fresh.csv", "--judge", files / "judge", "--pairs", known)
    assert "no pair is left to predict (" in output and "the judge was trained on and are left out" in output
    assert "For a fixed set of prompts take a judge trained on others" in output
    ran = ranked(votecast, "--judge", files / "judge", "--pairs", known)
    assert "that the judge was trained on: on these it is more confident" in " ".join(ran.out.split())


def test_voted_rows_are_not_predicted_again(votecast: Callable, files: Path, tmp_path: Path) -> None:
    votes = sized_votes(300, seed=2)
    path, more = file_of(votes, tmp_path / "votes.csv"), without_votes(sized_votes(300, seed=3))
    words = ("--input", path, "--judge", files / "judge", "--pairs")
    for same in (votes, votes.swapped()):
        output = refused(votecast, *words, file_of(without_votes(same), tmp_path / "same.jsonl"))
        assert "pairs repeat voted rows (the same prompt and responses)" in output
        (tmp_path / "same.jsonl").unlink()
    mixed = Battles.concat([without_votes(votes), more])
    ran = ranked(votecast, *words, file_of(mixed, tmp_path / "mixed.jsonl"))
    assert "pairs repeat voted rows, which adds nothing, and are left out" in " ".join(ran.out.split())


def test_votes_among_the_pairs_are_not_passed_over_in_silence(votecast: Callable, files: Path) -> None:
    reported = "its votes are not looked at; give the file as --input"
    for name, is_reported in (("fresh.csv", True), ("pairs.jsonl", False)):
        ran = ranked(votecast, "--judge", files / "judge", "--pairs", files / name)
        assert (reported in " ".join((ran.out + ran.err).split())) == is_reported


def test_a_judge_of_bare_scores_ranks_rows_without_texts(votecast: Callable, tmp_path: Path) -> None:
    scores, votes = scored_votes(300)
    with ScoreWriter(tmp_path / "scores.csv") as writer:
        writer.add(scores.ids[:200], scores.a[:200], scores.b[:200])
    linked = ("--votes", file_of(votes[:200], tmp_path / "votes.jsonl"), "--out", tmp_path / "judge", "--bare")
    assert votecast("link", "--scores", tmp_path / "scores.csv", *linked).code == 0
    lines = ["id,model_a,model_b,score_a,score_b,winner"]
    for i in range(200, 300):
        models = f"m{i % 3},m{(i + 1) % 3}"
        lines.append(f"{scores.ids[i]},{models},{scores.a[i]},{scores.b[i]},{votes[i].winner}")
    (tmp_path / "voted.csv").write_text("\n".join(lines[:61]) + "\n")
    (tmp_path / "pairs.csv").write_text("\n".join([lines[0], *lines[61:]]) + "\n")
    words = ("--judge", tmp_path / "judge", "--pairs", tmp_path / "pairs.csv")
    ran = ranked(votecast, "--input", tmp_path / "voted.csv", *words)
    assert "3 models by votes and predictions: 60 votes, 40 pairs predicted" in ran.out
    assert "leaks are not checked: the rows have no prompts" in " ".join(ran.out.split())


def test_inputs_that_cannot_be_ranked_give_a_reason(votecast: Callable, files: Path, tmp_path: Path) -> None:
    pairs = files / "pairs.jsonl"
    assert "there is nothing to rank by; give votes (--input)" in refused(votecast)
    assert "no judge to predict them" in refused(votecast, "--input", files / "votes.csv", "--pairs", pairs)
    output = refused(votecast, "--input", files / "votes.csv", "--judge", files / "judge")
    assert "nothing for it to predict: every row has a vote" in output
    assert "none of the 600 rows has a vote" in refused(votecast, "--input", pairs)
    nameless = tmp_path / "nameless.csv"
    nameless.write_text("prompt,response_a,response_b,winner\nWhy?,Because.,No.,a\n")
    assert "needs the columns model_a and model_b" in refused(votecast, "--input", nameless)
    columns = tmp_path / "columns.csv"
    columns.write_text("question,left,right\nWhy?,Because.,No.\n")
    output = refused(votecast, "--input", columns)
    assert (
        "no format fits its columns" in output and "for a leaderboard model_a, model_b and the vote suffice" in output
    )
    assert "of 'x' alone" in refused(votecast, "--input", bare_file([("x", "x", "a")], tmp_path / "one.csv"))
    apart = bare_file([("x", "y", "a"), ("y", "x", "a"), ("p", "q", "a"), ("q", "p", "a")], tmp_path / "apart.csv")
    output = refused(votecast, "--input", apart)
    assert "(p, q)" in output and "(x, y)" in output
    assert "2 models by votes" in ranked(votecast, "--input", apart, "--disconnected", "largest").out
    assert "does not say what to write" in refused(
        votecast, "--input", files / "votes.csv", "--out", tmp_path / "board.txt"
    )
    assert "--min-battles" in refused(votecast, "--input", apart, "--min-battles", 99)


def test_empty_names_of_models_are_not_missing_columns(votecast: Callable, tmp_path: Path) -> None:
    path, quarantine = tmp_path / "empty.csv", tmp_path / "aside.jsonl"
    path.write_text("model_a,model_b,winner\n,y,a\nx,,b\n,,\nx,y,zzz\n")
    output = refused(votecast, "--input", path, "--bad-rows", "quarantine", "--quarantine", quarantine)
    assert "the cell of model_a or of model_b is empty; fill them" in output and "add them" not in output
    assert "1 other rows were quarantined as unreadable, in" in output and "aside.jsonl" in output
    assert quarantine.exists()


def test_files_of_models_and_votes_alone_have_a_format_and_serve_rank_only(votecast: Callable, tmp_path: Path) -> None:
    path = bare_file(round_robin(), tmp_path / "bare.csv")
    assert "4 models by votes" in ranked(votecast, "--input", path, "--format", "names").out
    for words in (("--format", "names"), ()):
        ran = votecast("inspect", path, *words)
        output = " ".join(ran.err.split())
        assert ran.code in (1, 2) and "models and votes without texts serve `votecast rank` only" in output


def test_a_model_that_only_won_is_ranked_with_a_remark_and_nothing_but_ties_is_refused(
    votecast: Callable, tmp_path: Path
) -> None:
    rows = [*round_robin(), *[("champion", f"m{number}", "a") for number in range(4)]]
    ran = ranked(votecast, "--input", bare_file(rows, tmp_path / "won.csv"))
    assert "champion" in ran.out and "normal prior" in " ".join(ran.out.split())
    ties = bare_file([("x", "y", "tie"), ("y", "z", "tie"), ("z", "x", "tie")] * 5, tmp_path / "ties.csv")
    assert "all 15 votes are ties, so that nothing tells the models apart" in refused(votecast, "--input", ties)


def test_few_battles_can_leave_models_out(votecast: Callable, tmp_path: Path) -> None:
    rows = [*round_robin(), ("rare", "m0", "a"), ("m1", "rare", "a")]
    ran = ranked(votecast, "--input", bare_file(rows, tmp_path / "rare.csv"), "--min-battles", 5)
    assert (
        "1 models with fewer than 5 battles, and their votes, are left out: rare" in " ".join(ran.out.split())
        and "4 models by votes" in ran.out
    )


def test_votes_against_both_are_ties_left_out_or_an_outcome_of_their_own(votecast: Callable, tmp_path: Path) -> None:
    rows = [*round_robin(), *[("m3", "m2", "tie (bothbad)")] * 9]
    path, out = bare_file(rows, tmp_path / "bad.csv"), tmp_path / "board.csv"
    outputs = {how: ranked(votecast, "--input", path, "--both-bad", how).out for how in ("tie", "drop")}
    assert "9 of 81 votes are against both responses: they count as ties" in outputs["tie"]
    assert "9 of 81 votes are against both responses: they are left out" in outputs["drop"]
    ran = ranked(votecast, "--input", path, "--both-bad", "own", "--out", out, "--html", tmp_path / "b.html")
    assert "20.0% (" in ran.out and "0.0% (0.0 to " in ran.out
    assert "both bad" in ran.out and "Votes against both answers" in (tmp_path / "b.html").read_text()
    shares = {row["model"]: float(row["both_bad_share"]) for row in board(out)}
    assert shares["m0"] == 0 and shares["m2"] == pytest.approx(9 / 45)
    assert all(float(row["both_bad_low"]) <= float(row["both_bad_share"]) for row in board(out))
    wins = {row["model"]: row["wins"] for row in board(out)}
    ranked(votecast, "--input", path, "--both-bad", "drop", "--out", tmp_path / "drop.csv")
    assert wins == {row["model"]: row["wins"] for row in board(tmp_path / "drop.csv")}


def test_votes_against_both_are_ties_for_a_judge(votecast: Callable, files: Path, tmp_path: Path) -> None:
    lines = (files / "pairs.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"winner": "both_bad"} for line in lines[:300]]
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n".join(lines[300:]) + "\n")
    output = refused(votecast, "--input", path, "--judge", files / "judge", "--both-bad", "own")
    assert "predicts votes against both responses as ties" in output


def test_outputs_are_not_replaced_unless_asked(votecast: Callable, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "board.csv"
    out.write_text("mine")
    assert "already exists" in refused(votecast, "--input", files / "votes.csv", "--out", out)
    ranked(votecast, "--input", files / "votes.csv", "--out", out, "--overwrite")
    assert out.read_text().startswith("rank,model")


def test_the_same_files_give_the_same_bytes(votecast: Callable, files: Path, tmp_path: Path) -> None:
    words = ("--input", files / "votes.csv", "--intervals", "bootstrap", "--draws", 20)
    for name in ("one", "two"):
        ranked(votecast, *words, "--out", tmp_path / f"{name}.csv", "--html", tmp_path / f"{name}.html")
    for ending in ("csv", "html"):
        assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_a_name_that_a_spreadsheet_would_compute_is_text(votecast: Callable, tmp_path: Path) -> None:
    names = ["=1+1", "+2", "plain"]
    rows = [
        {"id": str(n), "model_a": names[n % 3], "model_b": names[(n + 1) % 3], "prompt": f"Why {n}?"}
        | {"response_a": f"So {n}.", "response_b": f"No {n}.", "winner": "a" if n % 2 else "b"}
        for n in range(60)
    ]
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for out in ("board.csv", "board.jsonl"):
        ranked(votecast, "--input", tmp_path / "votes.jsonl", "--out", tmp_path / out)
    assert {row["model"] for row in board(tmp_path / "board.csv")} == {"'=1+1", "'+2", "plain"}
    kept = [json.loads(line)["model"] for line in (tmp_path / "board.jsonl").read_text().splitlines()]
    assert set(kept) == set(names)
