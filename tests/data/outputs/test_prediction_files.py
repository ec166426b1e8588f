"""Test prediction files: round trips and submissions of two contests."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from votecast.data.outputs import PredictionWriter, read_predictions, write_predictions
from votecast.errors import ArtifactError, ConfigError, DataError

JUDGE = {"name": "baseline", "hash": "0" * 64}
P = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.4, 0.4, 0.2]])
IDS = ["007", 'b,"x"\r', "é", "12345678901234567890"]
SUFFIXES = [
    f"{container}{packing}"
    for container in (".csv", ".tsv", ".jsonl", ".parquet", ".arrow")
    for packing in ("", ".gz", ".zst")
]


def parts() -> list[tuple[list[str], np.ndarray]]:
    return [(IDS[:1], P[:1]), ([], P[:0]), (IDS[1:], P[1:])]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_predictions_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"predictions{suffix}"
    assert write_predictions(parts(), path, judge=JUDGE, metadata={"batch": 3}) == 4
    ids, p, judge = read_predictions(path)
    assert (ids, judge) == (IDS, JUDGE)
    np.testing.assert_array_equal(p, P)
    side = json.loads((tmp_path / f"predictions{suffix}.settings.json").read_text())
    digest = hashlib.sha256((tmp_path / f"predictions{suffix}").read_bytes()).hexdigest()
    assert side == {"format": "votecast", "judge": JUDGE, "rows": 4, "settings": {"batch": 3}, "sha256": digest}
    assert len(list(tmp_path.iterdir())) == 2


@settings(max_examples=25)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(1e-9, 1.0)),
    st.sampled_from([".csv", ".jsonl", ".parquet", ".arrow"]),
)
def test_every_bit_survives(tmp_path_factory: pytest.TempPathFactory, raw: np.ndarray, suffix: str) -> None:
    path = tmp_path_factory.mktemp("p") / f"p{suffix}"
    p = raw / raw.sum(axis=1, keepdims=True)
    write_predictions([([str(i) for i in range(len(p))], p)], path)
    np.testing.assert_array_equal(read_predictions(path)[1], p)


def test_rows_of_json_lines_are_those_of_the_service(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write_predictions(parts(), path, judge=JUDGE)
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert rows[0] == {"id": "007", "probabilities": {"a": 0.5, "b": 0.3, "tie": 0.2}, "decision": "a", "judge": JUDGE}
    assert [row["decision"] for row in rows] == ["a", "tie", "b", "tie"]


def test_parquet_names_judge_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    write_predictions(parts(), path, judge=JUDGE, metadata={"batch": 3})
    schema = pq.read_schema(path)
    assert schema.names == ["id", "p_a", "p_b", "p_tie"]
    assert json.loads(schema.metadata[b"votecast.judge"]) == JUDGE
    assert json.loads(schema.metadata[b"votecast.settings"]) == {"batch": 3}
    (tmp_path / "p.parquet.settings.json").unlink()
    assert read_predictions(path)[2] == JUDGE


def test_a_submission_of_three_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    write_predictions(parts(), path, format="lmsys")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "winner_model_a", "winner_model_b", "winner_tie"]
    assert [row[0] for row in rows] == IDS
    assert all(abs(sum(map(float, row[1:])) - 1) < 1e-12 for row in rows)
    np.testing.assert_array_equal(read_predictions(path)[1], P)


def test_votes_are_not_read_as_predictions(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    head, rows = "id,winner_model_a,winner_model_b,winner_tie\n", "1,1,0,0\n2,0,0,1\n"
    path.write_text(head + rows)
    with pytest.raises(DataError, match=r"votes\.csv holds votes, not predictions: each of its 2 rows"):
        read_predictions(path)
    path.write_text(head + rows + "3,0.2,0.3,0.5\n")  # a submission may be sure of some
    assert len(read_predictions(path)[0]) == 3


def test_a_submission_of_winners(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    write_predictions([(["1", "2", "3"], P[:3])], path, format="wsdm")
    assert path.read_text() == "id,winner\n1,model_a\n2,model_b\n3,model_b\n"
    with pytest.raises(DataError, match="holds decisions without probabilities"):
        read_predictions(path)


def test_without_a_judge_none_is_named(tmp_path: Path) -> None:
    for suffix in (".jsonl", ".parquet"):
        write_predictions(parts(), tmp_path / f"p{suffix}")
        assert read_predictions(tmp_path / f"p{suffix}")[2] is None


def test_no_rows_are_a_file_with_a_header(tmp_path: Path) -> None:
    assert write_predictions([], tmp_path / "p.csv") == 0
    assert (tmp_path / "p.csv").read_text() == "id,p_a,p_b,p_tie\n"
    ids, p, _ = read_predictions(tmp_path / "p.csv")
    assert (ids, p.shape) == ([], (0, 3))


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ([0.5, 0.5, 0.5], "0.5, 0.5, 0.5"),
        ([np.nan, 0.5, 0.5], "nan"),
        ([-0.1, 0.6, 0.5], "-0.1"),
        ([np.inf, 0, 0], "inf"),
    ],
)
def test_invalid_distributions_are_refused(tmp_path: Path, row: list[float], shown: str) -> None:
    with pytest.raises(DataError, match=rf"prediction 2 \(id 'z'\) has probabilities .*{shown}"):
        write_predictions([(["y"], P[:1]), (["z"], np.array([row]))], tmp_path / "p.csv")
    assert list(tmp_path.iterdir()) == []


def test_ids_and_rows_must_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 ids and probabilities of shape \(4, 3\)"):
        write_predictions([(["y"], P)], tmp_path / "p.csv")


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="written as votecast, lmsys or wsdm"):
        PredictionWriter(tmp_path / "p.csv", format="kaggle")
    with pytest.raises(ConfigError, match="does not say what to write"):
        PredictionWriter(tmp_path / "p.xlsx")


def test_existing_predictions_are_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("mine")
    with pytest.raises(ArtifactError, match="--overwrite"), PredictionWriter(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["p.csv"]
    write_predictions(parts(), path, overwrite=True)
    assert path.read_text("utf-8").startswith("id,p_a")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("p.csv", "id,p_a,p_b,p_tie\n1,0.5,0.5,0\n2,0.5,0.6,0\n", "row 2 has probabilities"),
        ("p.csv", "id,p_a,p_b,p_tie\n1,0.5,half,0\n", "row 1, column 'p_b': 'half' is not a number"),
        ("p.csv", "id,p_a,p_b,p_tie\n1,nan,0,1\n", "row 1 has probabilities"),
        ("p.csv", "id,p_a,p_b,p_tie\n1,,0,1\n", "row 1, column 'p_a': the value is missing"),
        ("p.csv", "id,prompt\n1,x\n", "holds no predictions"),
        ("p.jsonl", '{"id": "1", "probabilities": {"a": 1, "b": 0}}\n', "row 1, column 'probabilities'"),
        ("p.jsonl", '{"id": "1", "probabilities": [1, 0]}\n', "three numbers under a, b and tie"),
        ("p.jsonl", '{"id": "1", "probabilities": "sure"}\n', "given is '\"sure\"'"),
        (
            "p.jsonl",
            '{"id": null, "probabilities": [1, 0, 0]}\n{"id": "2"}\n',
            "row 1, column 'id': the cell is empty",
        ),
        ("p.jsonl", '{"id": "1", "probabilities": [1, 0, 0]}\n{"id": "2"}\n', "row 2, column 'probabilities'"),
        ("p.parquet", "PAR1", "is damaged"),
    ],
)
def test_damaged_predictions_name_the_place(tmp_path: Path, name: str, content: str, place: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "\xff"])
def test_a_damaged_side_file_is_named(tmp_path: Path, content: str) -> None:
    write_predictions(parts(), tmp_path / "p.csv", judge=JUDGE)
    (tmp_path / "p.csv.settings.json").write_text(content, "latin-1")
    with pytest.raises(DataError, match=r"p\.csv\.settings\.json cannot be read"):
        read_predictions(tmp_path / "p.csv")


@pytest.mark.parametrize("judge", [[], {}, {"name": 1}, None])
def test_a_side_file_without_a_judge_is_valid(tmp_path: Path, judge: Any) -> None:
    write_predictions(parts(), tmp_path / "p.csv", judge=JUDGE)
    (tmp_path / "p.csv.settings.json").write_text(json.dumps({"judge": judge}))
    assert read_predictions(tmp_path / "p.csv")[2] is None
