"""votecast rerank: the best of n answers to each prompt of a file."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, settings_path, write_json
from votecast.cli.progress import Bars
from votecast.cli.reading import about_rows, show_cut, show_reading
from votecast.cli.screen import cite, facts, remark, saying_how_to_go_on
from votecast.cli.train import parse_overrides
from votecast.cli.words import OVERRIDE
from votecast.errors import ConfigError, VotecastError

_HEAD_ROWS = 64


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
    small: Annotated[bool, Parameter(negative=())] = False,
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    overrides: Annotated[list[str] | None, Parameter(name=OVERRIDE, negative=())] = None,
) -> None:
    """Choose the best of several answers to each prompt of a file, as a judge forecasts the votes.

    Every pair of a prompt's candidates is forecast. The score of a candidate is its expected win rate against the
    others, a tie counting one half; the order of the candidates plays no part.

    Args:
        input: JSON lines, Parquet or Arrow with the columns prompt, candidates (a list of answers) and perhaps id; "-"
            for standard input.
        out: File of rankings: id, prompt, best, index, scores, judge; its ending chooses jsonl, parquet, arrow or csv.
        judge: A judge folder, bundled:baseline, default, or recipe:NAME for a reward model that is used without votes.
        top: Also give this many of the best candidates, best first, with their scores.
        all: Also give all candidates, best first, with their scores.
        bad_rows: Stop at a row that cannot be used, or set such rows aside with their reasons.
        quarantine: Where to set bad rows aside; by default <name of the file>.quarantine.jsonl in this folder.
        limit: Read at most this many rows.
        precision: How exactly a neural judge computes: bf16 is faster and rounds; int8 rounds so much that its log loss
            should be measured first.
        small: Take the small form of recipe:NAME.
        resume: Go on with what a killed run of the same command has left beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
        overrides: Any setting of recipe:NAME by its dotted key, such as --model.name FOLDER.
    """
    from votecast.jobs.rerank import rerank_file
    from votecast.judges.load import load_judge

    if all and top is not None:
        raise ConfigError(f"--top {top} and --all are both given; give one of them")
    check_outputs(json, overwrite=overwrite)
    if not resume:
        check_outputs(out, settings_path(out), overwrite=overwrite)
    reader = {"bad_rows": bad_rows, "quarantine": quarantine and str(quarantine), "limit": limit}
    given = {name: value for name, value in reader.items() if value is not None} | {"overwrite": overwrite}
    loaded, expected = load_judge(judge, parse_overrides(overrides or []), small=small), _about_rows(input, limit)
    if (loaded.notes.get("link") or {}).get("fitted") is False:
        remark(loaded.notes["limits"][0])
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


def _about_rows(path: str, limit: int | None) -> int | None:
    """About how many rows a file has, from its size and that of its first rows; None where that cannot be told."""
    from votecast.data.candidates import CandidateReader
    from votecast.data.outputs.table_writer import as_json

    if path.endswith(".parquet"):
        return about_rows(path, {"limit": limit})
    if path == "-" or not Path(path).is_file() or path.endswith((".gz", ".zst")):
        return None
    with contextlib.suppress(VotecastError):  # whoever reads the file says what is wrong with it
        head = list(itertools.islice(CandidateReader(path), _HEAD_ROWS))
        size = sum(len(as_json([row.id, row.given_prompt, row.given]).encode()) for row in head)
        rows = round(Path(path).stat().st_size * len(head) / size) if head else 0
        return min(rows, limit or rows)
    return None
