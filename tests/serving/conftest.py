"""Start real `votecast serve` processes on free loopback ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.asking import BATTLE
from tests.serving.running import Service, Start, serving

HERE = Path(__file__).parent
LOOPBACK = ["127.0.0.1", "::1"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Allow the tests of this folder to use loopback."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """Return a ready service with the bundled baseline and two workers."""
    with serving("--judge", "baseline=bundled:baseline", "--workers", "2") as started:
        yield started


@pytest.fixture(scope="module")
def workers_unchanged(service: Service) -> Iterator[None]:
    """Check that the same workers still answer after a module."""
    workers = service.workers()[:2]
    yield
    with service.client() as client:
        assert client.post("/v1/compare", json=BATTLE).status_code == 200
    assert service.workers()[:2] == workers


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    """Return a client of `service`."""
    with service.client() as client:
        yield client


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a service for one test."""
    started: list[Service] = []

    def run(*words: object, **options: Any) -> Service:
        started.append(Service(*words, **options))
        return started[-1]

    yield run
    for each in started:
        each.kill()
