"""Test that docs/sizing.md and the simulation match scripts/sizing.py."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```\n\$ python (scripts/sizing\.py.*)\n((?:.*\n)*?)```$", re.MULTILINE)


@pytest.fixture(scope="module")
def sizing() -> Any:
    spec = importlib.util.spec_from_file_location("sizing", ROOT / "scripts" / "sizing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sizing"] = module
    spec.loader.exec_module(module)
    return module


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_page_shows_what_the_script_prints() -> None:
    blocks = _BLOCK.findall((ROOT / "docs" / "sizing.md").read_text())
    assert len(blocks) == 3
    for command, shown in blocks:
        assert run(*command.split()).stdout == shown


def test_without_failures_a_run_takes_the_sum_of_its_parts(sizing: Any) -> None:
    family = sizing.Family("x", 10.0, 7.0, 1.0, "")
    still = sizing.Store(failures=0, spread=0, written=0)
    rows = sizing.part_rows(10.0)
    ran = sizing.simulate(family, still, 12 * rows, 4, seed=0)
    assert ran.seconds == pytest.approx(7 + 3 * rows / 10)
    assert (ran.actors, ran.lost, ran.failures) == (4, 0, 0)
    narrow = sizing.Store(failures=0, spread=0, written=0, bandwidth=4 * 5 * 1500.0)
    assert sizing.simulate(family, narrow, 12 * rows, 4, seed=0).seconds == pytest.approx(7 + 3 * rows / 5)


def test_failures_cost_time_and_the_same_seed_gives_the_same_run(sizing: Any) -> None:
    family = sizing.Family("x", 1.0, 60.0, 1.0, "")
    calm, rough = (sizing.simulate(family, sizing.Store(failures=f), 1_000_000, 50, seed=1) for f in (0, 500))
    assert rough == sizing.simulate(family, sizing.Store(failures=500), 1_000_000, 50, seed=1)
    assert rough.failures > 50
    assert rough.seconds > 1.05 * calm.seconds
    assert 0 < rough.lost < rough.paid


def test_a_run_of_many_parts_is_simulated_by_an_equal_share(sizing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    family = sizing.Family("x", 1.0, 60.0, 1.0, "")
    rough = sizing.Store(failures=200)
    whole = sizing.simulate(family, rough, 20_000_000, 400, seed=0)
    monkeypatch.setattr(sizing, "SIMULATED", 2000)
    share = sizing.simulate(family, rough, 20_000_000, 400, seed=0)
    assert share.seconds == pytest.approx(whole.seconds, rel=0.05)
    assert share.failures == pytest.approx(whole.failures, rel=0.4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--hours", "0.0001"), "not read and written in"),
        (("--pairs-per-second", "0.01", "--pairs", "1e6", "--hours", "5"), "one part takes yours more than 5 hours"),
        (("--pairs-per-second", "-1"), "are above 0"),
        (("--pairs", "0"), "--pairs at least 1"),
        (("--pairs", "inf"), "--pairs at least 1"),
        (("--failures", "-1"), "are at least 0"),
        (("--measure", "bundled:baseline"), "--measure needs pairs"),
    ],
)
def test_impossible_settings_are_refused(words: tuple[str, ...], message: str) -> None:
    ran = run("scripts/sizing.py", *words)
    assert ran.returncode
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_judge_that_cannot_be_measured_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("prompt,response_a,response_b\np,x,y\n")
    ran = run("scripts/sizing.py", "--measure", "bundled:nobody", "--input", str(tmp_path / "pairs.csv"))
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: there is no judge 'bundled:nobody'")
    assert ran.stderr.count("\n") == 1
