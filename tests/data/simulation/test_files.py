import csv
import gzip
import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from votecast.data import read_votes
from votecast.data.cells import json_cell
from votecast.data.simulation import Truth, bayes_log_loss, read_truth, simulate, truth_path, write_simulation
from votecast.errors import ArtifactError, ConfigError, DataError

TEXTS = ("prompt", "response_a", "response_b")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    path = tmp_path_factory.mktemp("arena") / "train.csv"
    write_simulation(path, 600, seed=2)
    return path


def rows_of(path):
    with path.open(newline="", encoding="ascii") as file:
        return list(csv.DictReader(file))


def test_a_training_file_looks_like_that_of_the_contest(train):
    rows = rows_of(train)
    assert list(rows[0]) == ["id", "model_a", "model_b", *TEXTS, "winner_model_a", "winner_model_b", "winner_tie"]
    assert len(rows) == 600
    for row in rows:
        assert sorted(row[name] for name in list(row)[-3:]) == ["0", "0", "1"]


def test_a_test_file_has_no_votes_and_no_models(tmp_path):
    write_simulation(tmp_path / "test.csv", 5, seed=2, start=600, labels=False)
    assert list(rows_of(tmp_path / "test.csv")[0]) == ["id", *TEXTS]
    assert len(read_truth(tmp_path / "test.truth.parquet")) == 5


def test_cells_hold_the_texts_with_every_kind_of_escape(train):
    battles, _ = next(simulate(600, seed=2))
    rows = rows_of(train)
    for name in TEXTS:
        assert [json.loads(row[name]) for row in rows] == battles.column(name).to_pylist()
    raw = train.read_text("ascii")
    for escape in (r"\ud83d\ude", r"\/", r"\n", r"\\", r"\"", r"\u", "null", r"\ud83d\udc69\u200d\ud83d\udcbb"):
        assert escape in raw, escape


def test_the_file_is_read_back_as_it_was_simulated(train):
    battles, _ = next(simulate(600, seed=2))
    read = read_votes(train)
    for name in ("id", *TEXTS, "winner", "model_a", "model_b"):
        assert read.column(name).to_pylist() == battles.column(name).to_pylist(), name


@pytest.mark.parametrize("name", ["v.csv.gz", "v.jsonl", "v.parquet", "v.arrow.zst", "v.tsv"])
def test_every_container(tmp_path, name):
    write_simulation(tmp_path / name, 20, seed=2)
    read, (battles, truth) = read_votes(tmp_path / name), next(simulate(20, seed=2))
    for column in ("id", *TEXTS, "winner"):
        assert read.column(column).to_pylist() == battles.column(column).to_pylist()
    assert read_truth(truth_path(tmp_path / name)).ids == truth.ids


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_no_container_gives_votes_away_in_a_test_file(tmp_path, name):
    write_simulation(tmp_path / name, 20, labels=False)
    read = read_votes(tmp_path / name)
    assert not read.labelled.any()
    assert read.column("model_a").null_count == 20


def test_the_same_seed_gives_the_same_bytes(train, tmp_path):
    write_simulation(tmp_path / "again.csv", 600, seed=2)
    assert (tmp_path / "again.csv").read_bytes() == train.read_bytes()
    assert truth_path(tmp_path / "again.csv").read_bytes() == truth_path(train).read_bytes()
    write_simulation(tmp_path / "other.csv", 600, seed=3)
    assert (tmp_path / "other.csv").read_bytes() != train.read_bytes()


def test_the_truth_beside_the_file(train):
    table = pq.read_table(train.with_name("train.truth.parquet"))
    assert table.column_names[:4] == ["id", "p_a", "p_b", "p_tie"]
    truth = read_truth(train.with_name("train.truth.parquet"))
    assert truth.ids == [row["id"] for row in rows_of(train)]
    np.testing.assert_allclose(truth.probabilities.sum(axis=1), 1, atol=1e-12)


def test_the_truth_is_written_to_the_given_path(tmp_path):
    written = write_simulation(tmp_path / "v.csv", 3, truth=tmp_path / "secret.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["secret.parquet", "v.csv"]
    assert read_truth(tmp_path / "secret.parquet").ids == written.ids


def test_existing_files_are_not_overwritten(train, tmp_path):
    before = hashlib.sha256(train.read_bytes()).hexdigest()
    with pytest.raises(ArtifactError, match="--overwrite"):
        write_simulation(train, 3)
    with pytest.raises(ArtifactError, match="--overwrite"):
        write_simulation(tmp_path / "new.csv", 3, truth=truth_path(train))
    assert hashlib.sha256(train.read_bytes()).hexdigest() == before
    assert not list(tmp_path.iterdir())
    write_simulation(tmp_path / "new.csv", 3)
    write_simulation(tmp_path / "new.csv", 4, overwrite=True)
    assert len(rows_of(tmp_path / "new.csv")) == 4


def test_an_interruption_leaves_nothing(tmp_path):
    def stop(done, rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulation(tmp_path / "v.csv", 3, progress=stop)
    assert not list(tmp_path.iterdir())


def test_progress_counts_rows(tmp_path):
    seen = []
    write_simulation(tmp_path / "v.csv", 1500, progress=lambda done, rows: seen.append((done, rows)))
    assert seen == [(1000, 1500), (1500, 1500)]


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="v.xlsx"):
        write_simulation(tmp_path / "v.xlsx", 3)
    assert not list(tmp_path.iterdir())


def test_invalid_truth_files_are_refused(train, tmp_path):
    with pytest.raises(DataError, match="train.csv"):
        read_truth(train)
    with pytest.raises(DataError, match="absent"):
        read_truth(tmp_path / "absent.parquet")
    write_simulation(tmp_path / "v.parquet", 3)
    with pytest.raises(DataError, match="truth.parquet file"):
        read_truth(tmp_path / "v.parquet")


def test_bayes_log_loss_is_that_of_the_truth():
    battles, truth = next(simulate(200))
    targets = battles.targets()
    by_hand = -np.log(truth.probabilities[np.arange(200), targets.argmax(axis=1)]).mean()
    assert bayes_log_loss(truth, targets) == pytest.approx(by_hand)
    assert bayes_log_loss(truth.probabilities, truth.probabilities) < np.log(3)
    with pytest.raises(DataError, match="same rows"):
        bayes_log_loss(truth, targets[:5])


def test_truth_survives_its_table():
    truth = next(simulate(5))[1]
    again = Truth.from_table(truth.table())
    assert (again.ids, again.languages) == (truth.ids, truth.languages)
    np.testing.assert_array_equal(again.qualities, truth.qualities)
    assert len(Truth.concat([])) == 0


def test_compressed_csv_is_compressed(tmp_path):
    write_simulation(tmp_path / "v.csv.gz", 3)
    assert gzip.decompress((tmp_path / "v.csv.gz").read_bytes()).startswith(b"id,model_a,model_b,prompt")


def test_cells_are_ascii_whatever_the_text():
    assert json_cell(["a/b \u4f60 \U0001f600", None, '"\\']) == r'["a\/b \u4f60 \ud83d\ude00",null,"\"\\"]'
