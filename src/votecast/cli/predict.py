"""votecast predict: from files of battles to probabilities or a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.options import (
    Cluster,
    Flag,
    InputReadOptions,
    Output,
    Overrides,
    Positive,
    Precision,
    parse_overrides,
    settings_path,
)
from votecast.cli.screen import Bars, cite, print_facts, print_note
from votecast.cli.summaries import show_reading, show_readings, show_truncation


def predict(
    *,
    input: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    out: str,
    judge: str = "default",
    format: Literal["votecast", "lmsys", "wsdm"] = "votecast",
    reading: InputReadOptions = InputReadOptions(),
    precision: Precision | None = None,
    small: Flag = False,
    unscored: Literal["error", "prior"] = "error",
    resume: Flag = False,
    part_rows: Positive | None = None,
    engine: Literal["local", "ray"] = "local",
    cluster: Cluster = Cluster(),
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Predict battles: probabilities, or a submission; one file to one file, or many to a folder.

    Args:
        input: Files of battles, "-" for standard input; votes in them are ignored. A quoted glob, a folder or a URL
            (file://, s3://, gs://) can stand for many.
        out: File of predictions; its ending chooses csv, parquet, jsonl or arrow. Or a folder (with a trailing slash)
            or its URL for parts in Parquet with a manifest.json.
        judge: A judge folder, bundled:baseline, default, or recipe:NAME for a reward model that is used without votes.
        format: votecast (id, p_a, p_b, p_tie), or an lmsys or wsdm submission.
        reading: How the files are read; --limit and --sample hold for each of them.
        precision: Precision of a neural judge: bf16 is faster and rounds; int8 rounds so much that its log loss should
            be measured first.
        small: Use the small form of recipe:NAME.
        unscored: Rows that the judge cannot score: fail once all others are done, or write the class prior; either way
            <out>.unscored.jsonl (unscored.jsonl in a folder) lists them with reasons.
        resume: Continue from the partial output of an interrupted run of the same command.
        part_rows: Rows of a part of a folder, a multiple of 1024 (by default 4096): the most work a kill can lose.
        engine: What fills a folder: this process, or actors of Ray on this machine or on a cluster. Both write the
            same bytes.
        cluster: Where Ray runs, and with how much.
        output: Where results go.
        overrides: Any setting of recipe:NAME by its dotted key, such as --model.name FOLDER.
    """
    from votecast.jobs.input_files import wants_folder
    from votecast.judges.load import load_judge

    output.check(settings=False)
    to_folder = wants_folder(input, out)
    cluster.check(engine, to_folder=to_folder, part_rows=part_rows)
    if not to_folder and not resume:
        output.check(out, settings_path(out), settings=False)
    loaded = load_judge(judge, parse_overrides(overrides), small=small)
    if (loaded.notes.get("link") or {}).get("fitted") is False:
        print_note(loaded.notes["limits"][0])
    options: dict[str, Any] = {
        "format": format,
        "overwrite": output.overwrite,
        "resume": resume,
        "reader": reading.reader(overwrite=output.overwrite),
        "unscored": "prior" if unscored == "prior" else None,
        "inference": {"precision": precision} if precision else None,
    }
    if to_folder:
        from votecast.jobs.predict_folder import predict_folder

        options |= {"part_rows": part_rows} if part_rows else {}
        worker = cluster.engine(engine, judge, loaded)
        with Bars() as bars:
            summary = predict_folder(loaded, input, out, **options, engine=worker, progress=bars.pairs)
        show_readings(summary["reading"])
    else:
        from votecast.jobs.predict import predict_file

        with Bars() as bars:
            summary = predict_file(loaded, input[0], Path(out), **options, progress=bars.pairs)
        show_reading(summary["reading"])
    show_truncation(summary["cut"])
    if reused := summary.pop("reused"):
        print_note(f"resumed: {reused:,} rows were predicted by an earlier run")
    if missed := summary["unscored"]:
        where = f"{out.rstrip('/')}/unscored.jsonl" if to_folder else f"{out}.unscored.jsonl"
        print_note(f"{missed:,} rows could not be scored and have the class prior; see {where}")
    if output.write(summary):
        rows, written = f"{summary['rows']:,}", summary["format"]
        if to_folder:
            rows += f" from {_count(summary['inputs'], 'input')}"
            written = f"{_count(summary['parts'], 'part')} and manifest.json, {written}"
        print_facts({"rows": rows, "judge": cite(summary["judge"]), "written": f"{out} ({written})"})


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
