"""votecast evaluate: the metrics of a judge, or of a file of its predictions, on votes."""

from __future__ import annotations

from pathlib import Path

from votecast.cli.options import AllowLeak, Draws, OutOfFoldFlag, Output, ReadOptions, check_out_of_fold
from votecast.cli.screen import Bars, judge_text, print_facts, print_line
from votecast.cli.summaries import show_comparison, show_metrics, show_notes, show_reading, show_slices
from votecast.errors import ConfigError


def evaluate(
    *,
    input: str,
    judge: str | None = None,
    predictions: Path | None = None,
    against: str | None = None,
    truth: Path | None = None,
    reading: ReadOptions = ReadOptions(),
    allow_leak: AllowLeak = False,
    out_of_fold: OutOfFoldFlag = False,
    draws: Draws = 1000,
    slices: bool = True,
    output: Output = Output(),
) -> None:
    """Evaluate a judge, or a file of its predictions, on votes.

    Args:
        input: File of votes, "-" for standard input.
        judge: A judge folder, bundled:baseline, bundled:encoder or default; default if no predictions are given.
        predictions: File written by votecast predict; rows are matched by id.
        against: Another judge, or a file of predictions, to compare with on the same votes: differences with paired
            bootstrap intervals.
        truth: True probabilities of simulated votes (.truth.parquet), shown beside the baselines.
        slices: Whether to show metrics by length, turns, language and source.
    """
    from votecast.data.reader import read_votes
    from votecast.data.simulation import read_truth
    from votecast.judges.evaluate import Predictions, load_predictor, numbers_of_both
    from votecast.judges.evaluate import evaluate as evaluate_votes
    from votecast.judges.load import load_judge

    if judge is not None and predictions is not None:
        raise ConfigError("--judge and --predictions are both given; give one of them")
    check_out_of_fold(out_of_fold, allow_leak=allow_leak, predictions=predictions)
    output.check()
    reader = reading.reader(overwrite=output.overwrite)
    with Bars() as bars:
        predictor = load_judge(judge or "default") if predictions is None else Predictions.read(predictions)
        other = None if against is None else load_predictor(against)
        numbers = numbers_of_both(predictor, other)
        bars.steps("reading votes", 0, 2)
        battles = read_votes(input, **({"labels": "required"} | ({"numbers": numbers} if numbers else {}) | reader))
        bars.steps("evaluating", 1, 2)
        figures = evaluate_votes(
            predictor,
            battles,
            against=other,
            allow_leak=allow_leak,
            out_of_fold=out_of_fold,
            draws=draws,
            seed=reading.seed or 0,
        ).to_dict()
        if truth is not None:
            known = read_truth(truth)
            best = evaluate_votes(Predictions(known.ids, known.probabilities), battles, draws=draws)
            figures["baselines"]["truth"] = best.to_dict()["metrics"]
    if battles.report:
        figures["reading"] = battles.report.to_dict()
        show_reading(figures["reading"])
    options = {
        "input": input,
        "predictions": predictions,
        "against": against,
        "allow_leak": allow_leak,
        "out_of_fold": out_of_fold,
        "reader": reader,
    }
    if output.write(figures, "evaluate", options | figures["settings"], judge=figures["judge"]):
        names = _name_judges(str(predictions or judge or "default"), against)
        print_line(f"{figures['rows']:,} rows, {figures['clusters']:,} prompts\n")
        show_metrics(figures, names[0])
        print_line()
        if "against" in figures:
            show_comparison(figures, names)
            print_line()
        if slices:
            show_slices(figures)
        show_notes(figures, slices=slices)
        judges = {"judge": figures["judge"]}
        judges |= {"against": figures["against"]["judge"]} if "against" in figures else {}
        print_facts(
            {
                key: f"{typed}: {judge_text(known)}" if "against" in figures else judge_text(known)
                for (key, known), typed in zip(judges.items(), names, strict=False)
            }
        )


def _name_judges(judge: str, against: str | None) -> tuple[str, str]:
    """Return the names of both judges as typed, without folders where that is unambiguous.

    Example:
        >>> _name_judges("bundled:baseline", "judges/mine/"), _name_judges("one/judge", "two/judge")
        (('bundled:baseline', 'mine'), ('one/judge', 'two/judge'))
    """
    if against is None:
        return "judge", ""
    own, other = (Path(typed).name or typed for typed in (judge, against))
    return (own, other) if own != other else (judge, against)
