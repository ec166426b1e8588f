"""The frontier of a cascade as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from votecast.reports.document import Chart, Document, Remark, Section, Series, Table

_LOSSES = "log loss"
_TIME = "s for 1,000 rows"
_WIDE = 10


def cascade_page(found: Mapping[str, Any], *, name: str, hash: str = "") -> Document:
    """Compose the page of a cascade.

    Args:
        found: What `votecast.judges.cascade.cascade` records under "cascade".
        name: What the cascade is called.
        hash: Its hash, where it is saved.

    Returns:
        The page: what was chosen, the frontier as a chart and a table, and the judges.
    """
    chosen, measured = found["frontier"][found["chosen"]], found["measured"]
    return Document(
        title=f"A cascade of {len(found['judges'])} judges",
        subtitle=" → ".join(judge["label"] for judge in found["judges"]),
        summary=[
            _saved(found, chosen),
            _anew(found, measured),
            *(Remark("warning", text) for text in found["remarks"]),
        ],
        facts=[
            ("cascade", f"{name} ({hash[:12]})" if hash else name),
            ("goal", found["goal"]),
            ("votes", f"{found['rows']:,} on {found['prompts']:,} prompts"),
            ("thresholds", ", ".join(map(_threshold, found["thresholds"]))),
        ],
        sections=[
            Section("frontier", "Frontier", [_FRONTIER], [_chart(found, chosen), _loss_chart(found), _table(found)]),
            Section("judges", "Judges", [_JUDGES], [_judges(found["judges"])]),
        ],
    )


_FRONTIER = (
    "Each point is a cascade: the more rows go on to the slower judge, the further to the right it lies. Every row is "
    "forecast under thresholds that were fitted on other prompts."
)
_JUDGES = (
    "Times are medians over parts of the calibration votes, measured in the run that made this page; on another "
    "machine or with longer texts they differ."
)


def _saved(found: Mapping[str, Any], chosen: Mapping[str, Any]) -> Remark:
    level: Literal["warning", "note"] = "warning" if chosen["speed_up"] <= 1 or not chosen["goes_on"][0] else "note"
    return Remark(level, f"Asked to {found['goal']}. The saved cascade: {_told(found, chosen)}.")


def _anew(found: Mapping[str, Any], measured: Mapping[str, Any]) -> Remark:
    return Remark(
        "note",
        f"Chosen anew on other prompts, the procedure costs {_told(found, measured)}. This is the honest cost: neither "
        "the point of the frontier nor its thresholds were chosen on the prompts that measure it.",
    )


def _told(found: Mapping[str, Any], point: Mapping[str, Any]) -> str:
    first, last = found["judges"][0]["label"], found["judges"][-1]["label"]
    on = point["goes_on"][0]
    goes = f"{on:.0%} of all rows go on from {first}" if on else f"no row goes on from {first}"
    return f"{_interval(point['cost'])} log loss above {last} alone, {point['speed_up']:.2f} times as fast; {goes}"


def _chart(found: Mapping[str, Any], chosen: Mapping[str, Any]) -> Chart:
    points, judges = found["frontier"], found["judges"]
    return Chart(
        "scatter",
        "Log loss and time",
        _TIME,
        _LOSSES,
        [
            _series("cascade", points),
            _series("chosen", [chosen]),
            _series("alone", judges, [judge["label"] for judge in judges]),
        ],
    )


def _series(name: str, points: Sequence[Mapping[str, Any]], labels: Sequence[str] | None = None) -> Series:
    times, losses = [point["seconds_per_1000"] for point in points], [point["log_loss"] for point in points]
    return Series(name, times, losses, labels=labels)


def _loss_chart(found: Mapping[str, Any]) -> Chart:
    points = sorted(found["frontier"], key=lambda point: float(point["speed_up"]))
    costs = [point["cost"] for point in points]
    low = None if any(cost["low"] is None for cost in costs) else [cost["low"] for cost in costs]
    high = None if low is None else [cost["high"] for cost in costs]
    x = [point["speed_up"] for point in points]
    series = Series("cost", x, [cost["value"] for cost in costs], low, high)
    return Chart(
        "lines",
        "Log loss above that of the last judge, with 95 % intervals",
        "times as fast as the last judge",
        _LOSSES,
        [series],
        log_x=max(x) > _WIDE * min(x),
    )


def _table(found: Mapping[str, Any]) -> Table:
    labels = [judge["label"] for judge in found["judges"][:-1]]
    shares = [f"on from {label}" for label in labels]
    rows = [
        [
            "chosen" if place == found["chosen"] else "",
            *point["goes_on"],
            f"{point['log_loss']:.4f}",
            f"{point['cost']['value']:+.4f}",
            _ends(point["cost"]),
            point["seconds_per_1000"],
            point["speed_up"],
        ]
        for place, point in enumerate(found["frontier"])
    ]
    columns = ["", *shares, _LOSSES, "above the last", "95 % interval", _TIME, "times as fast"]
    return Table(
        columns, rows, "The frontier: shares of rows that go on, and what that costs and saves.", frozenset(shares)
    )


def _judges(judges: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [judge["label"], judge["hash"][:12], f"{judge['log_loss']:.4f}", judge["seconds_per_1000"]] for judge in judges
    ]
    return Table(["judge", "hash", _LOSSES, _TIME], rows, "The judges, each by itself on all votes.")


def _interval(cost: Mapping[str, float | None]) -> str:
    ends = _ends(cost)
    return f"{cost['value']:+.4f}" + (f" ({ends})" if ends else "")


def _ends(cost: Mapping[str, float | None]) -> str:
    low, high = cost["low"], cost["high"]
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"


def _threshold(value: float | None) -> str:
    return "no row goes on" if value is None else f"{value:.4f} nats of entropy"
