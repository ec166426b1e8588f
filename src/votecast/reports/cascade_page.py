"""The page of a cascade: what was chosen, the frontier of log loss and time, and the judges.

Called by `votecast cascade --html`; the texts are in `templates/cascade.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from votecast.metrics import Figure
from votecast.reports.document import Cell, Chart, Document, Metric, Remark, Section, Series, Table
from votecast.reports.page_texts import load_texts

_WIDE = 10
"""Ratio of the largest to the smallest speed-up from which the axis is logarithmic."""

Found = Mapping[str, Any]
texts = load_texts("cascade")


def cascade_page(found: Found, *, name: str, hash: str = "") -> Document:
    """Compose the page of a cascade.

    Args:
        found: What `votecast.cascade` records under "cascade".
        name: Name of the cascade.
        hash: Its hash, where it is saved.

    Returns:
        The page: what was chosen, the frontier as charts and a table, and the judges.
    """
    judges, points, measured = found["judges"], found["frontier"], found["measured"]
    chosen = points[found["chosen"]]
    is_useless = chosen["speed_up"] <= 1 or not chosen["goes_on"][0]
    thresholds = [
        texts("threshold_none") if value is None else texts("threshold", value=value) for value in found["thresholds"]
    ]
    names, cost = texts.find("metrics"), measured["cost"]
    ends = (float("nan") if cost[key] is None else cost[key] for key in ("value", "low", "high"))
    return Document(
        title=texts("title", name=name),
        subtitle=texts("subtitle").join(judge["label"] for judge in judges),
        summary=[
            texts.remark(
                "warning" if is_useless else "note", "chosen", goal=found["goal"], point=_describe(found, chosen)
            ),
            texts.remark("note", "cross_fitted", point=_describe(found, measured)),
            *(Remark("warning", text) for text in found["remarks"]),
        ],
        facts=[("hash", hash[:12])] * bool(hash) + [("goal", found["goal"]), ("thresholds", ", ".join(thresholds))],
        sections=[
            texts.section("frontier", [_chart(found, chosen), _cost_chart(points), _table(found)]),
            _judges(judges),
        ],
        metrics=[
            Metric(names["cost"], Figure(*ends)),
            Metric(names["speed"], float(measured["speed_up"])),
            Metric(names["share"], float(measured["goes_on"][0]), percent=True),
            Metric(names["votes"], found["rows"], texts("prompts", prompts=found["prompts"])),
        ],
    )


def _describe(found: Found, point: Found) -> str:
    first, last = found["judges"][0]["label"], found["judges"][-1]["label"]
    cost, share = point["cost"], point["goes_on"][0]
    interval = _join_ends(cost)
    passed = texts("passes", share=share, first=first) if share else texts("passes_none", first=first)
    costs = f"{cost['value']:+.4f}" + (f" (95% CI {interval})" if interval else "")
    return texts("point", cost=costs, last=last, speed=point["speed_up"], share=passed)


def _join_ends(cost: Found) -> str:
    low, high = cost["low"], cost["high"]
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"


def _chart(found: Found, chosen: Found) -> Chart:
    labels = [judge["label"] for judge in found["judges"]]

    def _series(key: str, points: Sequence[Found], labels: Sequence[str] | None = None) -> Series:
        times, losses = [point["seconds_per_1000"] for point in points], [point["log_loss"] for point in points]
        return Series(texts(f"series.{key}"), times, losses, labels=labels)

    all_series = (
        _series("cascade", found["frontier"]),
        _series("chosen", [chosen]),
        _series("alone", found["judges"], labels),
    )
    return texts.chart("frontier.chart", all_series)


def _cost_chart(points: Sequence[Found]) -> Chart:
    points = sorted(points, key=lambda point: float(point["speed_up"]))
    costs, x = [point["cost"] for point in points], [point["speed_up"] for point in points]
    low, high = ([cost[end] for cost in costs] for end in ("low", "high"))
    has_ends = None not in low
    series = Series("cost", x, [cost["value"] for cost in costs], low if has_ends else None, high if has_ends else None)
    return texts.chart("frontier.cost", [series], log_x=max(x) > _WIDE * min(x))


def _table(found: Found) -> Table:
    shares = [texts("sections.frontier.passed", label=judge["label"]) for judge in found["judges"][:-1]]
    rows: list[list[Cell]] = [
        [
            texts("chosen") if place == found["chosen"] else "",
            *point["goes_on"],
            f"{point['log_loss']:.4f}",
            f"{point['cost']['value']:+.4f}",
            _join_ends(point["cost"]),
            point["seconds_per_1000"],
            point["speed_up"],
        ]
        for place, point in enumerate(found["frontier"])
    ]
    columns = texts.find("sections.frontier.table.columns")
    table = texts.table("frontier.table", rows, ["", *shares, *columns])
    return Table(table.columns, rows, table.caption, frozenset(shares))


def _judges(judges: Sequence[Found]) -> Section:
    rows: list[list[Cell]] = [
        [judge["label"], judge["hash"][:12], f"{judge['log_loss']:.4f}", judge["seconds_per_1000"]] for judge in judges
    ]
    return texts.section("judges", [texts.table("judges.table", rows)])
