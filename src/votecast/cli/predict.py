"""votecast predict: from a file of battles to probabilities or a submission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath, ReadingInput
from votecast.cli.output import check_outputs, settings_path, write_json
from votecast.cli.progress import Bars
from votecast.cli.reading import about_rows, show_cut, show_reading
from votecast.cli.screen import cite, facts, remark, saying_how_to_go_on
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE


def predict(
    *,
    input: str,
    out: Path,
    judge: str = "default",
    format: Literal["votecast", "lmsys", "wsdm"] = "votecast",
    reading: ReadingInput = ReadingInput(),  # noqa: B008 - frozen
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None,
    small: Annotated[bool, Parameter(negative=())] = False,
    unscored: Literal["error", "prior"] = "error",
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Forecast a file of battles: probabilities, or a submission.

    Args:
        input: File of battles, "-" for standard input; votes in it are not looked at.
        out: File of predictions; its ending chooses csv, parquet, jsonl or arrow.
        judge: A judge folder, bundled:baseline, default, or recipe:NAME for a reward model that is used without votes.
        format: votecast (id, p_a, p_b, p_tie), or an lmsys or wsdm submission.
        reading: How the file is read.
        precision: How exactly a neural judge computes: bf16 is faster and rounds; int8 rounds so much that its log loss
            should be measured first.
        small: Take the small form of recipe:NAME.
        unscored: What becomes of rows that the judge cannot score: an error once all others are done, or the class
            prior; either way <out>.unscored.jsonl tells which, and why.
        resume: Go on with what a killed run of the same command has left beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
        overrides: Any setting of recipe:NAME by its dotted key, such as --model.name FOLDER.
    """
    from votecast.judges.loading import load_judge
    from votecast.judges.unscored import unscored_path
    from votecast.predicting import predict_file

    check_outputs(json, overwrite=overwrite)
    if not resume:
        check_outputs(out, settings_path(out), overwrite=overwrite)
    loaded = load_judge(judge, parse_overrides(overrides or []), small=small)
    if (loaded.notes.get("link") or {}).get("fitted") is False:
        remark(loaded.notes["limits"][0])
    reader = reading.reader(overwrite=overwrite)
    expected = about_rows(input, reader)
    with saying_how_to_go_on(), Bars() as bars:
        summary = predict_file(
            loaded,
            input,
            out,
            format=format,
            overwrite=overwrite,
            resume=resume,
            reader=reader,
            inference={"precision": precision} if precision else None,
            unscored="prior" if unscored == "prior" else None,
            progress=lambda done: bars.pairs(done, expected),
        )
    show_reading(summary["reading"])
    show_cut(summary["cut"])
    if reused := summary.pop("reused"):
        remark(f"{reused:,} rows had been forecast by an earlier run")
    if missed := summary["unscored"]:
        remark(f"{missed:,} rows could not be scored and have the class prior; why: {unscored_path(out)}")
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != "-":
        facts({"rows": f"{summary['rows']:,}", "judge": cite(summary["judge"]), "written": f"{out} ({format})"})
