"""votecast decide: decisions on a file of battles with a bounded error rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from votecast.cli.options import (
    STANDARD,
    AllowLeak,
    InputReadOptions,
    JudgeName,
    Output,
    Precision,
    Resume,
    VoteFormat,
)
from votecast.cli.screen import Bars, judge_text, print_facts, print_note, print_prose
from votecast.cli.summaries import show_reading, show_truncation
from votecast.errors import ConfigError


def decide(
    *,
    input: str,
    calibration: str,
    out: Path,
    judge: JudgeName = "default",
    error: float = 0.10,
    confidence: float = 0.90,
    method: Literal["ltt", "sgr"] = "ltt",
    reading: InputReadOptions = InputReadOptions(),
    calibration_format: VoteFormat = "auto",
    allow_leak: AllowLeak = False,
    precision: Precision = None,
    unscored: Literal["error", "prior"] = "error",
    resume: Resume = False,
    output: Output = Output(),
) -> None:
    """Decide the battles of a file with a bounded error rate; abstain on the others.

    Args:
        input: File of battles, "-" for standard input; votes in it are ignored.
        calibration: File of votes that the judge was not trained on, drawn like the battles; a few hundred prompts.
        out: File of decisions (id, p_a, p_b, p_tie, decision, confidence); its ending chooses csv, parquet, jsonl or
            arrow.
        error: Largest share of decided pairs whose vote is another than the decision; a tie is another vote.
        confidence: Confidence with which the bound holds.
        method: Learn then Test (ltt), or selection with guaranteed risk (sgr).
        calibration_format: Format of the calibration votes; auto detects it by their columns.
        unscored: Rows that the judge cannot score: fail once all others are done, or abstain (prior); either way
            <out>.unscored.jsonl lists them with reasons.
    """
    from votecast.data.outputs.table_writer import container_of
    from votecast.data.reader import read_votes
    from votecast.jobs.decide import check_bound, decide_file, fit_rule
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import reader_numbers, set_inference

    check_bound(error, confidence, method)
    container_of(out)  # an unknown ending is an error before any work
    if input == calibration == STANDARD:
        raise ConfigError("--input and --calibration are both standard input; name a file for one of them")
    output.check_results(out, resume=resume)
    loaded = load_judge(judge)
    inference = {"precision": precision} if precision else {}
    set_inference(loaded, inference)
    with Bars() as bars:
        bars.steps("calibrating", 0, 1)
        votes = read_votes(calibration, labels="required", format=calibration_format, **reader_numbers(loaded))
        bound: dict[str, Any] = {"error": error, "confidence": confidence, "method": method}
        rule = fit_rule(loaded, votes, seed=reading.seed or 0, allow_leak=allow_leak, **bound)
        summary = decide_file(
            loaded,
            rule,
            input,
            out,
            overwrite=output.overwrite,
            resume=resume,
            reader=reading.reader(overwrite=output.overwrite),
            about={"calibration": calibration},
            votes=votes,
            inference=inference,
            unscored=unscored,
            progress=bars.pairs,
        )
    assert votes.report is not None  # they come from a file
    summary["calibration"] = votes.report.to_dict()
    show_reading(summary["calibration"])
    show_reading(summary["reading"])
    show_truncation(summary["cut"])
    if output.write(summary):
        _show(summary, out)


def _show(summary: dict[str, Any], out: Path) -> None:
    """Show what was decided, and the bound on the error."""
    rule, counts, total = summary["rule"], summary["decisions"], summary["rows"]
    found, threshold = rule["found"], rule["found"]["threshold"]
    for note in (*rule["notes"], *summary["shared"]["notes"]):
        print_note(f"note: {note}")
    tested = f"{found['rows']:,} of {rule['votes']:,} votes, one for each prompt, of {rule['prompts']:,} prompts"
    if rule["method"] == "ltt":
        tested += "; a separate fifth of the prompts chose the thresholds to be tested"
    above = f"; above the threshold {found['wrong']:,} of {found['decided']:,} were wrong"
    decided, abstained = (
        f"{count:,} of {total:,} ({count / max(total, 1):.1%})" for count in (counts["a"] + counts["b"], counts["open"])
    )
    print_facts(
        {
            "decided": f"{decided}: {counts['a']:,} for a, {counts['b']:,} for b",
            "abstained": abstained,
            "threshold": "none" if threshold is None else f"max(p_a, p_b) of at least {threshold:.4f}",
            "tested on": f"{tested} ({rule['method']}){'' if threshold is None else above}",
            "judge": judge_text(summary["judge"]),
            "written": out,
        }
    )
    print_prose(f"guarantee  {rule['promise']}", indent=11)  # the key keeps its first name
