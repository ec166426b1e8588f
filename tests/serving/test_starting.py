"""Test failed starts, and responses while judges load."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import httpx
import pytest
from tests.serving.asking import BATTLE, GOOD, refused
from tests.serving.running import Service, Start, wait_for

from votecast.cli import main
from votecast.judges.load import load_judge
from votecast.serving import judge_names

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a judge in a folder named `mine`."""
    path = tmp_path_factory.mktemp("judges") / "mine"
    load_judge("bundled:baseline").save_pretrained(path)
    return path


def stopped(service: Service, code: int, *words: str) -> None:
    """Assert exit code, one error line and no worker left."""
    assert service.wait() == code, service.output
    listed = [line for line in service.lines if not line.startswith("listening on ")]
    assert len(listed) == 1, service.output
    assert listed[0].startswith("error: ")
    assert all(word in listed[0] for word in words), listed[0]
    assert not service.orphans()


@pytest.mark.parametrize("name", ["config.json", "calibration.safetensors"])
def test_a_damaged_judge_beside_a_good_one(start: Start, folder: Path, tmp_path: Path, name: str) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-7])
    stopped(start("--judge", folder, "--judge", damaged, "--workers", "1"), 1, str(damaged))


def test_a_port_in_use(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = start("--judge", "bundled:baseline", port=port)
        stopped(service, 1, str(port))


def test_an_address_of_another_machine(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--host", "192.0.2.1", env={"VOTECAST_API_KEY": "k" * 20})
    assert service.wait() == 2
    assert len(service.lines) == 1 and "192.0.2.1" in service.output


def test_the_service_reports_that_judges_load(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1")
    worker = wait_for(service.workers, "a worker")[0]
    os.kill(worker, signal.SIGSTOP)
    service.listening()
    with service.client() as client:
        assert client.get("/health").status_code == 200
        refused(client.get("/ready"), 503)
        refused(client.get("/v1/judges"), 503)
        for route, body in GOOD.items():
            refused(client.post(route, json=body), 503)
        os.kill(worker, signal.SIGCONT)
        wait_for(lambda: client.get("/ready").status_code == 200, "ready")
        assert client.post("/v1/compare", json=BATTLE).status_code == 200
    assert "ready" in service.output


def test_stopping_while_judges_load_leaves_no_worker(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "2").listening()
    wait_for(service.workers, "workers")
    service.terminate()
    assert service.wait() == 0
    assert service.lines[-1] == "stopped" and "half-written" not in service.output
    assert not service.orphans()


def test_ctrl_c_before_listening_reports_stopped(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(judge_names, "name_judges", interrupted)
    assert main(["serve", "--judge", "bundled:baseline"]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_judges_go_by_their_names(start: Start, folder: Path) -> None:
    service = start("--judge", folder, "--judge", "other=bundled:baseline", "--workers", "1").ready()
    with service.client() as client:
        listed = client.get("/v1/judges").json()["judges"]
        assert [judge["name"] for judge in listed] == ["mine", "other"]
        assert [judge["title"] for judge in listed] == ["baseline", "baseline"]
        for judge in listed:
            for route in ("/v1/compare", "/v1/compare/batch", "/v1/rerank"):
                answer = client.post(route, json=GOOD[route] | {"judge": judge["name"]})
                assert answer.json()["judge"] == {"name": judge["name"], "hash": judge["hash"]}
        refused(client.post("/v1/compare", json=BATTLE | {"judge": str(folder)}), 422, "judge")
        assert str(folder.parent) not in client.get("/v1/judges").text + httpx.get(f"{service.url}/openapi.json").text
