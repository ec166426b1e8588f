"""votecast ensemble: several judges combined into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from votecast.cli.options import Output, ReadOptions
from votecast.cli.screen import (
    Bars,
    gain_text,
    judge_text,
    print_facts,
    print_line,
    print_note,
    print_prose,
    print_table,
)
from votecast.cli.summaries import show_out_of_fold, show_reading


def ensemble(
    *judges: str,
    out: Path,
    method: Literal["mean", "weights", "stack", "greedy"] = "weights",
    stacker: Literal["logistic", "lightgbm"] = "logistic",
    input: str | None = None,
    name: str | None = None,
    reading: ReadOptions = ReadOptions(),
    output: Output = Output(),
) -> None:
    """Combine judges into one, fitted on the out-of-fold rows that they share.

    Args:
        judges: Judge folders or names, at least two.
        out: Folder to write the ensemble to.
        method: mean (equal weights), weights (those of the least log loss), stack (a model on top), or greedy
            (selection with repeats).
        stacker: The model on top under stack.
        input: File of votes that none of the judges was trained on, in place of the rows they share.
        name: Name of the ensemble.
    """
    from votecast.judges.ensemble import ensemble as make_ensemble

    output.check()
    options: dict[str, Any] = {"method": method, "stacker": stacker, "name": name}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    reader = reading.reader(overwrite=output.overwrite)
    if input is None:  # only options that differ from their defaults, which are refused without a file
        plain = {"overwrite", "seed"} | {key for key, value in reader.items() if value in ("auto", "error")}
        reader = {key: value for key, value in reader.items() if key not in plain}
    with Bars() as bars:
        judge = make_ensemble(
            judges, votes=input, out=out, overwrite=output.overwrite, reader=reader, progress=bars.steps, **options
        )
    found = judge.notes["ensemble"]
    _show_rows(judge.notes)
    settings = {"judges": list(judges), "input": input, **options}
    if output.write_judge(judge, out, "ensemble", settings, judge.figures | {"ensemble": found}):
        _show_members(judge.name, found, judge.figures)
        show_out_of_fold(judge.figures, "All metrics of the ensemble, cross-fitted by prompt")
        print_facts({"judge": judge_text(judge), "folder": out})


def _show_rows(notes: Mapping[str, Any]) -> None:
    """Show on which rows the ensemble was fitted, and which were refused."""
    if "reading" in notes:
        show_reading(notes["reading"])
    rows = notes["ensemble"]["rows"]
    if rows["rows_from"] == "out_of_fold":
        counts = ", ".join(f"{label} has {count:,}" for label, count in rows["out_of_fold"].items())
        print_note(f"out-of-fold rows: {counts}; {rows['common']:,} in common, by id and texts")
    for label, count in rows.get("exchanged", {}).items():
        print_note(f"{label} was trained on {count:,} of them with their answers swapped")
    for label, count in rows["refused"].items():
        print_note(f"refused: {count:,} of these rows have prompts like some that {label} was trained on")
    if rows.get("other_labels"):
        other = rows["other_labels"]
        print_note(f"{other:,} rows have other labels for other judges; those of the first judge are used")
    print_note(f"fitted on {rows['fitted']:,} rows of {rows['prompts']:,} prompts")


def _show_members(name: str, found: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Show the judges beside the ensemble, what it gains over each, and whether that is beyond chance."""
    rows = [["", "weight", "log loss", "accuracy", "gain over it (95 %)"]]
    for member in found["members"]:
        weight = member["weight"]
        share = "" if weight is None else "left out" if weight == 0 else f"{weight:.3f}"
        alone = [f"{member['metrics'][key]:.4f}" for key in ("log_loss", "accuracy")]
        best = " *" * (member["label"] == found["best"])
        rows.append([member["label"] + best, share, *alone, gain_text(member["gain"])])
    own = [f"{figures['metrics'][key]['value']:.4f}" for key in ("log_loss", "accuracy")]
    rows.append([f"{name}, by {found['method']}", "", *own, ""])
    if all(member["weight"] is None for member in found["members"]):
        rows = [[label, *others] for label, _, *others in rows]
    print_table(rows[0], rows[1:])
    print_line("* the best single judge\n")
    if not found["better"]:
        print_prose(f"warning: the ensemble is not better than {found['best']} alone beyond chance\n", indent=9)
