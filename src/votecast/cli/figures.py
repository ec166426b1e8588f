"""Figures on the screen: metrics with their intervals beside the null baselines, and slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from votecast.cli.screen import say, table

LABELS = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE, top label",
    "macro_f1": "macro F1",
    "auc": "AUC, a against b",
    "flip_rate": "flip rate",
}
"""Names that are not simply the key with its underscores as spaces."""

SLICED = ("log_loss", "accuracy")


def show_metrics(figures: Mapping[str, Any]) -> None:
    """Show every metric with its 95 % interval, and the null baselines beside it.

    Args:
        figures: The figures of an evaluation, as `Evaluation.to_dict` gives them.
    """
    baselines = figures.get("baselines", {})
    rows = []
    for path, entry in _leaves(figures["metrics"]):
        beside = [_number(_value(_at(baseline, path))) for baseline in baselines.values()]
        rows.append([_label(path), _number(_value(entry)), _interval(entry), *beside])
    columns = ["", "value", "95 % interval", *(name.replace("_", " ") for name in baselines)]
    table(columns, rows)


def show_slices(figures: Mapping[str, Any]) -> None:
    """Show rows, log loss and accuracy of each slice."""
    for name, parts in figures.get("slices", {}).items():
        rows = [[f"  {part}", _count(entry), *_sliced(entry)] for part, entry in parts.items()]
        if rows:
            table([f"by {name.replace('_', ' ')}", "rows", *(LABELS.get(key, key) for key in SLICED)], rows)


def show_notes(figures: Mapping[str, Any]) -> None:
    """Show what the evaluation has to say beside its figures."""
    for note in figures.get("notes", []):
        say(f"note: {note}")


def _leaves(entries: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, entry in entries.items():
        if isinstance(entry, Mapping) and "value" not in entry:
            yield from _leaves(entry, (*path, key))
        elif entry is None or isinstance(entry, Mapping | int | float):
            yield (*path, key), entry


def _at(entries: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(entries, Mapping):
            return None
        entries = entries.get(key)
    return entries


def _label(path: tuple[str, ...]) -> str:
    return ", ".join(LABELS.get(key, key.replace("_", " ")) for key in path)


def _value(entry: Any) -> Any:
    return entry.get("value") if isinstance(entry, Mapping) else entry


def _interval(entry: Any) -> str:
    if not isinstance(entry, Mapping) or entry.get("low") is None or entry.get("high") is None:
        return ""
    return f"{_number(entry['low'])} to {_number(entry['high'])}"


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _metrics(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    found = entry.get("metrics", entry)
    return found if isinstance(found, Mapping) else {}


def _sliced(entry: Mapping[str, Any]) -> list[str]:
    return [_number(_value(_metrics(entry).get(key))) for key in SLICED]


def _count(entry: Mapping[str, Any]) -> str:
    return _number(entry.get("rows", entry.get("n")))
