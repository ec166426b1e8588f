"""votecast train: from a file of votes to a judge folder."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path

from votecast.cli.options import (
    STANDARD,
    Output,
    Overrides,
    ReadOptions,
    Resume,
    TrainFiles,
    TrainingOptions,
)
from votecast.cli.screen import Bars, judge_text, print_facts, print_note
from votecast.cli.summaries import show_cleaning, show_out_of_fold, show_readings, show_truncation
from votecast.config import current_launch
from votecast.types import no_progress


def train(
    recipe: str,
    /,
    *,
    train: TrainFiles,
    out: Path,
    reading: ReadOptions = ReadOptions(),
    training: TrainingOptions = TrainingOptions(),
    folds_from: str | None = None,
    resume: Resume = False,
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Train a judge on files of votes: cross-validation, calibration, judge folder.

    Args:
        recipe: A shipped recipe or family (see votecast recipes), or the path of a YAML file.
        out: Folder to write the judge to.
        folds_from: A judge whose folds are used again, row by row.
    """
    settings = training.settings(overrides, reading.seed)
    is_main, again = current_launch().is_main, output.overwrite or resume
    if is_main:
        # the JSON of the run that is resumed may be replaced
        Output(output.json, overwrite=output.overwrite or (resume and _is_own_json(output.json, out))).check()
    from votecast.judges.train import train as train_judge

    with contextlib.ExitStack() as stack:
        reader = reading.reader(overwrite=again)
        if not is_main and reading.bad_rows == "quarantine":  # only the main process writes the side file
            reader["quarantine"] = f"{stack.enter_context(tempfile.TemporaryDirectory())}/quarantine.jsonl"
        judge = train_judge(
            recipe,
            train,
            out=out,
            overrides=settings,
            folds_from=folds_from,
            overwrite=output.overwrite,
            resume=resume,
            small=training.small,
            reader=reader,
            progress=stack.enter_context(Bars()).steps if is_main else no_progress,
        )
    if not is_main:
        return
    notes = judge.notes
    if "reading" in notes:
        show_readings(notes["reading"] if isinstance(notes["reading"], list) else [notes["reading"]])
    show_cleaning(notes["cleaning"])
    if "drawn" in notes:
        drawn = notes["drawn"]
        print_note(f"trained on {drawn['rows']:,} of {drawn['of']:,} rows, stratified by label")
    show_truncation(judge.fitted.facts.get("cut"))
    results = judge.figures | {"reading": notes.get("reading")}
    options = {"train": train if len(train) > 1 else train[0], "recipe": judge.recipe.dump()}
    if Output(output.json, overwrite=again).write_judge(judge, out, "train", options, results):
        show_out_of_fold(judge.figures, "Out-of-fold metrics, cross-fitted calibration")
        print_facts({"judge": judge_text(judge), "folder": out})


def _is_own_json(json_path: str | None, out: Path) -> bool:
    """Whether results as JSON are those of an earlier, interrupted run with the same output."""
    if json_path in (None, STANDARD):
        return False
    try:
        found = json.loads(Path(str(json_path)).read_text("utf-8"))
        return bool(found["judge"]["folder"] == str(out))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
