"""votecast calibrate: a judge's probabilities made true for those who cast some votes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from votecast.cli.figures import LABELS
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, prose, remark, say, table

_GROUPS = 20
"""More groups than this are counted, not shown."""

Method = Literal["temperature", "vector", "matrix", "isotonic", "dirichlet", "tie_link", "shift", "auto", "none"]


def calibrate(
    *,
    judge: str,
    out: Path,
    input: str | None = None,
    method: Method = "auto",
    by: Literal["language", "source", "turns"] | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    draws: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 1000,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Make a judge's probabilities true for those who cast some votes; 100 votes do much already.

    Args:
        judge: A judge folder, bundled:baseline, or default.
        out: Folder to write the calibrated judge to.
        input: File of votes on prompts that the judge was not trained on, "-" for standard input. Without it the
            calibrator is fitted anew on the judge's own out-of-fold rows and takes the place of the one it has.
        method: How; auto takes what forecasts best in cross-validation, shift is for few votes.
        by: Also fit what groups of rows ask for beyond that, shrunk towards what all have in common.
        reading: How the votes are read.
        allow_leak: Go on although the votes share prompts with the judge's training data.
        draws: Bootstrap draws for the 95 % intervals; 0 leaves them out.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
    """
    from votecast.artifacts import check_free

    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    check_free(out, overwrite=overwrite, is_folder=True)
    reader = reading.reader(overwrite=overwrite)
    options: dict[str, Any] = {"method": method, "by": by, "allow_leak": allow_leak, "draws": draws}
    options |= {"seed": reading.seed or 0}
    with Bars() as bars:
        made, report = _calibrated(judge, input, reader, bars, options)
        made.save_pretrained(out, overwrite=overwrite)
    found = made.notes["calibration"][-1]
    cited = {"name": made.name, "hash": made.hash}
    if report is not None:
        show_reading(report)
    if json is not None:
        write_json({"judge": cited | {"folder": str(out)}, "calibration": found}, json, overwrite=overwrite)
        write_settings(json, "calibrate", {"judge": judge, "input": input, "reader": reader, **options}, judge=cited)
    if json != STANDARD:
        show(found)
        facts({"judge": cite(cited), "calibration": _whole(made), "folder": out})


def _calibrated(
    judge: str, source: str | None, reader: dict[str, Any], bars: Bars, options: dict[str, Any]
) -> tuple[Any, dict[str, Any] | None]:
    """The calibrated judge, and what is to be said of the reading."""
    from votecast.data.reader import read_votes
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import reader_numbers
    from votecast.judges.recalibrate import calibrate_judge

    given = load_judge(judge)
    if source is None:
        bars.steps("calibrating", 0, 1)
        return calibrate_judge(given, **options), None
    bars.steps("reading votes", 0, 2)
    votes = read_votes(source, **({"labels": "required"} | reader_numbers(given) | reader))
    bars.steps("forecasting and calibrating", 1, 2)
    made = calibrate_judge(given, votes, **options)
    return made, votes.report.to_dict() if votes.report else None


def _whole(judge: Any) -> str:
    from votecast.calibration.description import describe

    return describe(judge.fitted.calibrator.state()[0])


def show(found: Mapping[str, Any]) -> None:
    """Show one calibration: what was tried, what it brings, what it learnt of each group."""
    on = "votes" if found["on"] == "votes" else "out-of-fold rows of the judge itself"
    say(f"calibrated on {found['rows']:,} {on}, {found['clusters']:,} prompts: {found['name']}\n")
    show_tried(found["fitted"])
    show_figures(found)
    if found["groups"]:
        show_groups(found["by"], found["groups"])
    show_remarks(found)


def show_tried(state: Mapping[str, Any]) -> None:
    """Show the candidates of auto, with the one that was taken."""
    state = state["common"] if state["method"] == "grouped" else state
    if state["method"] != "auto":
        return
    if not any("log_loss" in entry for entry in state["tried"]):
        prose(f"{state['chosen']['method']} is taken without a choice: {state['tried'][0]['left_out']}\n")
        return
    rows = []
    for entry in state["tried"]:
        taken = " *" if entry["method"] == state["chosen"]["method"] else ""
        figures = ["", entry.get("left_out", "")]
        if "log_loss" in entry:
            figures = [f"{entry['log_loss']:.4f}", f"{entry['behind']:.4f} (± {entry['error']:.4f})"]
        rows.append([entry["method"] + taken, *figures])
    table(["tried (* taken)", "log loss", "behind the best"], rows)
    prose("* the simplest within one standard error (±) of the best")
    say("")


def show_figures(found: Mapping[str, Any]) -> None:
    """Show the figures before and after, and the gain."""
    rows = []
    for name, before in found["before"].items():
        if before["value"] is not None:
            cells = [text for entry in (before, found["after"][name]) for text in (_value(entry), _interval(entry))]
            rows.append([LABELS.get(name, name.replace("_", " ")), *cells])
    table(["", "before", "95 % interval", "after", "95 % interval"], rows)
    gain = found["gain"]
    say("")
    prose(f"less log loss: {gain['value']:+.4f}, 95 % interval {_interval(gain, '+') or 'unknown'}")
    prose(f"after: every vote forecast by a calibrator fitted on other prompts ({found['folds']} folds)")
    say("")


def show_groups(by: str, groups: Mapping[str, Any]) -> None:
    """Show the log loss of each group, and what calibrating by groups brings."""
    rows = []
    for name, group in list(groups["values"].items())[:_GROUPS]:
        losses = ["" if group[when] is None else f"{group[when]:.4f}" for when in ("before", "common", "after")]
        rows.append([name, f"{group['votes']:,}", *losses[:2], losses[2] if group["own"] else "as all"])
    table([f"log loss by {by}", "votes", "before", "all alike", f"by {by}"], rows)
    if (more := len(groups["values"]) - _GROUPS) > 0:
        say(f"... and {more} more")
    if len(groups["values"]) == 1:
        say(f"all votes are of one {by}, so there is nothing that --by could tell apart")
    gain = groups["gain"]
    say("")
    prose(f"less log loss than all alike: {gain['value']:+.4f}, 95 % interval {_interval(gain, '+') or 'unknown'}")
    say("")


def show_remarks(found: Mapping[str, Any]) -> None:
    """Say what the reader of the figures must know."""
    if found["on"] == "out_of_fold":
        remark(
            f"no --input: fitted on the judge's own out-of-fold rows, in place of its calibration ({found['replaced']})"
        )
        show_outcome(found)
        return
    if found["leaked"]:
        remark(f"{found['leaked']:,} votes have prompts on which the judge was trained; the figures flatter it")
    if not found["training_prompts_known"]:
        remark("leaks are not looked for: the judge keeps no hashes of its training prompts")
    elif found["unknown_prompts"]:
        names = ", ".join(found["unknown_prompts"])
        remark(f"leaks are looked for in part: on which prompts {names} was trained is not known")
    if found["binary"]:
        remark(
            "no vote is a tie: nothing is learnt of how often ties occur, and that changes with how bold the judge is; "
            "the figures are those of decided votes"
        )
    for name in ("a", "b"):
        if not found["labels"][name]:
            remark(f"no vote is for {name}; a and b share what is learnt, so that this is no harm")
    show_outcome(found)


def show_outcome(found: Mapping[str, Any]) -> None:
    """Say what the gain shows, where it does not show that the judge has become better."""
    from votecast.calibration.description import changes_nothing, off_before, outcome

    off = "its probabilities are off on these votes, and these are too few to mend that surely"
    if changes_nothing(found) and found["on"] == "votes":
        left = "method none: the judge is left as it is, and only recognises the prompts of these votes as seen"
        remark(f"{left}; {off}" if off_before(found) else left)
        return
    match outcome(found):
        case "worse":
            remark(
                "warning: the calibration made the forecasts worse on these votes: keep the judge as it is, or give "
                "more votes"
            )
        case "chance" if off_before(found) and found["on"] == "votes":
            remark(f"the gain is not told apart from chance: {off}")
        case "chance":
            remark("the gain is not told apart from chance")


def _value(entry: Mapping[str, float | None]) -> str:
    return "" if entry["value"] is None else f"{entry['value']:.4f}"


def _interval(entry: Mapping[str, float | None], sign: str = "") -> str:
    low, high = entry["low"], entry["high"]
    return "" if low is None or high is None else f"{low:{sign}.4f} to {high:{sign}.4f}"
