"""votecast evaluate: a judge, or a file of its predictions, measured on votes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from votecast.cli.figures import show_against, show_metrics, show_notes, show_slices
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, say
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.data.battles import Battles


def evaluate(
    *,
    input: str,
    judge: str | None = None,
    predictions: Path | None = None,
    against: str | None = None,
    truth: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    draws: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 1000,
    slices: bool = True,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure a judge, or a file of its predictions, on votes.

    Args:
        input: File of votes, "-" for standard input.
        judge: A judge folder, bundled:baseline, or default; default if no predictions are given.
        predictions: File that votecast predict has written; rows are matched by id.
        against: Another judge, or a file of predictions, to compare it with on the same votes: differences with
            intervals from draws in pairs.
        truth: True probabilities of simulated votes (.truth.parquet), to be shown beside the baselines.
        reading: How the file is read.
        allow_leak: Go on although the votes share prompts with the judge's training data.
        draws: Bootstrap draws for the 95 % intervals; 0 leaves them out.
        slices: Whether to show figures by length, turns, language and source.
        json: Write all figures as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    if judge is not None and predictions is not None:
        raise ConfigError("--judge and --predictions are both given; give one of them")
    check_outputs(json, settings_of_json(json), overwrite=overwrite)
    reader = reading.reader(overwrite=overwrite)
    with Bars() as bars:
        battles, figures = measure(
            input,
            predictions,
            judge,
            reader,
            bars,
            against=against,
            allow_leak=allow_leak,
            draws=draws,
            seed=reading.seed or 0,
        )
        if truth is not None:
            figures["baselines"]["truth"] = measure_truth(truth, battles, draws)
    if battles.report:
        figures["reading"] = battles.report.to_dict()
        show_reading(figures["reading"])
    if json is not None:
        write_json(figures, json, overwrite=overwrite)
        options = {
            "input": input,
            "predictions": predictions,
            "against": against,
            "allow_leak": allow_leak,
            "reader": reader,
        }
        write_settings(json, "evaluate", options | figures["settings"], judge=figures["judge"])
    if json != STANDARD:
        show(figures, slices=slices, names=called(str(predictions or judge or "default"), against))


def measure(
    source: str,
    predictions: Path | None,
    judge: str | None,
    reader: dict[str, Any],
    bars: Bars,
    *,
    against: str | None = None,
    **options: Any,
) -> tuple[Battles, dict[str, Any]]:
    """Read votes and measure forecasts on them.

    Returns:
        The votes, and the evaluation as a dict.
    """
    from votecast.data.reader import read_votes
    from votecast.judges.evaluate import Predictions, load_predictor, numbers_of_both
    from votecast.judges.evaluate import evaluate as evaluate_votes
    from votecast.judges.load import load_judge

    forecaster: Any = load_judge(judge or "default") if predictions is None else Predictions.read(predictions)
    other = None if against is None else load_predictor(against)
    numbers = numbers_of_both(forecaster, other)
    bars.steps("reading votes", 0, 2)
    battles = read_votes(source, **({"labels": "required"} | ({"numbers": numbers} if numbers else {}) | reader))
    bars.steps("measuring", 1, 2)
    return battles, evaluate_votes(forecaster, battles, against=other, **options).to_dict()


def measure_truth(path: Path, battles: Battles, draws: int) -> dict[str, Any]:
    """Metrics of the true probabilities of simulated votes: no judge does better, but for luck."""
    from votecast.data.simulation import read_truth
    from votecast.judges.evaluate import Predictions
    from votecast.judges.evaluate import evaluate as evaluate_votes

    known = read_truth(path)
    metrics: dict[str, Any] = evaluate_votes(
        Predictions(known.ids, known.probabilities), battles, draws=draws
    ).to_dict()["metrics"]
    return metrics


def called(judge: str, against: str | None) -> tuple[str, str]:
    """What the judge and the other one are called: as they were typed, without folders where that tells them apart.

    Example:
        >>> called("bundled:baseline", "judges/mine/"), called("one/judge", "two/judge")
        (('bundled:baseline', 'mine'), ('one/judge', 'two/judge'))
    """
    if against is None:
        return "judge", ""
    own, other = (Path(typed).name or typed for typed in (judge, against))
    return (own, other) if own != other else (judge, against)


def show(figures: dict[str, Any], *, slices: bool, names: tuple[str, str]) -> None:
    """Show an evaluation."""
    say(f"{figures['rows']:,} rows, {figures['clusters']:,} prompts\n")
    show_metrics(figures, names[0])
    say("")
    if "against" in figures:
        show_against(figures, names)
        say("")
    if slices:
        show_slices(figures)
    show_notes(figures, slices=slices)
    others = {"against": cite(figures["against"]["judge"])} if "against" in figures else {}
    facts({"judge": cite(figures["judge"])} | others)
