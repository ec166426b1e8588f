"""Test score files: atomic writes, exact round trips, recorded source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from votecast.artifacts import settings_path
from votecast.data import read_votes
from votecast.data.outputs.score_files import Scores, ScoreWriter, described_of, read_scores
from votecast.errors import ArtifactError, ConfigError, DataError

NAMES = ["s.csv", "s.tsv", "s.jsonl", "s.parquet", "s.arrow", "s.csv.gz", "s.parquet.zst"]
MADE = {"model": "some/reward", "revision": None, "cut": "drop_turns", "settings": {"rank": 8, "é": [1, 2]}}
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("made", [MADE, None])
def test_scores_round_trip_bit_for_bit(tmp_path: Path, name: str, made: dict | None) -> None:
    a, b = np.array([1 / 3, -1e-300, 5.0, 1e17]), np.array([0.1, 2.0, -7.25, 3.0])
    with ScoreWriter(tmp_path / name, made) as writer:
        writer.add(["7", "x y"], a[:2], b[:2])
        writer.add(["é", "08"], a[2:].tolist(), b[2:].tolist())
    found = read_scores(tmp_path / name)
    assert found.ids == ["7", "x y", "é", "08"]
    assert np.array_equal(found.a, a) and np.array_equal(found.b, b)
    assert np.array_equal(found.gap, a - b)
    assert found.described == made == described_of(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_content_hashes_are_kept(tmp_path: Path, name: str) -> None:
    with ScoreWriter(tmp_path / name, MADE) as writer:
        writer.add(["7", "8"], [1.0, 2.0], [0.0, 0.0], ["00ab", "1e10"])
    assert read_scores(tmp_path / name).content == ["00ab", "1e10"]
    with pytest.raises(DataError, match="1 content hashes for 2 ids"):
        Scores(["7", "8"], np.ones(2), np.ones(2), content=["00ab"])


@settings(max_examples=30)
@given(rows=st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=20))
def test_any_finite_number_survives_csv(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    path = tmp_path_factory.mktemp("any") / "s.csv"
    a, b = np.array(rows).T
    with ScoreWriter(path) as writer:
        writer.add([str(n) for n in range(len(a))], a, b)
    found = read_scores(path)
    assert np.array_equal(found.a, a) and np.array_equal(found.b, b)


def test_files_of_other_tools_are_read(tmp_path: Path) -> None:
    table = {"id": pa.array([3, 1]), "score_b": pa.array([1.5, 2.5], pa.float32()), "score_a": pa.array([1, 2])}
    pq.write_table(pa.table(table | {"prompt": ["x", "y"]}), tmp_path / "s.parquet")
    found = read_scores(tmp_path / "s.parquet")
    assert (found.ids, found.gap.tolist(), found.described) == (["3", "1"], [-0.5, -0.5], None)
    (tmp_path / "s.jsonl").write_text(
        '{"id": "a", "score_a": 1, "score_b": "2e1"}\n{"id": "b", "score_a": 1.5, "score_b": 0}\n'
    )
    assert read_scores(tmp_path / "s.jsonl").gap.tolist() == [-19.0, 1.5]


def test_closing_renames_the_file_and_an_error_leaves_none(tmp_path: Path) -> None:
    with ScoreWriter(tmp_path / "s.csv", MADE) as writer:
        writer.add(["1"], [1.0], [2.0])
        assert not (tmp_path / "s.csv").exists()
    assert len(read_scores(tmp_path / "s.csv")) == 1
    with pytest.raises(RuntimeError), ScoreWriter(tmp_path / "t.csv", MADE) as broken:
        broken.add(["1"], [1.0], [2.0])
        raise RuntimeError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.csv", "s.csv.settings.json"]
    with pytest.raises(ArtifactError, match="already exists"), ScoreWriter(tmp_path / "s.csv"):
        pass
    with pytest.raises(ConfigError, match="does not say what to write"):
        ScoreWriter(tmp_path / "s.txt")
    with ScoreWriter(tmp_path / "s.csv", overwrite=True) as again:
        again.add(["2"], [1.0], [2.0])
    assert (read_scores(tmp_path / "s.csv").ids, read_scores(tmp_path / "s.csv").described) == (["2"], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,score_a\n1,2\n", "'score_b' is missing, its columns are 'id', 'score_a'; needed are id, score_a, score_b"),
        ("score_a,score_b\n1,2\n", "'id' is missing"),
        ("id,score_a,score_b\n", "holds no scores"),
        ("id,score_a,score_b\n1,2,x\n", "row 1, column 'score_b': 'x' is not a number"),
        ("id,score_a,score_b\n1,2,3\n2,,3\n", "row 2, column 'score_a': the value is missing"),
        ("id,score_a,score_b\n1,nan,3\n", r"id '1'\) has score_a nan and score_b 3.0 \(rows like it: 1\)"),
        (
            "id,score_a,score_b\n1,1,3\n2,inf,3\n3,nan,2\n",
            r"\(id '2'\) has score_a inf and score_b 3.0 \(rows like it: 2",
        ),
        ("id,score_a,score_b\n1,2,3\n1,4,5\n", r"1 ids occur more than once in the scores \(first: '1'\)"),
        ("id,score_a,score_b\n,2,3\n", "row 1, column 'id': the cell is empty"),
        ("id,score_a,score_a\n1,2,3\n", "more than one column is named"),
    ],
)
def test_invalid_files_are_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_scores(tmp_path / "s.csv")


def test_null_scores_and_ids_in_other_containers_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1", "2"], "score_a": [1.0, None], "score_b": [1.0, 2.0]}), tmp_path / "s.parquet")
    with pytest.raises(DataError, match="row 2, column 'score_a': the value is missing"):
        read_scores(tmp_path / "s.parquet")
    (tmp_path / "s.jsonl").write_text('{"id": "a", "score_a": true, "score_b": 2}\n')
    with pytest.raises(DataError, match="'True' is not a number"):
        read_scores(tmp_path / "s.jsonl")


def test_settings_of_another_file_are_not_taken_for_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with ScoreWriter(path, MADE) as writer:
        writer.add(["1"], [1.0], [2.0])
    path.write_text("id,score_a,score_b\n1,2,3\n")
    with pytest.raises(DataError, match="is not the file that s.csv.settings.json describes"):
        read_scores(path)
    settings_path(path).write_text("[")
    with pytest.raises(DataError, match="cannot be read"):
        read_scores(path)
    settings_path(path).write_text(json.dumps({"format": "votecast"}))
    assert read_scores(path).described is None
    damaged = pa.table({"id": ["1"], "score_a": [1.0], "score_b": [2.0]}).replace_schema_metadata({"votecast": "["})
    pq.write_table(damaged, tmp_path / "s.parquet")
    with pytest.raises(DataError, match="what made the scores cannot be read"):
        read_scores(tmp_path / "s.parquet")


def test_scores_in_memory_are_checked_too() -> None:
    with pytest.raises(DataError, match=r"score_b has shape \(1,\) for 2 ids"):
        Scores(["1", "2"], np.zeros(2), np.zeros(1))
    with pytest.raises(DataError, match="more than once"):
        Scores(["1", "1"], np.zeros(2), np.zeros(2))


BARE = "id,score_a,score_b,winner\n1,2,3.5,a\n2,1e1,-1,tie\n"


def test_rows_of_numbers_need_no_texts(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(BARE)
    with pytest.raises(DataError, match="no format fits its columns"):
        read_votes(tmp_path / "s.csv")
    votes = read_votes(tmp_path / "s.csv", numbers=("score_a", "score_b"))
    assert votes.column("score_a").to_pylist() == [2.0, 10.0]
    assert [vote.winner for vote in votes] == ["a", "tie"]
    assert votes[0].prompt == ()
    swapped = votes.swapped()
    assert swapped.column("score_a").to_pylist() == [3.5, -1.0]
    assert swapped.column("winner").to_pylist() == ["b", "tie"]


def test_numbers_beside_texts_are_carried_along_and_bad_ones_set_aside(tmp_path: Path) -> None:
    rows = [{"id": n, "prompt": "p", "response_a": "x", "response_b": "y", "score_a": n, "score_b": 0} for n in "1234"]
    rows[1]["score_a"], rows[2]["score_b"], rows[3]["score_b"] = "nan", None, "high"
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    numbers = {"numbers": ("score_a", "score_b")}
    with pytest.raises(DataError, match="row 2, column 'score_a': the value must be a finite number"):
        read_votes(tmp_path / "s.jsonl", **numbers)
    quarantine = {"bad_rows": "quarantine", "quarantine": tmp_path / "bad.jsonl"}
    votes = read_votes(tmp_path / "s.jsonl", **numbers, **quarantine)
    assert (votes.ids, votes.report.quarantined) == (["1"], 3)
    with pytest.raises(DataError, match="no column score_c; a judge of bare numbers"):
        read_votes(tmp_path / "s.jsonl", numbers=("score_c",))
