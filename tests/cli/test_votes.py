"""Test simulate, inspect and convert."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from votecast import read_votes

VOTES = "id,prompt,response_a,response_b,winner\n1,Why?,Because.,No.,a\n2,How?,So.,Thus.,tie\n"


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    path = tmp_path / "votes.csv"
    path.write_text(VOTES)
    return path


def test_simulate_writes_votes_truth_and_settings(votecast: Callable, tmp_path: Path) -> None:
    ran = votecast("simulate", "--rows", 20, "--seed", 3, "--out", tmp_path / "train.csv")
    assert ran.code == 0
    assert "Bayes-optimal log loss" in ran.out
    assert {path.name for path in tmp_path.iterdir()} == {"train.csv", "train.truth.parquet", "train.csv.settings.json"}
    assert len(read_votes(tmp_path / "train.csv", format="lmsys")) == 20
    assert pq.read_table(tmp_path / "train.truth.parquet").num_rows == 20
    assert json.loads((tmp_path / "train.csv.settings.json").read_text())["settings"]["seed"] == 3


def test_simulate_is_the_same_again_and_leaves_old_files_alone(votecast: Callable, tmp_path: Path) -> None:
    first, again, part = tmp_path / "1.csv", tmp_path / "2.csv", tmp_path / "3.csv"
    votecast("simulate", "--rows", 12, "--out", first)
    votecast("simulate", "--rows", 12, "--out", again)
    votecast("simulate", "--rows", 2, "--start", 10, "--out", part)
    assert first.read_bytes() == again.read_bytes()
    assert first.read_text().endswith(part.read_text().partition("\n")[2])
    ran = votecast("simulate", "--rows", 5, "--out", first)
    assert ran.code == 1
    assert "--overwrite" in ran.err
    assert first.read_bytes() == again.read_bytes()
    assert votecast("simulate", "--rows", 5, "--out", first, "--overwrite").code == 0


def test_simulate_without_votes_is_a_test_file_and_json_is_pure(votecast: Callable, tmp_path: Path) -> None:
    ran = votecast("simulate", "--rows", 5, "--no-votes", "--out", tmp_path / "test.csv", "--json", "-")
    assert json.loads(ran.out)["rows"] == 5
    assert (tmp_path / "test.csv").read_text().splitlines()[0] == "id,prompt,response_a,response_b"


def test_inspect_reports_the_format_and_contents(votecast: Callable, votes: Path) -> None:
    ran = votecast("inspect", votes)
    assert ran.code == 0
    assert "2 rows, 2 with votes (votecast format, csv, text plain)" in ran.out
    for message in (
        "a 50.0%",
        "longer answer wins",
        "languages",
        "near-duplicates",
        "exact duplicates",
        "identical answers",
    ):
        assert message in ran.out
    assert max(map(len, ran.out.splitlines()[1:])) <= 80


def test_inspect_of_no_rows_shows_none(votecast: Callable, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("prompt,response_a,response_b,winner\n")
    ran = votecast("inspect", tmp_path / "none.csv")
    assert ran.code == 0
    assert "with a vote  0 of 0 rows" in ran.out


def test_inspect_as_json_counts_limited_and_sampled_rows(votecast: Callable, arena: Path) -> None:
    whole = json.loads(votecast("inspect", arena / "train.csv", "--json", "-").out)
    limited = json.loads(votecast("inspect", arena / "train.csv", "--json", "-", "--limit", 7).out)
    sampled = json.loads(votecast("inspect", arena / "train.csv", "--json", "-", "--sample", 0.5).out)
    assert (limited["rows"], limited["reading"]["sampling"]) == (7, "limit 7")
    assert sampled["rows"] == pytest.approx(whole["rows"] / 2, abs=2)
    assert "0.5" in sampled["reading"]["sampling"]


def test_the_settings_of_an_inspection_lie_beside_it(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    assert votecast("inspect", votes, "--json", tmp_path / "found.json", "--limit", 1).code == 0
    settings = json.loads((tmp_path / "found.json.settings.json").read_text())
    assert settings["command"] == "inspect"
    assert settings["settings"]["reader"]["limit"] == 1


def test_existing_settings_are_not_overwritten(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    (tmp_path / "found.json.settings.json").write_text("mine")
    for words in (
        ("inspect", votes),
        ("evaluate", "--input", votes),
        ("train", "baseline", "--train", votes, "--out", tmp_path / "judge"),
        ("compare", "--prompt", "p", "--a", "a", "--b", "b"),
    ):
        ran = votecast(*words, "--json", tmp_path / "found.json")
        assert ran.code == 1
        assert "found.json.settings.json already exists" in ran.err
    assert (tmp_path / "found.json.settings.json").read_text() == "mine"
    assert not (tmp_path / "found.json").exists()


def test_inspect_shows_no_control_characters(votecast: Callable, tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    row = {
        "prompt": "p",
        "response_a": "a",
        "response_b": "b",
        "winner": "a",
        "model_a": "\x1b[31m[bold]red",
        "model_b": "m",
    }
    path.write_text(json.dumps(row) + "\n")
    out = votecast("inspect", path).out
    assert "\x1b" not in out
    assert "\\x1b[31m[bold]red" in out


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "arrow", "csv.gz", "jsonl.zst"])
def test_convert_keeps_every_vote(votecast: Callable, arena: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"votes.{suffix}"
    ran = votecast("convert", arena / "train.csv", out)
    assert ran.code == 0
    assert str(out) in ran.out
    assert read_votes(out).table.equals(read_votes(arena / "train.csv").table)
    assert json.loads(Path(f"{out}.settings.json").read_text())["reading"]["format"] == "lmsys"


def test_convert_reports_what_a_format_cannot_hold(votecast: Callable, tmp_path: Path) -> None:
    source = tmp_path / "votes.jsonl"
    source.write_text('{"prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie", "language": "en"}\n')
    assert "language is left out" in votecast("convert", source, tmp_path / "votes.csv").err
    ran = votecast("convert", source, tmp_path / "votes.parquet", "--format", "wsdm")
    assert ran.code == 1
    assert "is a tie" in ran.err
    assert not (tmp_path / "votes.parquet").exists()


def test_convert_to_standard_output_is_refused(votecast: Callable, votes: Path) -> None:
    ran = votecast("convert", votes, "-")
    assert ran.code == 2
    assert "does not write to standard output; name a file" in ran.err


def test_a_bad_row_is_an_error_that_names_its_place_or_is_set_aside(votecast: Callable, tmp_path: Path) -> None:
    source, out, quarantine = tmp_path / "votes.csv", tmp_path / "votes.parquet", tmp_path / "bad.jsonl"
    source.write_text(VOTES + "3,Who?,Me.,You.,c\n")
    ran = votecast("convert", source, out)
    assert ran.code == 1
    assert all(message in ran.err for message in (str(source), "row 3", "winner", "'c'"))
    assert not out.exists()
    ran = votecast("convert", source, out, "--bad-rows", "quarantine", "--quarantine", quarantine)
    assert ran.code == 0
    assert "1 invalid rows" in ran.err
    assert len(read_votes(out)) == 2
    assert json.loads(quarantine.read_text().splitlines()[0])["row"] == 3


def test_nothing_but_results_on_standard_output(votecast: Callable, votes: Path, tmp_path: Path) -> None:
    ran = votecast("convert", votes, tmp_path / "out.parquet", "--json", "-")
    assert json.loads(ran.out)["reading"]["rows"] == 2
    assert "read " in ran.err
    assert "\r" not in ran.err + ran.out
    assert "\x1b" not in ran.err + ran.out


def test_columns_and_labels_that_are_named_are_read_and_kept(votecast: Callable, tmp_path: Path) -> None:
    source, out = tmp_path / "survey.csv", tmp_path / "votes.jsonl"
    source.write_text("asked,text_1,text_2,preferred\nWhy?,So.,No.,2\nWho?,I.,You.,0\n")
    words = (
        "--columns",
        "prompt=asked,response_a=text_1,response_b=text_2,winner=preferred",
        "--labels",
        "1=a,2=b,0=tie",
    )
    ran = votecast("convert", source, out, *words)
    assert ran.code == 0, ran.err
    assert [json.loads(line)["winner"] for line in out.read_text().splitlines()] == ["b", "tie"]
    reader = json.loads((tmp_path / "votes.jsonl.settings.json").read_text())["settings"]["reader"]
    assert reader["columns"]["prompt"] == "asked" and reader["label_names"] == {"1": "a", "2": "b", "0": "tie"}
    ran = votecast("predict", "--judge", "bundled:baseline", "--input", source, "--out", tmp_path / "p.csv", *words)
    assert ran.code == 0, ran.err
    for wrong in ("prompt", "prompt=", "prompt=a,prompt=b"):
        ran = votecast("inspect", source, "--columns", wrong)
        assert ran.code != 0 and "write NAME=VALUE,NAME=VALUE" in ran.err
