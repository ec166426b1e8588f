"""votecast score: from a file of battles to the raw rewards of both answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath, ReadingInput
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import about_rows, show_cut, show_reading
from votecast.cli.screen import facts, remark, saying_how_to_go_on
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE
from votecast.config import merge_settings, nest_overrides
from votecast.errors import ConfigError


def score(
    *,
    model: str,
    input: str,
    out: Path,
    revision: str | None = None,
    weights: Literal["fp32", "bf16", "fp16", "int8", "nf4"] | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    small: Annotated[bool, Parameter(negative=())] = False,
    cache: Path | None = None,
    reading: ReadingInput = ReadingInput(),  # noqa: B008 - frozen
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Score both answers of every row with a reward model: id, score_a, score_b.

    Args:
        model: Folder or hub name of a reward model, recipe:NAME, or the folder of a reward judge.
        input: File of battles, "-" for standard input; votes in it are not looked at.
        out: File of scores; its ending chooses csv, parquet, jsonl or arrow. What made them is kept with it.
        revision: Commit, branch or tag of a model on the hub.
        weights: What the model's weights are held in; nf4 is 4 bits. fp32 unless a recipe says otherwise.
        precision: How exactly the model computes.
        small: Take the small form of recipe:NAME.
        cache: File of rewards that is asked first and added to, by content, model and settings.
        reading: How the file is read.
        resume: Go on with what a killed run of the same command has left beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
        overrides: Any setting of the model by its dotted key, such as --model.text.max_length 1024.
    """
    check_outputs(json, settings_of_json(json), overwrite=overwrite or resume)
    settings = _settings(overrides or [], {"revision": revision, "weights": weights}, precision)
    reader = reading.reader(overwrite=overwrite)
    expected = about_rows(input, reader)
    from votecast.jobs.score import score_file

    with saying_how_to_go_on(), Bars() as bars:
        summary = score_file(
            model,
            input,
            out,
            settings=settings,
            small=small,
            cache=cache,
            overwrite=overwrite,
            resume=resume,
            reader=reader,
            progress=lambda done: bars.pairs(done, expected),
        )
    show_reading(summary["reading"])
    show_cut(summary["cut"])
    if reused := summary.pop("reused"):
        remark(f"{reused:,} rows had been scored by an earlier run")
    if summary["unscored"]:
        remark(f"{summary['unscored']:,} rows could not be scored and are left out; why: {summary['unscored_file']}")
    if json is not None:
        write_json(summary, json, overwrite=overwrite or resume)
        asked = {"model": model, "input": input, "out": out, "settings": settings, "small": small}
        write_settings(json, "score", asked)
    if json != STANDARD:
        scored = summary["rows"] - summary["unscored"]
        facts({"rows scored": f"{scored:,}", "model": _cited(summary["made_by"]), "written": out})


def _settings(overrides: list[str], named: dict[str, Any], precision: str | None) -> dict[str, Any]:
    """The settings of the model, nested; those of a recipe that are not the model's have no meaning here."""
    given = nest_overrides(parse_overrides(overrides))
    if others := sorted(set(given) - {"model"}):
        raise ConfigError(
            f"--{others[0]} is no setting of the model; those begin with --model., such as --model.text.cut"
        )
    settings = {name: value for name, value in named.items() if value is not None}
    settings |= {} if precision is None else {"inference": {"precision": precision}}
    return merge_settings(given.get("model", {}), settings)


def _cited(made_by: dict[str, Any]) -> str:
    known = made_by["sha256"] or made_by["revision"]
    return f"{made_by['model']} ({str(known)[:12]})" if known else str(made_by["model"])
