"""The page of a cascade: what was chosen, the frontier of log loss and time, and the judges.

Called by `votecast cascade --html`; the sections are in `templates/cascade.html`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.metrics import Figure
from votecast.reports.document import Document, Metric, Remark
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
    """
    judges, points, measured = found["judges"], found["frontier"], found["measured"]
    chosen = points[found["chosen"]]
    is_useless = chosen["speed_up"] <= 1 or not chosen["goes_on"][0]
    thresholds = [
        texts("threshold_none") if value is None else texts("threshold", value=value) for value in found["thresholds"]
    ]
    names, cost = texts.names("metrics"), measured["cost"]
    ends = (float("nan") if cost[key] is None else cost[key] for key in ("value", "low", "high"))
    speeds = [point["speed_up"] for point in points]
    return Document(
        title=texts("title", name=name),
        subtitle=texts("subtitle").join(judge["label"] for judge in judges),
        metrics=[
            Metric(names["cost"], Figure(*ends)),
            Metric(names["speed"], float(measured["speed_up"])),
            Metric(names["share"], float(measured["goes_on"][0]), percent=True),
            Metric(names["votes"], found["rows"], texts("prompts", prompts=found["prompts"])),
        ],
        summary=[
            texts.remark(
                "warning" if is_useless else "note", "chosen", goal=found["goal"], point=_describe(judges, chosen)
            ),
            texts.remark("note", "cross_fitted", point=_describe(judges, measured)),
            *(Remark("warning", text) for text in found["remarks"]),
        ],
        facts=[("hash", hash[:12])] * bool(hash) + [("goal", found["goal"]), ("thresholds", ", ".join(thresholds))],
        template="cascade.html",
        values={
            "judges": judges,
            "points": points,
            "chosen": chosen,
            "by_speed": sorted(points, key=lambda point: float(point["speed_up"])),
            "is_log": max(speeds) > _WIDE * min(speeds),
        },
    )


def _describe(judges: list[Found], point: Found) -> str:
    cost, share, first = point["cost"], point["goes_on"][0], judges[0]["label"]
    passed = texts("passes", share=share, first=first) if share else texts("passes_none", first=first)
    value = f"{cost['value']:+.4f}"
    if cost["low"] is not None and cost["high"] is not None:
        value += f" (95% CI {cost['low']:+.4f} to {cost['high']:+.4f})"
    return texts("point", cost=value, last=judges[-1]["label"], speed=point["speed_up"], share=passed)
