"""votecast predict: from files of battles to probabilities or a submission."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from votecast.cli.options import Cluster, JsonPath, ReadingInput
from votecast.cli.output import check_outputs, settings_path, write_json
from votecast.cli.progress import Bars
from votecast.cli.reading import about_all_rows, about_rows, show_cut, show_reading, show_readings
from votecast.cli.screen import cite, facts, remark, saying_how_to_go_on
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE

if TYPE_CHECKING:
    from votecast.judges.trained import TrainedJudge


def predict(
    *,
    input: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    out: str,
    judge: str = "default",
    format: Literal["votecast", "lmsys", "wsdm"] = "votecast",
    reading: ReadingInput = ReadingInput(),  # noqa: B008 - frozen
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None,
    small: Annotated[bool, Parameter(negative=())] = False,
    unscored: Literal["error", "prior"] = "error",
    resume: Annotated[bool, Parameter(negative=())] = False,
    part_rows: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    engine: Literal["local", "ray"] = "local",
    cluster: Cluster = Cluster(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Forecast battles: probabilities, or a submission; one file to one file, or many to a folder.

    Args:
        input: Files of battles, "-" for standard input; votes in them are not looked at. A quoted glob, a folder or a
            URL (file://, s3://, gs://) can stand for many.
        out: File of predictions; its ending chooses csv, parquet, jsonl or arrow. Or a folder (a trailing slash says
            so) or its URL for parts in Parquet with a manifest.json.
        judge: A judge folder, bundled:baseline, default, or recipe:NAME for a reward model that is used without votes.
        format: votecast (id, p_a, p_b, p_tie), or an lmsys or wsdm submission.
        reading: How the files are read; --limit and --sample hold for each of them.
        precision: How exactly a neural judge computes: bf16 is faster and rounds; int8 rounds so much that its log loss
            should be measured first.
        small: Take the small form of recipe:NAME.
        unscored: What becomes of rows that the judge cannot score: an error once all others are done, or the class
            prior; either way <out>.unscored.jsonl (unscored.jsonl in a folder) tells which, and why.
        resume: Go on with what a killed run of the same command has left beside the output.
        part_rows: Rows of a part of a folder, a multiple of 1024 (by default 4096): as much work as a kill can cost.
        engine: What works at a folder: this process, or actors of Ray on this machine or on a cluster. Both write the
            same bytes.
        cluster: Where Ray works, and with how much.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
        overrides: Any setting of recipe:NAME by its dotted key, such as --model.name FOLDER.
    """
    from votecast.jobs.input_files import wants_folder
    from votecast.judges.load import load_judge

    check_outputs(json, overwrite=overwrite)
    to_folder = wants_folder(input, out)
    cluster.check(engine, to_folder=to_folder, part_rows=part_rows)
    if not to_folder and not resume:
        check_outputs(out, settings_path(out), overwrite=overwrite)
    loaded = load_judge(judge, parse_overrides(overrides or []), small=small)
    if (loaded.notes.get("link") or {}).get("fitted") is False:
        remark(loaded.notes["limits"][0])
    options: dict[str, Any] = {"format": format, "overwrite": overwrite, "resume": resume}
    options |= {"reader": reading.reader(overwrite=overwrite), "unscored": "prior" if unscored == "prior" else None}
    options |= {"inference": {"precision": precision} if precision else None}
    if to_folder:
        options |= {"part_rows": part_rows} if part_rows else {}
        summary = _to_folder(loaded, input, out, cluster.engine(engine, judge, loaded), options)
    else:
        summary = _to_file(loaded, input[0], Path(out), options)
    _show(summary, out, json, overwrite=overwrite)


def _to_file(judge: TrainedJudge, input: str, out: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    from votecast.jobs.predict import predict_file

    expected = about_rows(input, options["reader"])
    with saying_how_to_go_on(), Bars() as bars:
        summary = predict_file(judge, input, out, **options, progress=lambda done: bars.pairs(done, expected))
    show_reading(summary["reading"])
    return summary


def _to_folder(
    judge: TrainedJudge, inputs: list[str], out: str, engine: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    from votecast.jobs.predict_folder import predict_folder

    expected = about_all_rows(inputs, options["reader"])
    with saying_how_to_go_on(), Bars() as bars:
        summary = predict_folder(
            judge, inputs, out, **options, engine=engine, progress=lambda done: bars.pairs(done, expected)
        )
    show_readings(summary["reading"])
    return summary


def _show(summary: dict[str, Any], out: str, json: str | None, *, overwrite: bool) -> None:
    """Say what was done."""
    show_cut(summary["cut"])
    if reused := summary.pop("reused"):
        remark(f"{reused:,} rows had been forecast by an earlier run")
    is_folder = "parts" in summary
    if missed := summary["unscored"]:
        where = f"{out.rstrip('/')}/unscored.jsonl" if is_folder else f"{out}.unscored.jsonl"
        remark(f"{missed:,} rows could not be scored and have the class prior; why: {where}")
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != "-":
        rows, what = f"{summary['rows']:,}", summary["format"]
        if is_folder:
            rows += f" from {_count(summary['inputs'], 'input')}"
            what = f"{_count(summary['parts'], 'part')} and manifest.json, {what}"
        facts({"rows": rows, "judge": cite(summary["judge"]), "written": f"{out} ({what})"})


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
