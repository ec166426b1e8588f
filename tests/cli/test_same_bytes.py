"""Test that equal inputs and seeds give equal bytes in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMANDS = """
simulate --rows 240 --seed 5 --out votes.csv --json simulated.json
simulate --rows 40 --seed 6 --out more.jsonl.zst
convert votes.csv votes.parquet --sample 0.5 --seed 3 --json converted.json
convert votes.csv votes.arrow
convert votes.csv votes.jsonl.gz
convert broken.jsonl mended.tsv --bad-rows quarantine --quarantine aside.jsonl
inspect votes.csv --json inspected.json
train baseline --train votes.csv --out judge --folds.n 2 --model.trees.rounds 20 --json trained.json
predict --judge judge --input more.jsonl.zst --out predictions.parquet --json predicted.json
predict --judge judge --input more.jsonl.zst --out predictions.arrow
predict --judge judge --input more.jsonl.zst --out predictions.jsonl
predict --judge judge --input more.jsonl.zst --out submission.csv --format lmsys
evaluate --judge judge --input more.jsonl.zst --draws 50 --json evaluated.json
report --input votes.csv --out votes.html --json explored.json
report --judge judge --input more.jsonl.zst --draws 20 --out report.html --json audited.json
"""
BROKEN = b'{"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}\n{broken\n{"prompt": 3}\n'

SCRIPT = """
import sys
from votecast.cli import main
for line in sys.stdin:
    if line.strip():
        assert main(line.split()) == 0, line
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_output_has_the_same_bytes_again(tmp_path: Path) -> None:
    children = []
    for seed in ("1", "2"):  # of Python's own hashes: the order of sets must not reach a file
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "broken.jsonl").write_bytes(BROKEN)
        children.append(
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=os.environ | {"PYTHONHASHSEED": seed},
                text=True,
            )
        )
    for child in children:
        _, complaints = child.communicate(COMMANDS)
        assert child.returncode == 0, complaints
    one, two = files_of(tmp_path / "1"), files_of(tmp_path / "2")
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    assert len(one) > 35
    assert {"aside.jsonl", "judge/config.json", "predictions.parquet", "votes.truth.parquet"} <= one.keys()
