"""votecast predict: from files of battles to probabilities or a submission."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.options import (
    Cluster,
    InputReadOptions,
    JudgeOrRecipe,
    Output,
    Overrides,
    Positive,
    Precision,
    Resume,
    Small,
    parse_overrides,
)
from votecast.cli.screen import Bars, judge_text, print_facts, print_note
from votecast.cli.summaries import show_run


def predict(
    *,
    input: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    out: str,
    judge: JudgeOrRecipe = "default",
    format: Literal["votecast", "lmsys", "wsdm"] = "votecast",
    reading: InputReadOptions = InputReadOptions(),
    precision: Precision = None,
    small: Small = False,
    unscored: Literal["error", "prior"] = "error",
    resume: Resume = False,
    part_rows: Positive | None = None,
    engine: Literal["local", "ray"] = "local",
    cluster: Cluster = Cluster(),
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Write the probabilities of every battle of a file, or a submission; many files go into a folder.

    Args:
        input: Files of battles, "-" for standard input; votes in them are ignored. A quoted glob, a folder or a URL
            (file://, s3://, gs://) can stand for many.
        out: File of predictions; its ending chooses csv, parquet, jsonl or arrow. Or a folder (with a trailing slash)
            or its URL for parts in Parquet with a manifest.json.
        format: votecast (id, p_a, p_b, p_tie), or an lmsys or wsdm submission.
        unscored: For rows that the judge cannot score: error fails once all others are done, prior writes the class
            prior; either way <out>.unscored.jsonl (unscored.jsonl in a folder) lists them with reasons.
        part_rows: Rows of each part in a folder, a multiple of 1024 (4096 by default); a killed run loses at most one
            part.
        engine: For a folder: local predicts in this process, ray in actors on this machine or a cluster. Both write
            the same bytes.
    """
    from votecast.jobs.input_files import wants_folder
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import is_link_unfitted

    to_folder = wants_folder(input, out)
    cluster.check(engine, to_folder=to_folder, part_rows=part_rows)
    # predict_folder checks a folder itself, since a finished one can be continued
    output.check_results(out, resume=resume or to_folder)
    loaded = load_judge(judge, parse_overrides(overrides), small=small)
    if is_link_unfitted(loaded):
        print_note(loaded.notes["limits"][0])
    options: dict[str, Any] = {
        "format": format,
        "overwrite": output.overwrite,
        "resume": resume,
        "reader": reading.reader(overwrite=output.overwrite),
        "unscored": unscored,
        "inference": {"precision": precision} if precision else None,
    }
    with Bars() as bars:
        if to_folder:
            from votecast.jobs.predict_folder import predict_folder

            options |= {"part_rows": part_rows} if part_rows else {}
            worker = cluster.engine(engine, judge, loaded)
            summary = predict_folder(loaded, input, out, **options, engine=worker, progress=bars.pairs)
        else:
            from votecast.jobs.predict import predict_file

            summary = predict_file(loaded, input[0], out, **options, progress=bars.pairs)
    rows, written, listed = f"{summary['rows']:,}", summary["format"], f"{out}.unscored.jsonl"
    if to_folder:
        inputs, parts = summary["inputs"], summary["parts"]
        rows += f" from {inputs:,} input{'' if inputs == 1 else 's'}"
        written = f"{parts:,} part{'' if parts == 1 else 's'} and manifest.json, {written}"
        listed = f"{out.rstrip('/')}/unscored.jsonl"
    # --json does not depend on kills
    show_run(summary, "predicted", reused=summary.pop("reused"))
    if missed := summary["unscored"]:
        print_note(f"{missed:,} rows could not be scored and have the class prior; see {listed}")
    if output.write(summary):
        print_facts({"rows": rows, "judge": judge_text(summary["judge"]), "written": f"{out} ({written})"})
