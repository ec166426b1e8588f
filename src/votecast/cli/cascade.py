"""votecast cascade: a judge made of judges from fast to slow, of which the slow ones see only what they must."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, prose, remark, say, table

_SHOWN = 2
"""Every how many-th point of the frontier is shown, besides the one that is chosen."""


def cascade(
    judges: list[str],
    /,
    *,
    calibration: str,
    out: Path,
    max_loss: float | None = None,
    budget: float | None = None,
    name: str | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    draws: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 1000,
    html: Path | None = None,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make one judge of several: the fast one is asked first, and passes on the rows of which it is not sure enough.

    Args:
        judges: Judge folders or names, from fast to slow; at least two.
        calibration: File of votes that none of the judges was trained on.
        out: Folder to write the cascade to.
        max_loss: How much log loss it may lose against the last judge; the fastest such cascade is made.
        budget: Or the seconds that 1,000 rows may take; the best such cascade is made.
        name: What it is called.
        reading: How the votes are read.
        allow_leak: Go on although votes share prompts with a judge's training data.
        draws: Bootstrap draws for the 95 % intervals; 0 leaves them out.
        html: Write the frontier as a page.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    check_outputs(html, json, settings_of_json(json), overwrite=overwrite)
    from votecast.judges.cascade import cascade as make_cascade

    options: dict[str, Any] = {"max_loss": max_loss, "budget": budget, "draws": draws, "allow_leak": allow_leak}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    reader = reading.reader(overwrite=overwrite)
    with Bars() as bars:
        judge = make_cascade(
            judges, calibration, out=out, name=name, overwrite=overwrite, reader=reader, progress=bars.steps, **options
        )
    found, cited = judge.notes["cascade"], {"name": judge.name, "hash": judge.hash}
    if html is not None:
        from votecast.reports.cascade_page import cascade_page
        from votecast.reports.html import write_page

        write_page(cascade_page(found, name=out.name, hash=judge.hash), html, overwrite=overwrite)
    show_reading(judge.notes["reading"])
    for text in found["remarks"]:
        remark(f"note: {text}")
    if json is not None:
        results = judge.figures | {"judge": cited | {"folder": str(out)}, "cascade": found}
        write_json(results, json, overwrite=overwrite)
        write_settings(json, "cascade", {"judges": judges, "calibration": calibration, **options}, judge=cited)
    if json != STANDARD:
        show(found)
        facts({"judge": cite(cited), "folder": out} | ({"page": html} if html else {}))


def show(found: Mapping[str, Any]) -> None:
    """Show the judges, the frontier, and what the cascade costs and saves."""
    judges, points, chosen = found["judges"], found["frontier"], found["chosen"]
    table(
        ["judge", "log loss", "s for 1,000 rows"],
        [
            [f"{number} {judge['label']}", f"{judge['log_loss']:.4f}", f"{judge['seconds_per_1000']:.3g}"]
            for number, judge in enumerate(judges, start=1)
        ],
    )
    say(f"\nFrontier on {found['rows']:,} votes, thresholds fitted on other prompts:\n")
    shares = [f"on from {number}" for number in range(1, len(judges))]
    rows = [
        [">" if place == chosen else "", *_cells(point)]
        for place, point in enumerate(points)
        if place == chosen or not place % _SHOWN
    ]
    table(["", *shares, "log loss", f"above {len(judges)} alone (95 %)", "times as fast"], rows)
    say("")
    first, last = judges[0]["label"], judges[-1]["label"]
    prose(f"Asked to {found['goal']}. The saved cascade (> above): {_told(points[chosen], first, last)}.")
    prose(
        f"Chosen anew on other prompts, the procedure costs {_told(found['measured'], first, last)} (the honest cost: "
        "neither the point of the frontier nor its thresholds were chosen on the prompts that measure it). Times are "
        "medians over parts of these votes, in this run."
    )
    if points[chosen]["speed_up"] <= 1:
        prose(f"warning: the saved cascade is not faster than {last} alone ({points[chosen]['speed_up']:.2f} times)")
    if not points[chosen]["goes_on"][0]:
        prose(f"warning: no row goes on from {first}: the saved cascade forecasts as {first} alone does")
    say("")


def _told(point: Mapping[str, Any], first: str, last: str) -> str:
    on, *_ = cells = _cells(point)
    *_, loss, cost, speed = cells
    goes = f"{on} of the rows go on from {first}" if point["goes_on"][0] else f"no row goes on from {first}"
    return f"{cost} log loss above {last} alone (log loss {loss}), {speed} times as fast; {goes}"


def _cells(point: Mapping[str, Any]) -> list[str]:
    cost = point["cost"]
    ends = "" if cost["low"] is None else f" ({cost['low']:+.4f} to {cost['high']:+.4f})"
    on = [f"{share:.1%}" for share in point["goes_on"]]
    return [*on, f"{point['log_loss']:.4f}", f"{cost['value']:+.4f}{ends}", f"{point['speed_up']:.2f}"]
