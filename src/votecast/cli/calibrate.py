"""votecast calibrate: a judge recalibrated on new votes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from votecast.cli.options import AllowLeak, Draws, JudgeName, Output, ReadOptions
from votecast.cli.screen import (
    Bars,
    interval_text,
    judge_text,
    number_text,
    print_facts,
    print_line,
    print_note,
    print_prose,
    print_table,
)
from votecast.cli.summaries import label_of, show_reading

_GROUPS = 20
"""Groups beyond these are counted, not shown."""

Method = Literal["temperature", "vector", "matrix", "isotonic", "dirichlet", "tie_link", "shift", "auto", "none"]


def calibrate(
    *,
    judge: JudgeName,
    out: Path,
    input: str | None = None,
    method: Method = "auto",
    by: Literal["language", "source", "turns"] | None = None,
    reading: ReadOptions = ReadOptions(),
    allow_leak: AllowLeak = False,
    draws: Draws = 1000,
    output: Output = Output(),
) -> None:
    """Recalibrate a judge on new votes (100 or more recommended).

    Args:
        out: Folder to write the calibrated judge to.
        input: File of votes on prompts that the judge was not trained on, "-" for standard input. Without it the
            calibrator is fitted again on the judge's own out-of-fold rows and replaces the one it has.
        method: Calibrator; auto chooses by cross-validation, shift is for few votes.
        by: Also fit corrections for groups of rows, shrunk towards the common one.
    """
    from votecast.calibration.description import describe
    from votecast.data.reader import read_votes
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import reader_numbers
    from votecast.judges.recalibrate import calibrate_judge

    output.check(folder=out)
    reader = reading.reader(overwrite=output.overwrite)
    seed = reading.seed or 0
    options: dict[str, Any] = {"method": method, "by": by, "allow_leak": allow_leak, "draws": draws, "seed": seed}
    with Bars() as bars:
        given, votes = load_judge(judge), None
        if input is None:
            bars.steps("calibrating", 0, 1)
        else:
            bars.steps("reading votes", 0, 2)
            votes = read_votes(input, **({"labels": "required"} | reader_numbers(given) | reader))
            bars.steps("predicting and calibrating", 1, 2)
        made = calibrate_judge(given, votes, **options)
        made.save_pretrained(out, overwrite=output.overwrite)
    found = made.notes["calibration"][-1]
    if votes is not None and votes.report:
        show_reading(votes.report.to_dict())
    settings = {"judge": judge, "input": input, "reader": reader, **options}
    if output.write_judge(made, out, "calibrate", settings, {"calibration": found}):
        _show(found)
        calibration = describe(made.fitted.calibrator.state()[0])
        print_facts({"judge": judge_text(made), "calibration": calibration, "folder": out})


def _show(found: Mapping[str, Any]) -> None:
    """Show one calibration: candidates, metrics before and after, and groups."""
    on = "votes" if found["on"] == "votes" else "out-of-fold rows of the judge itself"
    print_line(f"calibrated on {found['rows']:,} {on}, {found['clusters']:,} prompts: {found['name']}\n")
    _show_candidates(found["fitted"])
    pairs = [(name, before, found["after"][name]) for name, before in found["before"].items()]
    rows = [
        [label_of(name), number_text(before), interval_text(before), number_text(after), interval_text(after)]
        for name, before, after in pairs
        if before["value"] is not None
    ]
    print_table(["", "before", "95 % interval", "after", "95 % interval"], rows)
    print_line()
    _show_gain("gain in log loss", found["gain"])
    print_prose(f"after: every vote predicted by a calibrator fitted on other prompts ({found['folds']} folds)")
    print_line()
    if found["groups"]:
        _show_groups(found["by"], found["groups"])
    _show_notes(found)
    show_outcome(found)


def _show_candidates(state: Mapping[str, Any]) -> None:
    """Show the candidates of auto, with the chosen one."""
    state = state["common"] if state["method"] == "grouped" else state
    if state["method"] != "auto":
        return
    chosen = state["chosen"]["method"]
    if not any("log_loss" in entry for entry in state["tried"]):
        print_prose(f"{chosen} is used without a choice: {state['tried'][0]['left_out']}\n")
        return
    rows = []
    for entry in state["tried"]:
        figures = ["", entry.get("left_out", "")]
        if "log_loss" in entry:
            figures = [f"{entry['log_loss']:.4f}", f"{entry['behind']:.4f} (± {entry['error']:.4f})"]
        rows.append([entry["method"] + " *" * (entry["method"] == chosen), *figures])
    print_table(["candidate (* chosen)", "log loss", "behind the best"], rows)
    print_prose("* the simplest within one standard error (±) of the best")
    print_line()


def _show_gain(name: str, gain: Mapping[str, float | None]) -> None:
    print_prose(f"{name}: {gain['value']:+.4f}, 95 % interval {interval_text(gain, '+') or 'unknown'}")


def _show_groups(by: str, groups: Mapping[str, Any]) -> None:
    """Show the log loss of each group, and the gain of calibration by groups."""
    rows = []
    for name, group in list(groups["values"].items())[:_GROUPS]:
        losses = ["" if group[when] is None else f"{group[when]:.4f}" for when in ("before", "common", "after")]
        rows.append([name, f"{group['votes']:,}", *losses[:2], losses[2] if group["own"] else "common"])
    print_table([f"log loss by {by}", "votes", "before", "common", f"by {by}"], rows)
    if (more := len(groups["values"]) - _GROUPS) > 0:
        print_line(f"... and {more} more")
    if len(groups["values"]) == 1:
        print_line(f"all votes are of one {by}, so --by has no effect")
    print_line()
    _show_gain("gain in log loss over the common calibration", groups["gain"])
    print_line()


def _show_notes(found: Mapping[str, Any]) -> None:
    """Show the limits of a calibration on new votes, or where its rows come from."""
    if found["on"] == "out_of_fold":
        replaced = f"in place of its calibration ({found['replaced']})"
        print_note(f"no --input: fitted on the judge's own out-of-fold rows, {replaced}")
        return
    if found["leaked"]:
        print_note(f"{found['leaked']:,} votes have training prompts of the judge; the metrics are too optimistic")
    if not found["training_prompts_known"]:
        print_note("leaks are not checked: the judge keeps no hashes of its training prompts")
    elif names := found["unknown_prompts"]:
        print_note(f"leaks are checked in part: the training prompts of {', '.join(names)} are unknown")
    if found["binary"]:
        print_note(
            "no vote is a tie: the probability of ties is not calibrated, and changes with the confidence of the "
            "judge; the metrics are those of decided votes"
        )
    for name in ("a", "b"):
        if not found["labels"][name]:
            print_note(f"no vote is for {name}; a and b share their parameters, so the calibration is not affected")


def show_outcome(found: Mapping[str, Any]) -> None:
    """Warn where the gain does not show that the judge has become better."""
    from votecast.calibration.description import changes_nothing, off_before, outcome

    is_off = off_before(found) and found["on"] == "votes"
    off = "its calibration error on these votes is beyond chance, and they are too few to correct it reliably"
    if changes_nothing(found) and found["on"] == "votes":
        unchanged = "method none: predictions are unchanged, and the prompts of these votes count as training prompts"
        print_note(f"{unchanged}; {off}" if is_off else unchanged)
    elif outcome(found) == "worse":
        print_note("warning: predictions on these votes became worse: keep the judge as it is, or give more votes")
    elif outcome(found) == "chance":
        print_note(f"the gain is within chance: {off}" if is_off else "the gain is within chance")
