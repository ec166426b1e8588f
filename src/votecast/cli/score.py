"""votecast score: from a file of battles to the rewards of both answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from votecast.cli.options import InputReadOptions, Output, Overrides, Resume, Small, parse_overrides
from votecast.cli.screen import Bars, print_facts, print_note
from votecast.cli.summaries import show_run
from votecast.config import merge_settings, nest_overrides
from votecast.errors import ConfigError


def score(
    *,
    model: str,
    input: str,
    out: Path,
    revision: str | None = None,
    weights: Literal["fp32", "bf16", "fp16", "int8", "nf4"] | None = None,
    precision: Literal["auto", "fp32", "bf16", "fp16"] | None = None,
    small: Small = False,
    cache: Path | None = None,
    reading: InputReadOptions = InputReadOptions(),
    resume: Resume = False,
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Score both answers of every row with a reward model: id, score_a, score_b.

    Args:
        model: Folder or hub name of a reward model, recipe:NAME, or the folder of a reward judge.
        input: File of battles, "-" for standard input; votes in it are ignored.
        out: File of scores; its ending chooses csv, parquet, jsonl or arrow. The model is recorded with them.
        revision: Commit, branch or tag of a model on the hub.
        weights: Type of the model's weights; nf4 is 4 bits. fp32 unless a recipe sets another.
        precision: Precision of the computation.
        cache: File of rewards that is read first and extended, by content, model and settings.
    """
    from votecast.jobs.score import score_file

    results = Output(output.json, overwrite=output.overwrite or resume)
    results.check()
    given = nest_overrides(parse_overrides(overrides))
    if others := sorted(set(given) - {"model"}):
        raise ConfigError(
            f"--{others[0]} is no setting of the model; those begin with --model., such as --model.text.cut"
        )
    named = {"revision": revision, "weights": weights, "inference": precision and {"precision": precision}}
    named = {name: value for name, value in named.items() if value is not None}
    settings = merge_settings(given.get("model", {}), named)
    with Bars() as bars:
        summary = score_file(
            model,
            input,
            out,
            settings=settings,
            small=small,
            cache=cache,
            overwrite=output.overwrite,
            resume=resume,
            reader=reading.reader(overwrite=output.overwrite),
            progress=bars.pairs,
        )
    # --json does not depend on kills
    show_run(summary, "scored", reused=summary.pop("reused"))
    if summary["unscored"]:
        print_note(f"{summary['unscored']:,} rows could not be scored and are left out; see {summary['unscored_file']}")
    options = {"model": model, "input": input, "out": out, "settings": settings, "small": small}
    if results.write(summary, "score", options):
        made_by = summary["made_by"]
        known = made_by["sha256"] or made_by["revision"]
        name = f"{made_by['model']} ({str(known)[:12]})" if known else str(made_by["model"])
        print_facts({"rows scored": f"{summary['rows'] - summary['unscored']:,}", "model": name, "written": out})
