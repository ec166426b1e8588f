"""Summaries that several verbs print: what was read, truncated and cleaned, metrics, and comparisons.

All take the values that also go into the JSON of the verb.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from votecast.cli.screen import interval_text, number_text, print_line, print_note, print_prose, print_table
from votecast.metrics import METRICS

LABELS = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "ECE",
    **{f"ece_perfect{which}": "  by chance" for which in ("", "_a", "_b", "_tie")},
    "ece_a": "ECE, a wins",
    "ece_b": "ECE, b wins",
    "ece_tie": "ECE, tie",
    "macro_f1": "macro F1",
    "auc": "AUC, a against b",
    "agreement": "agreement decided",
}
"""Names that are not simply the key with its underscores as spaces."""

COMPARED = ("log_loss", "accuracy", "brier", "ece", "agreement_decided", "auc")
"""Metrics by which two judges are compared on the screen; the JSON has all of them."""

_LOWER_IS_BETTER = ("log_loss", "brier", "ece")
_SLICED = ("log_loss", "accuracy")
_INTERVAL = "95 % interval"
_FEW_FILES = 5
_SHOWN_COLUMNS = 10
_BASELINES = ("uniform", "prior", "longer", "truth")


def label_of(metric: str) -> str:
    """Return the name of a metric on the screen.

    Example:
        >>> label_of("ece_tie"), label_of("flip_rate")
        ('ECE, tie', 'flip rate')
    """
    return LABELS.get(metric, metric.replace("_", " "))


def show_reading(report: Mapping[str, Any], show: Callable[[str], None] = print_note) -> None:
    """Show a `ReadReport` as a dict: what was read, repaired or quarantined."""
    text = report.get("text") or {}
    modes = f", text {'/'.join(sorted(set(text.values())))}" if text else ""
    sampling = f", {report['sampling']}" if report.get("sampling") else ""
    labelled = f", {report['labelled']:,} with votes" if report.get("labelled") else ""
    source = f"{report['format']} format, {report['container']}{modes}{sampling}"
    show(f"read {report['path']}: {report['rows']:,} rows{labelled} ({source})")
    for kind, count in (report.get("repairs") or {}).items():
        first = ", ".join(map(str, (report.get("examples") or {}).get(kind, [])[:3]))
        show(f"  repaired {count:,}: {kind}" + (f" (first rows: {first})" if first else ""))
    for reason, count in (report.get("ignored_votes") or {}).items():
        show(f"  ignored {count:,} votes: {reason}")
    for reason, count in (report.get("left_out") or {}).items():
        show(f"  left out {count:,} rows: {reason}")
    if report.get("quarantined"):
        show(f"  quarantined {report['quarantined']:,} invalid rows in {report['quarantine']}")
    if ignored := report.get("ignored"):
        more = f" and {len(ignored) - _SHOWN_COLUMNS:,} more" if len(ignored) > _SHOWN_COLUMNS else ""
        show(f"  columns that are not used: {', '.join(ignored[:_SHOWN_COLUMNS])}{more}")
    for note in report.get("notes") or []:
        show(f"  note: {note}")


def show_readings(reports: Sequence[Mapping[str, Any]]) -> None:
    """Show what was read from several files, file by file while they are few."""
    if len(reports) <= _FEW_FILES:
        for report in reports:
            show_reading(report)
        return
    rows = sum(report["rows"] for report in reports)
    kinds = ", ".join(sorted({f"{report['format']} format, {report['container']}" for report in reports}))
    print_note(f"read {len(reports):,} files: {rows:,} rows ({kinds})")
    if repaired := sum(sum((report.get("repairs") or {}).values()) for report in reports):
        print_note(f"  repaired {repaired:,}; see manifest.json")
    if quarantined := sum(report.get("quarantined") or 0 for report in reports):
        print_note(f"  quarantined {quarantined:,} invalid rows in quarantine-*.jsonl of the output")


def show_truncation(cut: Mapping[str, Any] | None) -> None:
    """Show how many rows were truncated, unless the judge reads texts whole (None)."""
    if cut is not None:
        shares = _in_order(cut["kept"], ("prompt", "a", "b"))
        kept = ", ".join(f"{share:.1%} of {name}" for name, share in shares.items())
        count = f"{cut['rows_cut']:,} of {cut['rows']:,}"
        print_note(f"truncated: {count} rows are longer than the model reads; tokens kept: {kept}")


def show_run(summary: Mapping[str, Any], what: str, *, reused: int) -> None:
    """Show what a run did (such as "predicted"), read and truncated, and how many rows an earlier run had done."""
    if isinstance(summary["reading"], list):
        show_readings(summary["reading"])
    else:
        show_reading(summary["reading"])
    show_truncation(summary["cut"])
    if reused:
        print_note(f"resumed: {reused:,} rows were {what} by an earlier run")


def show_cleaning(report: Mapping[str, Any]) -> None:
    """Show what was removed from the votes by a `CleaningReport`, if anything was."""
    joined = "joined to an earlier vote" if report["duplicates_as"] == "aggregate" else "dropped as duplicates"
    counts = {"without a text": report["missing"], "with identical answers": report["identical"]}
    removed = [f"{count:,} {what}" for what, count in (counts | {joined: report["duplicates"]}).items() if count]
    if removed:
        print_note(f"cleaned: {', '.join(removed)}; {report['kept']:,} of {report['rows']:,} rows are left")


def show_metrics(figures: Mapping[str, Any], name: str = "judge") -> None:
    """Show every metric that the votes define, with its interval, beside the null baselines."""
    # a judge folder holds them sorted by name
    baselines = _in_order(figures.get("baselines", {}), _BASELINES)
    rows = [
        [
            label_of(key),
            number_text(entry),
            interval_text(entry),
            *(number_text(each.get(key)) for each in baselines.values()),
        ]
        for key, entry in _in_order(figures["metrics"], METRICS).items()
        if entry["value"] is not None
    ]
    head = name.replace(":", ":\n")  # bundled:baseline is too wide for a column of numbers
    print_table(["", head, _INTERVAL, *baselines], rows, whole=_INTERVAL)


def _in_order(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return values in the order of some names, and others after them."""
    return {name: values[name] for name in dict.fromkeys([*names, *values]) if name in values}


def show_out_of_fold(figures: Mapping[str, Any], title: str) -> None:
    """Show the metrics of a judge that was just made, under a title, and the notes on them."""
    print_line(f"{title}:\n")
    show_metrics(figures)
    print_line()
    show_notes(figures, slices=False)


def show_comparison(figures: Mapping[str, Any], names: tuple[str, str]) -> None:
    """Show two judges, with the differences and whether they are beyond chance."""
    other, rows = figures["against"], []
    for key in COMPARED:
        gap = other["differences"][key]
        if gap["value"] is None:
            continue
        verdict = ""
        # beyond chance: the interval of the difference excludes 0
        if gap["low"] is not None and gap["high"] is not None and not gap["low"] <= 0 <= gap["high"]:
            verdict = "better" if (gap["high"] < 0) == (key in _LOWER_IS_BETTER) else "worse"
        values = [number_text(metrics[key]) for metrics in (figures["metrics"], other["metrics"])]
        rows.append([label_of(key), *values, f"{gap['value']:+.4f}", interval_text(gap, "+"), verdict])
    heads = [name.replace(":", ":\n") for name in names]
    print_table(["", *heads, "difference", _INTERVAL, ""], rows, whole=_INTERVAL)
    for note in other["notes"]:
        print_prose(f"note: {names[1]}: {note}", indent=6)
    if (digest := other["judge"]["hash"]) and digest == figures["judge"]["hash"]:
        print_prose(f"note: {names[0]} and {names[1]} are the same judge ({digest[:12]})", indent=6)


def show_slices(figures: Mapping[str, Any]) -> None:
    """Show rows, log loss and accuracy of each slice."""
    for name, parts in figures["slices"].items():
        rows = [
            [f"  {part}", f"{entry['rows']:,}", *(number_text(entry["metrics"].get(key)) for key in _SLICED)]
            for part, entry in parts.items()
        ]
        print_table([f"by {name}", "rows", *map(label_of, _SLICED)], rows)
        print_line()


def show_parameters(
    estimates: Mapping[str, tuple[float, float, float]], units: Mapping[str, str], interval: str = _INTERVAL
) -> None:
    """Show fitted parameters, each with the ends of its interval (NaN without one), and what they mean."""
    rows = [
        [name, f"{value:.4g}", f"{low:.4g} to {high:.4g}" if math.isfinite(low) and math.isfinite(high) else ""]
        for name, (value, low, high) in estimates.items()
    ]
    print_table(["", "value", interval], rows)
    for name in estimates:
        if name in units:
            print_prose(f"{name}: {units[name]}", indent=2)


def show_notes(figures: Mapping[str, Any], *, slices: bool = True) -> None:
    """Show the notes of an evaluation; notes about slices only beside these."""
    about_slices = tuple(f"{name} " for name in figures["slices"])
    for note in figures["notes"]:
        if slices or not note.startswith(about_slices):
            print_prose(f"note: {note}", indent=6)
