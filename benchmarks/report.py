"""Time both reports on simulated votes and check their size.

Votes are simulated first. The judge predicts both orders once, timed by itself; the audit's time is what it takes
beyond that.

    python benchmarks/report.py [--rows 57500] [--judge bundled:baseline]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from votecast.data import read_votes
from votecast.data.exploration import explore
from votecast.data.simulation import write_simulation
from votecast.judges.load import load_judge
from votecast.reports.audit import audit_judge
from votecast.reports.audit_page import audit_page
from votecast.reports.html import write_page
from votecast.reports.votes_page import votes_page

REACH, AIM = (30.0, 5.0), (10.0, 2.0)
"""Seconds and megabytes."""


class Timed:
    """A judge that records its prediction time."""

    def __init__(self, judge: Any) -> None:
        self._judge, self.seconds = judge, 0.0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._judge, name)
        return self._timed(value) if name in ("predict_proba", "predict_with_truncation") else value

    def _timed(self, work: Any) -> Any:
        def run(*words: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = work(*words, **options)
            self.seconds += time.perf_counter() - start
            return found

        return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=57_500)
    parser.add_argument("--judge", default="bundled:baseline")
    asked = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "votes.csv"
        write_simulation(path, asked.rows, seed=0)
        read_votes(path, limit=500)
        print(f"{asked.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        print(f"{'':22}{'seconds':>9}{'predictions':>12}{'MB':>7}   reach {REACH[0]:.0f} s, {REACH[1]:.0f} MB")

        page, start = Path(folder) / "votes.html", time.perf_counter()
        votes = read_votes(path)
        write_page(votes_page(explore(votes), votes, source=path.name), page)
        failed |= print_row("the votes alone", time.perf_counter() - start, None, page)

        page, start = Path(folder) / "audit.html", time.perf_counter()
        judge = Timed(load_judge(asked.judge))
        write_page(audit_page(audit_judge(judge, read_votes(path, labels="required"))), page)
        failed |= print_row(f"audit of {asked.judge}", time.perf_counter() - start - judge.seconds, judge.seconds, page)
    return int(failed)


def print_row(name: str, seconds: float, predictions: float | None, page: Path) -> bool:
    """Print one line; return whether it missed a mark."""
    size = page.stat().st_size / 1e6
    word = next((word for word, (s, m) in (("aim", AIM), ("reach", REACH)) if seconds <= s and size <= m), "missed")
    print(
        f"{name:22}{seconds:9.1f}{'' if predictions is None else f'{predictions:.1f}':>12}{size:7.2f}   {word}",
        flush=True,
    )
    return word == "missed"


if __name__ == "__main__":
    sys.exit(main())
