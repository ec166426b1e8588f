"""votecast rerank: the best of n answers to each prompt of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from votecast.cli.options import (
    Flag,
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
from votecast.errors import ConfigError


def rerank(
    *,
    input: str,
    out: Path,
    judge: JudgeOrRecipe = "default",
    top: Positive | None = None,
    all: Flag = False,
    bad_rows: Literal["error", "quarantine"] = "error",
    quarantine: Path | None = None,
    limit: Positive | None = None,
    precision: Precision = None,
    small: Small = False,
    resume: Resume = False,
    output: Output = Output(),
    overrides: Overrides = None,
) -> None:
    """Choose the best of several answers to each prompt of a file.

    Every pair of a prompt's candidates is predicted. The score of a candidate is its expected win rate against the
    others, a tie counting one half; the order of the candidates has no effect.

    Args:
        input: JSON lines, Parquet or Arrow with the columns prompt, candidates (a list of answers) and optionally id;
            "-" for standard input.
        out: File of rankings: id, prompt, best, index, scores, judge; its ending chooses jsonl, parquet, arrow or csv.
        top: Also write this many of the best candidates, best first, with their scores.
        all: Also write all candidates, best first, with their scores.
        bad_rows: Stop at an invalid row, or quarantine such rows with their reasons.
        quarantine: Side file for invalid rows; by default <name of the file>.quarantine.jsonl in this folder.
        limit: Read at most this many rows.
    """
    from votecast.jobs.rerank import rerank_file
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import is_link_unfitted

    if all and top is not None:
        raise ConfigError(f"--top {top} and --all are both given; give one of them")
    output.check_results(out, resume=resume)
    loaded = load_judge(judge, parse_overrides(overrides), small=small)
    if is_link_unfitted(loaded):
        print_note(loaded.notes["limits"][0])
    reader: dict[str, object] = {"bad_rows": bad_rows, "overwrite": output.overwrite}
    reader |= {"quarantine": str(quarantine)} if quarantine is not None else {}
    reader |= {"limit": limit} if limit is not None else {}
    with Bars() as bars:
        summary = rerank_file(
            loaded,
            input,
            out,
            top="all" if all else top,
            overwrite=output.overwrite,
            resume=resume,
            reader=reader,
            inference={"precision": precision} if precision else None,
            progress=bars.rows,
        )
    # --json does not depend on kills
    show_run(summary, "ranked", reused=summary.pop("reused"))
    if summary["unranked"]:
        where = summary["unranked_file"]
        print_note(f"{summary['unranked']:,} rows have a pair that cannot be scored and are left out; see {where}")
    if output.write(summary):
        counts = f"{summary['rows']:,} prompts, {summary['candidates']:,} candidates, {summary['pairs']:,} pairs"
        print_facts({"ranked": counts, "judge": judge_text(summary["judge"]), "written": str(out)})
