"""votecast cascade: judges from fast to slow, of which the slow ones predict uncertain rows only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from votecast.cli.options import AllowLeak, Draws, Output, ReadOptions
from votecast.cli.screen import Bars, judge_text, print_facts, print_line, print_note, print_prose, print_table
from votecast.cli.summaries import show_reading

_SHOWN = 2
"""One in this many points of the frontier is shown, besides the chosen one."""


def cascade(
    judges: list[str],
    /,
    *,
    calibration: str,
    out: Path,
    max_loss: float | None = None,
    budget: float | None = None,
    name: str | None = None,
    reading: ReadOptions = ReadOptions(),
    allow_leak: AllowLeak = False,
    draws: Draws = 1000,
    html: Path | None = None,
    output: Output = Output(),
) -> None:
    """Combine judges into a cascade: the fast one first, slow ones for the rows of which it is not sure.

    Args:
        judges: Judge folders or names, from fast to slow; at least two.
        calibration: File of votes that none of the judges was trained on.
        out: Folder to write the cascade to.
        max_loss: Largest log loss above that of the last judge; the fastest such cascade is chosen.
        budget: Or the seconds that 1,000 rows may take; the best such cascade is chosen.
        name: Name of the cascade.
        html: Write the frontier as a page.
    """
    from votecast.judges.cascade import cascade as make_cascade

    output.check(html)
    options: dict[str, Any] = {"max_loss": max_loss, "budget": budget, "draws": draws, "allow_leak": allow_leak}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    made = options | {"out": out, "name": name, "overwrite": output.overwrite}
    with Bars() as bars:
        reader = reading.reader(overwrite=output.overwrite)
        judge = make_cascade(judges, calibration, reader=reader, progress=bars.steps, **made)
    found = judge.notes["cascade"]
    if html is not None:
        from votecast.reports.cascade_page import cascade_page
        from votecast.reports.html import write_page

        write_page(cascade_page(found, name=out.name, hash=judge.hash), html, overwrite=output.overwrite)
    show_reading(judge.notes["reading"])
    for text in found["remarks"]:
        print_note(f"note: {text}")
    settings = {"judges": judges, "calibration": calibration, **options}
    if output.write_judge(judge, out, "cascade", settings, judge.figures | {"cascade": found}):
        show(found)
        print_facts({"judge": judge_text(judge), "folder": out} | ({"page": html} if html else {}))


def show(found: Mapping[str, Any]) -> None:
    """Show the judges, the frontier, and what the cascade costs and saves."""
    judges, points, chosen = found["judges"], found["frontier"], found["chosen"]
    first, last = judges[0]["label"], judges[-1]["label"]
    rows = [
        [f"{number} {judge['label']}", f"{judge['log_loss']:.4f}", f"{judge['seconds_per_1000']:.3g}"]
        for number, judge in enumerate(judges, start=1)
    ]
    print_table(["judge", "log loss", "s for 1,000 rows"], rows)
    print_line(f"\nFrontier on {found['rows']:,} votes, thresholds fitted on other prompts:\n")
    shares = [f"on from {number}" for number in range(1, len(judges))]
    shown = [place for place in range(len(points)) if place == chosen or not place % _SHOWN]
    rows = [[">" if place == chosen else "", *_cells(points[place])] for place in shown]
    print_table(["", *shares, "log loss", f"above {len(judges)} alone (95 %)", "times as fast"], rows)
    print_line()
    saved, measured = (_describe(point, first, last) for point in (points[chosen], found["measured"]))
    print_prose(f"Goal: {found['goal']}. The saved cascade (> above): {saved}.")
    print_prose(
        f"Cross-fitted, with the point of the frontier and its thresholds chosen on other prompts: {measured}. "
        "This is the unbiased estimate. Times are medians over parts of these votes, in this run."
    )
    if (speed := points[chosen]["speed_up"]) <= 1:
        print_prose(f"warning: the saved cascade is not faster than {last} alone ({speed:.2f} times)")
    if not points[chosen]["goes_on"][0]:
        print_prose(f"warning: no row is passed on from {first}: the saved cascade predicts as {first} alone does")
    print_line()


def _describe(point: Mapping[str, Any], first: str, last: str) -> str:
    *_, loss, cost, speed = cells = _cells(point)
    passed = f"{cells[0]} of rows are" if point["goes_on"][0] else "no row is"
    return (
        f"{cost} log loss above {last} alone (log loss {loss}), {speed} times as fast; {passed} passed on from {first}"
    )


def _cells(point: Mapping[str, Any]) -> list[str]:
    cost = point["cost"]
    ends = "" if cost["low"] is None else f" ({cost['low']:+.4f} to {cost['high']:+.4f})"
    on = [f"{share:.1%}" for share in point["goes_on"]]
    return [*on, f"{point['log_loss']:.4f}", f"{cost['value']:+.4f}{ends}", f"{point['speed_up']:.2f}"]
