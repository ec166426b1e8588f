"""The frontier of a cascade as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from votecast.report.document import Chart, Document, Remark, Section, Series, Table

_LOSSES = "log loss"
_TIME = "s for 1,000 rows"
_WIDE = 10


def cascade_page(found: Mapping[str, Any], *, name: str, hash: str = "") -> Document:
    """Compose the page of a cascade.

    Args:
        found: What `votecast.cascading.cascade` records under "cascade".
        name: What the cascade is called.
        hash: Its hash, where it is saved.

    Returns:
        The page: what was chosen, the frontier as a chart and a table, and the judges.
    """
    chosen, measured = found["frontier"][found["chosen"]], found["measured"]
    return Document(
        title=f"A cascade of {len(found['judges'])} judges",
        subtitle=" → ".join(judge["label"] for judge in found["judges"]),
        summary=[_headline(found, measured), *(Remark("warning", text) for text in found["remarks"])],
        facts=[
            ("cascade", f"{name} ({hash[:12]})" if hash else name),
            ("goal", found["goal"]),
            ("votes", f"{found['rows']:,} on {found['prompts']:,} prompts"),
            ("thresholds", ", ".join(map(_threshold, found["thresholds"])) + " nats of entropy"),
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


def _headline(found: Mapping[str, Any], measured: Mapping[str, Any]) -> Remark:
    last = found["judges"][-1]["label"]
    return Remark(
        "note",
        f"Asked to {found['goal']}: on prompts on which neither the point of the frontier nor the thresholds were "
        f"chosen, its log loss is {_interval(measured['cost'])} above that of {last}, and it is "
        f"{measured['speed_up']:.2f} times as fast; {measured['goes_on'][0]:.0%} of all rows go on.",
    )


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
    return "none" if value is None else f"{value:.4f}"
