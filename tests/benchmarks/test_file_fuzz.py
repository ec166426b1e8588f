"""Test the mutated vote files: the same for a seed, and counted rightly where nothing is damaged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    import file_fuzz

    yield file_fuzz
    sys.path.remove(str(BENCHMARKS))


def test_a_case_depends_on_its_number_and_seed_alone(fuzz: ModuleType) -> None:
    assert [fuzz.make(case, 0) for case in range(30)] == [fuzz.make(case, 0) for case in range(30)]
    assert fuzz.make(0, 0) != fuzz.make(0, 1)


@pytest.mark.parametrize("container", ["csv", "tsv", "jsonl", "json"])
def test_rows_of_whole_files_are_counted(fuzz: ModuleType, container: str) -> None:
    votes = fuzz.votes(np.random.default_rng(0), 150)
    assert fuzz.count_rows(container, fuzz.ENCODERS[container](votes)) == 150


def test_cases_are_read_or_refused(fuzz: ModuleType, tmp_path: Path) -> None:
    results = [fuzz.run_case(case, 0, tmp_path) for case in range(33)]
    assert {result.split()[0] for result in results} == {"read", "refused"}
