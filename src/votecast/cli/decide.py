"""votecast decide: decisions on a file of battles that are wrong no more often than was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from votecast.cli.options import JsonPath, ReadingInput, VoteFormat
from votecast.cli.output import STANDARD, check_outputs, settings_path, write_json
from votecast.cli.progress import Bars
from votecast.cli.reading import about_rows, show_cut, show_reading
from votecast.cli.screen import cite, facts, prose, remark, saying_how_to_go_on
from votecast.errors import ConfigError


def decide(
    *,
    input: str,
    calibration: str,
    out: Path,
    judge: str = "default",
    error: float = 0.10,
    confidence: float = 0.90,
    method: Literal["ltt", "sgr"] = "ltt",
    reading: ReadingInput = ReadingInput(),  # noqa: B008 - frozen
    calibration_format: VoteFormat = "auto",
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None,
    unscored: Literal["error", "prior"] = "error",
    resume: Annotated[bool, Parameter(negative=())] = False,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Decide a file of battles as far as the error among the decided stays under a level; the others are left open.

    Args:
        input: File of battles, "-" for standard input; votes in it are not looked at.
        calibration: File of votes that the judge was not trained on, drawn like the battles; a few hundred prompts.
        out: File of decisions (id, p_a, p_b, p_tie, decision, confidence); its ending chooses csv, parquet, jsonl or
            arrow.
        judge: A judge folder, bundled:baseline, or default.
        error: How often a vote may be another than the decision, among the decided pairs; a tie is another vote.
        confidence: How surely that is kept.
        method: Learn then Test (ltt), or selection with guaranteed risk (sgr).
        reading: How the file is read.
        calibration_format: Format of the calibration votes; auto finds it by their columns.
        allow_leak: Go on although calibration votes share prompts with the judge's training data.
        precision: How exactly a neural judge computes.
        unscored: What becomes of rows that the judge cannot score: an error once all others are done, or left open
            (prior); either way <out>.unscored.jsonl tells which, and why.
        resume: Go on with what a killed run of the same command has left beside the output.
        json: Write a summary as JSON ("-" is standard output).
        overwrite: Replace existing outputs, and discard unfinished work on them.
    """
    from votecast.data.outputs.table_writer import container_of
    from votecast.jobs.decide import check_asked, decide_file, fit_rule
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import set_inference

    check_asked(error, confidence, method)
    container_of(out)
    if input == calibration == STANDARD:
        raise ConfigError("--input and --calibration both are standard input; name a file for one of them")
    check_outputs(json, overwrite=overwrite)
    if not resume:
        check_outputs(out, settings_path(out), overwrite=overwrite)
    loaded = load_judge(judge)
    inference = {"precision": precision} if precision else {}
    set_inference(loaded, inference)
    reader = reading.reader(overwrite=overwrite)
    expected = about_rows(input, reader)
    with saying_how_to_go_on(), Bars() as bars:
        bars.steps("calibrating", 0, 1)
        votes = _votes(calibration, calibration_format, loaded)
        asked: dict[str, Any] = {"error": error, "confidence": confidence, "method": method, "allow_leak": allow_leak}
        rule = fit_rule(loaded, votes, seed=reading.seed or 0, **asked)
        summary = decide_file(
            loaded,
            rule,
            input,
            out,
            overwrite=overwrite,
            resume=resume,
            reader=reader,
            about={"calibration": calibration},
            votes=votes,
            inference=inference or None,
            unscored="prior" if unscored == "prior" else None,
            progress=lambda done: bars.pairs(done, expected),
        )
    summary["calibration"] = votes.report.to_dict()
    show_reading(summary["calibration"])
    show_reading(summary["reading"])
    show_cut(summary["cut"])
    if json is not None:
        write_json(summary, json, overwrite=overwrite)
    if json != STANDARD:
        show(summary, out)


def _votes(path: str, format: str, judge: Any) -> Any:
    from votecast.data.reader import read_votes
    from votecast.judges.predict_batch import reader_numbers

    return read_votes(path, labels="required", format=format, **reader_numbers(judge))


def show(summary: Mapping[str, Any], out: Path) -> None:
    """Show what was decided, and what is promised of it."""
    rule, counts, total = summary["rule"], summary["decisions"], summary["rows"]
    found, decided = rule["found"], counts["a"] + counts["b"]
    for note in (*rule["notes"], *summary["shared"]["notes"]):
        remark(f"note: {note}")
    above = f"; above the threshold {found['wrong']:,} of {found['decided']:,} were wrong"
    tested = f"{found['rows']:,} of {rule['votes']:,} votes, one for each prompt, of {rule['prompts']:,} prompts"
    if rule["method"] == "ltt":
        tested += "; a fifth of the prompts chose the thresholds to be tested, and tests none"
    is_found = found["threshold"] is not None
    facts(
        {
            "decided": f"{_share(decided, total)}: {counts['a']:,} for a, {counts['b']:,} for b",
            "left open": _share(counts["open"], total),
            "threshold": f"max(p_a, p_b) of at least {found['threshold']:.4f}" if is_found else "none",
            "tested on": f"{tested} ({rule['method']}){above if is_found else ''}",
            "judge": cite(summary["judge"]),
            "written": out,
        }
    )
    prose(f"promise    {rule['promise']}", indent=11)


def _share(count: int, of: int) -> str:
    return f"{count:,} of {of:,} ({count / max(of, 1):.1%})"
