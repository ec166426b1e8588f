"""Test judge folders that change under a running pool."""

import shutil
from concurrent.futures import wait
from pathlib import Path

import pytest
from tests.serving.pools import rows, running, until

from votecast.judges.load import load_judge
from votecast.serving.request_errors import WorkerLostError


def test_a_changed_folder_is_not_loaded_into_a_running_pool(tmp_path: Path) -> None:
    folder, other = tmp_path / "judge", tmp_path / "other"
    judge = load_judge("bundled:baseline")
    judge.save_pretrained(folder)
    judge.record(note="another judge")
    judge.save_pretrained(other)
    with running(str(folder), workers=2) as pool:
        before = pool.ask(rows(1))
        shutil.rmtree(folder)
        other.rename(folder)
        pool.kill()
        until(lambda: pool.pool.workers.trouble)
        assert "another judge now" in pool.pool.workers.trouble and pool.pool.workers_ready == 1
        assert pool.ask(rows(1)) == before
        pool.kill()
        until(lambda: pool.pool.workers_ready == 0)
        with pytest.raises(WorkerLostError, match="no worker for judge 'it'"):
            while True:
                pool.ask(rows(1))


def test_a_removed_and_restored_folder_is_found_again(tmp_path: Path) -> None:
    folder, away = tmp_path / "judge", tmp_path / "away"
    load_judge("bundled:baseline").save_pretrained(folder)
    with running(str(folder)) as pool:
        before = pool.ask(rows(1))
        folder.rename(away)
        pool.kill()
        until(lambda: pool.pool.workers.trouble)
        asked = pool.asked(rows(1))
        wait([asked])
        assert isinstance(asked.exception(), WorkerLostError)
        away.rename(folder)
        until(lambda: pool.pool.workers_ready)
        assert pool.ask(rows(1)) == before and pool.pool.workers.trouble == ""
