"""votecast rerank: the best of n answers to each prompt of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_path, write_json
from votecast.cli.progress import Bars
from votecast.cli.reading import about_rows, show_cut, show_reading
from votecast.cli.screen import cite, facts, remark, saying_how_to_go_on
from votecast.errors import ConfigError


def rerank(
    *,
    input: str,
    out: Path,
    judge: str = "default",
    top: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    all: Annotated[bool, Parameter(negative=())] = False,
    bad_rows: Literal["error", "quarantine"] = "error",
    quarantine: Path | None = None,
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Choose the best of several answers to each prompt of a file, as a judge forecasts the votes.

    Every pair of a prompt's candidates is forecast. The score of a candidate is its expected win rate against the
    others, a tie counting one half; the order of the candidates plays no part.

    Args:
        input: JSON lines, Parquet or Arrow with the columns prompt, candidates (a list of answers) and perhaps id; "-"
            for standard input.
        out: File of rankings: id, prompt, best, index, scores, judge; its ending chooses jsonl, parquet, arrow or csv.
        judge: A judge folder, bundled:baseline, or default.
        top: Also give this many of the best candidates, best first, with their scores.
        all: Also give all candidates, best first, with their scores.
        bad_rows: Stop at a row that cannot be used, or set such rows aside with their reasons.
        quarantine: Where to set bad rows aside; by default <name of the file>.quarantine.jsonl in this folder.
        limit: Read at most this many rows.
        precision: How exactly a neural judge computes: bf16 is faster and rounds; int8 rounds so much that its log loss
            should be measured first.
        resume: Go on with what a killed run of the same command has left beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
    """
    from votecast.judges.loading import load_judge
    from votecast.reranking import rerank_file

    if all and top is not None:
        raise ConfigError(f"--top {top} and --all are both given; give one of them")
    check_outputs(json, overwrite=overwrite)
    if not resume:
        check_outputs(out, settings_path(out), overwrite=overwrite)
    reader = {"bad_rows": bad_rows, "quarantine": quarantine and str(quarantine), "limit": limit}
    given = {name: value for name, value in reader.items() if value is not None} | {"overwrite": overwrite}
    loaded, expected = load_judge(judge), about_rows(input, given)
    with saying_how_to_go_on(), Bars() as bars:
        summary = rerank_file(
            loaded,
            input,
            out,
            top="all" if all else top,
            overwrite=overwrite,
            resume=resume,
            reader=given,
            inference={"precision": precision} if precision else None,
            progress=lambda done: bars.rows(done, expected),
        )
    show_reading(summary["reading"])
    show_cut(summary["cut"])
    if summary["unranked"]:
        why = summary["unranked_file"]
        remark(f"{summary['unranked']:,} rows have a pair that cannot be scored and are left out; why: {why}")
    if reused := summary.pop("reused"):
        remark(f"{reused:,} rows had been ranked by an earlier run")
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != "-":
        counts = f"{summary['rows']:,} prompts, {summary['candidates']:,} candidates, {summary['pairs']:,} pairs"
        facts({"ranked": counts, "judge": cite(summary["judge"]), "written": str(out)})
