"""Test full disks, Ctrl-C and read-only folders: no partial output remains."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from votecast.data import Battles
from votecast.data.outputs import table_writer, write_predictions, write_votes
from votecast.errors import ArtifactError

VOTE = {"prompt": "Why?", "response_a": "Because " * 50, "response_b": "No.", "winner": "a"}
VOTES = Battles.from_rows([VOTE] * 2000)
OUTPUTS = ("votes.csv", "votes.parquet", "votes.jsonl.zst", "predictions.csv", "predictions.arrow")

LIMITED = """
import resource, sys
import numpy as np
from votecast.data import Battles
from votecast.data.outputs import write_predictions, write_votes
from votecast.errors import ArtifactError

rng = np.random.default_rng(0)
def part():
    words = rng.integers(0, 16, (200, 3000)).astype(np.uint8)
    return Battles.from_rows(
        [
            {"prompt": "?", "response_a": (row + 65).tobytes().decode(), "response_b": "No", "winner": "a"}
            for row in words
        ]
    )
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
parts = [part() for _ in range(5)]
ids = [str(i) for i in range(20_000)]
for out in sys.argv[1:]:
    try:
        if "votes" in out:
            write_votes(iter(parts), out)
        else:
            write_predictions([(ids, rng.dirichlet([1, 1, 1], 20_000))], out)
    except ArtifactError as error:
        print(error)
"""

SLOW = """
import sys, time
from votecast.data import Battles
from votecast.data.outputs import write_votes

def parts():
    vote = {"prompt": "Why?", "response_a": "Because " * 50, "response_b": "No.", "winner": "a"}
    yield Battles.from_rows([vote] * 2000)
    print("writing", flush=True)
    while True:
        time.sleep(0.01)
        yield Battles.from_rows([vote] * 100)

write_votes(parts(), sys.argv[1])
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in OUTPUTS]
    child = subprocess.run([sys.executable, "-c", LIMITED, *outputs], capture_output=True, text=True, check=False)
    lines = child.stdout.splitlines()
    assert [f"{out} could not be written" in line for out, line in zip(outputs, lines, strict=True)] == [True] * 5
    assert child.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_text("before")
    script = SLOW.replace("sys.argv[1])", "sys.argv[1], overwrite=True)")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        child.send_signal(signal.SIGINT)
        _, trace = child.communicate(timeout=30)
    assert b"KeyboardInterrupt" in trace
    assert child.returncode != 0
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {out.name: "before"}


def test_no_space_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: table_writer.TableWriter) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table_writer.TableWriter, "finish", refuse)
    with pytest.raises(ArtifactError, match="No space left on device; nothing was left behind"):
        write_votes(VOTES, tmp_path / "votes.csv")
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_predictions([(["1"], np.array([[1.0, 0.0, 0.0]]))], tmp_path / "p.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_votes(VOTES, tmp_path / "file" / "votes.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
