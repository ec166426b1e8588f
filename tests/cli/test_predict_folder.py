"""Test votecast predict on many inputs, and invalid combinations of options."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from votecast.data.outputs import read_predictions


@pytest.fixture(autouse=True)
def _in_empty_folder(votecast: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.csv", "b.parquet")):
        assert (
            votecast("simulate", "--rows", 30 + seed, "--seed", seed, "--no-votes", "--out", f"pairs/{name}").code == 0
        )
    for truth in Path("pairs").glob("*.truth.parquet"):
        truth.unlink()


def test_a_glob_goes_to_a_folder(votecast: Callable) -> None:
    ran = votecast("predict", "--input", "pairs/*.[cp]*[vt]", "--out", "out/")
    assert ran.code == 0, ran.err
    assert "61 from 2 inputs" in ran.out
    assert "2 parts and manifest.json" in ran.out
    assert "read pairs/a.csv: 30 rows" in ran.err
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "manifest.json",
        "part-00000-00000.parquet",
        "part-00001-00000.parquet",
    ]
    assert votecast("predict", "--input", "pairs/a.csv", "--out", "a.csv").code == 0
    part, file = (read_predictions(path) for path in ("out/part-00000-00000.parquet", "a.csv"))
    assert (part[0], part[1].tolist(), part[2]) == (file[0], file[1].tolist(), file[2])


def test_one_input_goes_to_one_part(votecast: Callable) -> None:
    ran = votecast("predict", "--input", "pairs/a.csv", "--out", "out/")
    assert "30 from 1 input\n" in ran.out
    assert "(1 part and manifest.json" in ran.out


def test_files_by_name_a_folder_and_an_existing_folder(votecast: Callable) -> None:
    Path("there").mkdir()
    for words in (["pairs/a.csv", "pairs/b.parquet", "--out", "several"], ["pairs", "--out", "there"]):
        ran = votecast("predict", "--input", *words, "--json", "-")
        assert ran.code == 0, ran.err
        assert (json.loads(ran.out)["rows"], json.loads(ran.out)["parts"]) == (61, 2)
    ran = votecast("predict", "--input", "pairs", "--out", "there", "--resume")
    assert ran.code == 0
    assert "61 rows were predicted by an earlier run" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--input none/*.csv --out out/", 1, "none/*.csv matches no file"),
        ("--input pairs/*.csv --out p.csv", 2, "go to a folder: name one, such as p/"),
        ("--input pairs/a.csv --out p.csv --engine ray", 2, "--engine ray writes a folder of parts"),
        ("--input pairs/a.csv --out out/ --num-actors 2", 2, "--num-actors is for --engine ray"),
        ("--input pairs/a.csv --out p.csv --part-rows 1024", 2, "--part-rows is for a folder of parts"),
        ("--input pairs/a.csv --out out/ --part-rows 1000", 2, "allowed are multiples of 1024"),
        ("--input pairs/a.csv pairs/a.csv --out out/", 2, "pairs/a.csv is given twice"),
        ("--input - --out out/", 2, "standard input needs one output file"),
        ("--input pairs/a.csv --out pairs", 1, "pairs holds a.csv, which is not part of a folder of predictions"),
        ("--input pairs/a.csv --out https://example.org/out/", 2, "is not on a filesystem that can be reached"),
    ],
)
def test_what_makes_no_sense_is_one_line(votecast: Callable, words: str, code: int, message: str) -> None:
    before = sorted(Path().rglob("*"))
    ran = votecast("predict", *words.split())
    assert ran.code == code, ran.err
    assert message in " ".join(ran.err.split())
    assert "Traceback" not in ran.err
    assert sorted(Path().rglob("*")) == before


def test_ray_that_is_not_installed_is_named_with_its_extra(votecast: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["ray", *(name for name in sys.modules if name.startswith("ray."))]:
        monkeypatch.setitem(sys.modules, name, None)
    ran = votecast("predict", "--input", "pairs", "--out", "out/", "--engine", "ray")
    assert ran.code == 1
    assert "pip install " in ran.err
    assert "[ray]'" in ran.err
    assert not Path("out").exists()
