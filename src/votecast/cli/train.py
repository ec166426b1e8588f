"""votecast train: from a file of votes to a judge folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from votecast.cli.figures import show_metrics, show_notes
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_cleaning, show_reading
from votecast.cli.screen import cite, facts, say
from votecast.cli.words import OVERRIDE
from votecast.errors import ConfigError


def train(
    recipe: str,
    /,
    *,
    train: Path,
    out: Path,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    folds_from: str | None = None,
    final: Literal["refit", "average"] | None = None,
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
        folds_from: A judge whose folds are used again, row by row.
        final: Train once more on all rows (refit), or keep the members of all folds and average them.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing judge folder.
        overrides: Override any setting of the recipe by its dotted key, such as --folds.n 3 or --seed 1.
    """
    settings = parse_overrides(overrides or [])
    check_outputs(out, json, settings_of_json(json), overwrite=overwrite)
    from votecast.pipeline import train as train_judge

    if reading.seed is not None:
        settings["seed"] = str(reading.seed)
    if final is not None:
        settings["final"] = final
    with Bars() as bars:
        judge = train_judge(
            recipe,
            train,
            out=out,
            overrides=settings,
            folds_from=folds_from,
            overwrite=overwrite,
            reader=reading.reader(overwrite=overwrite),
            progress=bars.steps,
        )
    name = {"name": judge.name, "hash": judge.hash}
    if "reading" in judge.notes:
        show_reading(judge.notes["reading"])
    show_cleaning(judge.notes["cleaning"])
    if json is not None:
        results = judge.figures | {"judge": name | {"folder": str(out)}, "reading": judge.notes.get("reading")}
        write_json(results, json, overwrite=overwrite)
        write_settings(json, "train", {"train": train, "recipe": judge.recipe.dump()}, judge=name)
    if json != "-":
        say("Out-of-fold figures, cross-fitted calibration:\n")
        show_metrics(judge.figures)
        say("")
        show_notes(judge.figures, slices=False)
        facts({"judge": cite(name), "folder": out})


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
