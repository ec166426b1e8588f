"""votecast ensemble: from judges to a judge made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.figures import show_metrics, show_notes
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, prose, remark, say, table


def ensemble(
    *judges: str,
    out: Path,
    method: Literal["mean", "weights", "stack", "greedy"] = "weights",
    stacker: Literal["logistic", "lightgbm"] = "logistic",
    input: str | None = None,
    name: str | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make one judge of several, fitted on the out-of-fold rows that they share.

    Args:
        judges: Judge folders or names, at least two.
        out: Folder to write the ensemble to.
        method: mean (equal weights), weights (those of the least log loss), stack (a model on top), or greedy
            (selection with repeats).
        stacker: The model on top under stack.
        input: File of votes that none of the judges has seen, in place of the rows they share.
        name: What the ensemble is called.
        reading: How the votes are read.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
    """
    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    from votecast.judges.ensemble import ensemble as make_ensemble

    options: dict[str, Any] = {"method": method, "stacker": stacker, "name": name}
    options |= {} if reading.seed is None else {"seed": reading.seed}
    given = reading.reader(overwrite=overwrite)
    reader = given if input is not None else {key: given[key] for key in _about_votes(given)}
    with Bars() as bars:
        judge = make_ensemble(
            judges, votes=input, out=out, overwrite=overwrite, reader=reader, progress=bars.steps, **options
        )
    found, cited = judge.notes["ensemble"], {"name": judge.name, "hash": judge.hash}
    show_rows(judge.notes)
    if json is not None:
        results = judge.figures | {"judge": cited | {"folder": str(out)}, "ensemble": found}
        write_json(results, json, overwrite=overwrite)
        write_settings(json, "ensemble", {"judges": list(judges), "input": input, **options}, judge=cited)
    if json == STANDARD:
        return
    show_members(judge.name, found, judge.figures)
    say("All figures of the ensemble, on rows of prompts it was not fitted on:\n")
    show_metrics(judge.figures)
    say("")
    show_notes(judge.figures, slices=False)
    facts({"judge": cite(cited), "folder": out})


def show_rows(notes: Mapping[str, Any]) -> None:
    """Say on which rows the ensemble was fitted, and which were refused."""
    if "reading" in notes:
        show_reading(notes["reading"])
    rows = notes["ensemble"]["rows"]
    if rows["rows_from"] == "out_of_fold":
        counts = ", ".join(f"{label} has {count:,}" for label, count in rows["out_of_fold"].items())
        remark(f"out-of-fold rows: {counts}; {rows['common']:,} in common, by id and texts")
    for label, count in rows.get("exchanged", {}).items():
        remark(f"{label} learnt from {count:,} of them with their answers exchanged")
    for label, count in rows["refused"].items():
        remark(f"refused: {count:,} of these rows have prompts like some that {label} was trained on")
    if rows.get("other_labels"):
        remark(f"{rows['other_labels']:,} rows have other labels for other judges; those of the first judge are taken")
    remark(f"fitted on {rows['fitted']:,} rows of {rows['prompts']:,} prompts")


def show_members(name: str, found: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    """Show the judges beside the ensemble, what it gains over each, and whether that is more than chance."""
    rows, weighs = [], any(member["weight"] is not None for member in found["members"])
    for member in found["members"]:
        gain, weight = member["gain"], member["weight"]
        share = "" if weight is None else "left out" if weight == 0 else f"{weight:.3f}"
        interval = f"{gain['value']:+.4f} ({_end(gain['low'])} to {_end(gain['high'])})"
        label = member["label"] + (" *" if member["label"] == found["best"] else "")
        alone = [f"{member['metrics'][key]:.4f}" for key in ("log_loss", "accuracy")]
        rows.append([label, *([share] if weighs else []), *alone, interval])
    own = [f"{figures['metrics'][key]['value']:.4f}" for key in ("log_loss", "accuracy")]
    rows.append([f"{name}, by {found['method']}", *([""] if weighs else []), *own, ""])
    table(["", *(["weight"] if weighs else []), "log loss", "accuracy", "gain over it (95 %)"], rows)
    say("* the best judge by itself\n")
    if not found["better"]:
        prose(
            f"warning: the ensemble is not better than {found['best']} alone, beyond what chance could do\n", indent=9
        )


def _about_votes(given: Mapping[str, Any]) -> list[str]:
    """The options that only a file of votes has a use for, and that are not at their defaults."""
    plain = {"overwrite", "seed"} | {key for key, value in given.items() if value in ("auto", "error")}
    return [key for key in given if key not in plain]


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4f}"
