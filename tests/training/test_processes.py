from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from votecast.training.plan import deal


def train(folder: Path, *settings: str, count: int = 1, ends: int = 0) -> list[dict[str, float]]:
    """Train in this many processes at once, which all end with this status; what the first one wrote."""
    folder.mkdir(exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    shared = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    if count > 1:
        shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-m", "tests.training.trained", str(folder), *settings]
    started = [
        subprocess.Popen(command, env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else shared)
        for rank in range(count)
    ]
    assert [process.wait() for process in started] == [ends] * count
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_with_steps_of_twice_the_rows(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", "batch_size=8")
    both = train(tmp_path / "both", "batch_size=4", count=2)
    assert [list(record) for record in both] == [list(record) for record in alone]
    for one, two in zip(alone, both, strict=True):
        assert np.allclose(list(one.values()), list(two.values()), rtol=1e-4)
    first, second = (load_file(tmp_path / "both" / f"weights-{rank}.safetensors") for rank in (0, 1))
    expected = load_file(tmp_path / "alone" / "weights-0.safetensors")
    for name, value in expected.items():
        assert np.array_equal(first[name], second[name])
        assert np.allclose(first[name], value, atol=1e-4)


def test_every_row_of_a_step_goes_to_one_process_and_all_have_about_as_much_to_do() -> None:
    costs = np.random.default_rng(0).integers(10, 500, 64)
    parts = [deal(np.arange(64), costs, process, 4) for process in range(4)]
    assert sorted(np.concatenate(parts)) == list(range(64))
    loads = [costs[part].sum() for part in parts]
    assert max(loads) < 1.1 * min(loads)
