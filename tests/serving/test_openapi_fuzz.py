"""Requests made up from the service's own description: no 5xx, nothing undescribed, nothing wrong accepted."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.serving.running import Service

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EXAMPLES = 50


@pytest.fixture
def fuzzing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the benchmark with 500 examples uses."""
    spec = importlib.util.spec_from_file_location("_fuzz", BENCHMARKS / "_fuzz.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "_fuzz", module)
    spec.loader.exec_module(module)
    return module


def test_whatever_the_description_allows_or_forbids(
    service: Service, fuzzing: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workers = service.workers()[:2]
    found = fuzzing.fuzz(service.url, examples=EXAMPLES)
    assert not found.faults, "\n".join(found.faults[:10])
    assert found.server_errors == 0
    assert found.count(status=200, mode="positive") > EXAMPLES
    assert found.count(status=422, mode="negative") > EXAMPLES
    assert service.workers()[:2] == workers
