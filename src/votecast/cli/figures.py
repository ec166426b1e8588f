"""Figures on the screen: metrics with their intervals beside the null baselines, and slices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from votecast.cli.screen import prose, say, table

LABELS = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE",
    "ece_perfect": "  perfect judge's",
    "ece_perfect_a": "  perfect judge's",
    "ece_perfect_b": "  perfect judge's",
    "ece_perfect_tie": "  perfect judge's",
    "ece_a": "ECE, a wins",
    "ece_b": "ECE, b wins",
    "ece_tie": "ECE, tie",
    "macro_f1": "macro F1",
    "auc": "AUC, a against b",
    "agreement": "agreement decided",
}
"""Names that are not simply the key with its underscores as spaces."""

SLICED = ("log_loss", "accuracy")
_INTERVAL = "95 % interval"


def show_metrics(figures: Mapping[str, Any], name: str = "judge") -> None:
    """Show every metric that the votes define, with its 95 % interval, and the null baselines beside it.

    Args:
        figures: The figures of an evaluation, as `Evaluation.to_dict` gives them.
        name: What the judge is called.
    """
    baselines = figures.get("baselines", {})
    rows = []
    for key, entry in figures["metrics"].items():
        if entry["value"] is None:
            continue
        beside = [_number(baseline.get(key)) for baseline in baselines.values()]
        rows.append([LABELS.get(key, key.replace("_", " ")), _number(entry), _interval(entry), *beside])
    table(["", _head(name), _INTERVAL, *baselines], rows, whole=_INTERVAL)


COMPARED = ("log_loss", "accuracy", "brier", "ece", "agreement_decided", "auc")
"""Figures by which two judges are compared on the screen; the JSON has all of them."""

_LOWER_IS_BETTER = ("log_loss", "brier", "ece")


def show_against(figures: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Show the judge beside another one, with the differences and whether they are more than chance.

    Args:
        figures: The figures of an evaluation that has an "against".
        names: What the judge and the other one are called.
    """
    other, rows = figures["against"], []
    for key in COMPARED:
        gap = other["differences"][key]
        if gap["value"] is not None:
            its, own = (_number(metrics[key]) for metrics in (other["metrics"], figures["metrics"]))
            rows.append(
                [
                    LABELS.get(key, key.replace("_", " ")),
                    own,
                    its,
                    f"{gap['value']:+.4f}",
                    _signed(gap),
                    _verdict(key, gap),
                ]
            )
    table(["", *map(_head, names), "difference", _INTERVAL, ""], rows, whole=_INTERVAL)
    for note in other["notes"]:
        prose(f"note: {names[1]}: {note}", indent=6)
    if (digest := other["judge"]["hash"]) and digest == figures["judge"]["hash"]:
        prose(f"note: {names[0]} and {names[1]} are the same judge ({digest[:12]})", indent=6)


def _head(name: str) -> str:
    """The name of a judge over a column of numbers, for which bundled:baseline is too wide."""
    return name.replace(":", ":\n")


def _signed(gap: Mapping[str, float | None]) -> str:
    low, high = gap["low"], gap["high"]
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"


def _verdict(key: str, gap: Mapping[str, float | None]) -> str:
    low, high = gap["low"], gap["high"]
    if low is None or high is None or low <= 0 <= high:
        return ""
    return "better" if (high < 0) == (key in _LOWER_IS_BETTER) else "worse"


def show_slices(figures: Mapping[str, Any]) -> None:
    """Show rows, log loss and accuracy of each slice."""
    for name, parts in figures["slices"].items():
        rows = [
            [f"  {part}", f"{entry['rows']:,}", *(_number(entry["metrics"].get(key)) for key in SLICED)]
            for part, entry in parts.items()
        ]
        table([f"by {name}", "rows", *(LABELS.get(key, key) for key in SLICED)], rows)
        say("")


def show_notes(figures: Mapping[str, Any], *, slices: bool = True) -> None:
    """Show what the evaluation has to say beside its figures.

    Args:
        figures: The figures of an evaluation, as `Evaluation.to_dict` gives them.
        slices: Whether the slices are shown; without them, remarks about them would puzzle.
    """
    about_slices = tuple(f"{name} " for name in figures["slices"])
    for note in figures["notes"]:
        if slices or not note.startswith(about_slices):
            prose(f"note: {note}", indent=6)


def _number(entry: Mapping[str, float | None] | None) -> str:
    value = entry["value"] if entry else None
    return "" if value is None else f"{value:.4f}"


def _interval(entry: Mapping[str, float | None]) -> str:
    low, high = entry["low"], entry["high"]
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
