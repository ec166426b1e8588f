"""votecast train: from a file of votes to a judge folder."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from json import loads as json_of
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from votecast.cli.figures import show_metrics, show_notes
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_cleaning, show_cut, show_reading
from votecast.cli.screen import cite, facts, remark, say, saying_how_to_go_on
from votecast.cli.words import OVERRIDE
from votecast.config import current_launch
from votecast.errors import ConfigError
from votecast.types import no_progress


def train(
    recipe: str,
    /,
    *,
    train: Path,
    out: Path,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    small: Annotated[bool, Parameter(negative=())] = False,
    fold: Annotated[int | None, Parameter(validator=validators.Number(gte=0))] = None,
    rows: Annotated[int | None, Parameter(validator=validators.Number(gte=2))] = None,
    folds_from: str | None = None,
    final: Literal["refit", "average", "average_weights"] | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Train a judge on a file of votes: folds, out-of-fold figures, calibration, judge folder.

    Args:
        recipe: A shipped recipe or family (see votecast recipes), or the path of a YAML file.
        train: File of votes.
        out: Folder to write the judge to.
        reading: How the file is read.
        small: Take the small form of the recipe, which trains in a minute or two on any machine.
        fold: Train and measure this fold alone, numbered from 0, and keep its member.
        rows: Train on at most this many rows, drawn with equal shares of every label after cleaning.
        folds_from: A judge whose folds are used again, row by row.
        final: Train once more on all rows (refit), or keep the members of all folds and average their forecasts
            (average) or their weights (average_weights).
        resume: Continue what a killed run of the same command has left beside the output.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder, and discard unfinished work on it.
        overrides: Override any setting of the recipe by its dotted key, such as --folds.n 3 or --seed 1.
    """
    settings = parse_overrides(overrides or [])
    given = {"seed": reading.seed, "folds.only": fold, "rows": rows, "final": final}
    settings |= {key: str(value) for key, value in given.items() if value is not None}
    main, again = current_launch().is_main, overwrite or resume
    if main:
        check_outputs(json, settings_of_json(json), overwrite=overwrite or (resume and _is_ours(json, out)))
    from votecast.judges.train import train as train_judge

    with contextlib.ExitStack() as stack, saying_how_to_go_on():
        progress = stack.enter_context(Bars()).steps if main else no_progress
        judge = train_judge(
            recipe,
            train,
            out=out,
            overrides=settings,
            folds_from=folds_from,
            overwrite=overwrite,
            resume=resume,
            small=small,
            reader=reading.reader(overwrite=again) | ({} if main else _aside(stack, reading)),
            progress=progress,
        )
    if not main:
        return
    name = {"name": judge.name, "hash": judge.hash}
    show_training_rows(judge.notes, judge.fitted.facts)
    if json is not None:
        results = judge.figures | {"judge": name | {"folder": str(out)}, "reading": judge.notes.get("reading")}
        write_json(results, json, overwrite=again)
        write_settings(json, "train", {"train": train, "recipe": judge.recipe.dump()}, judge=name)
    if json != "-":
        say("Out-of-fold figures, cross-fitted calibration:\n")
        show_metrics(judge.figures)
        say("")
        show_notes(judge.figures, slices=False)
        facts({"judge": cite(name), "folder": out})


def show_training_rows(notes: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Say what was read, cleaned and drawn, and what was cut from the texts."""
    if "reading" in notes:
        show_reading(notes["reading"])
    show_cleaning(notes["cleaning"])
    if "drawn" in notes:
        drawn = notes["drawn"]
        remark(f"trained on {drawn['rows']:,} of {drawn['of']:,} rows, drawn with equal shares of every label")
    show_cut(known.get("cut"))


def _aside(stack: contextlib.ExitStack, reading: Reading) -> dict[str, str]:
    """Let a process beside the main one write its bad rows where nobody looks."""
    if reading.bad_rows == "error":
        return {}
    return {"quarantine": f"{stack.enter_context(tempfile.TemporaryDirectory())}/quarantine.jsonl"}


def _is_ours(json_path: str | None, out: Path) -> bool:
    """Whether results as JSON are those of an earlier, killed run with the same output."""
    if json_path in (None, STANDARD):
        return False
    try:
        found = json_of(Path(str(json_path)).read_text("utf-8"))
        return bool(found["judge"]["folder"] == str(out))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def parse_overrides(given: list[str]) -> dict[str, str]:
    """Turn KEY=VALUE into settings.

    Raises:
        ConfigError: If a key has no value or is given twice.

    Example:
        >>> parse_overrides(["folds.n=3"])
        {'folds.n': '3'}
    """
    settings: dict[str, str] = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--{key} has no value; give one, as in --{key} VALUE")
        if key in settings:
            raise ConfigError(f"--{key} is given twice, as {settings[key]!r} and {value!r}; give it once")
        settings[key] = value
    return settings
