"""votecast evaluate: a judge, or a file of predictions, measured on votes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from votecast.cli.figures import show_metrics, show_notes, show_slices
from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import check_outputs, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, say
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.metrics import Evaluation


def evaluate(
    *,
    input: str,
    judge: str | None = None,
    predictions: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    draws: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 1000,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure a judge, or a file of its predictions, on votes.

    Args:
        input: File of votes, "-" for standard input.
        judge: A judge folder, bundled:baseline, or default; default if no predictions are given.
        predictions: File that votecast predict has written; rows are matched by id.
        reading: How the file is read.
        allow_leak: Go on although the votes share prompts with the judge's training data.
        draws: Bootstrap draws for the 95 % intervals; 0 leaves them out.
        json: Write the figures as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    if judge is not None and predictions is not None:
        raise ConfigError("--judge and --predictions are both given; give one of them")
    out = json if json not in (None, "-") else None
    check_outputs(json, settings_path(out) if out else None, overwrite=overwrite)
    with Bars() as bars:
        evaluation, name, report = measure(input, judge, predictions, reading, allow_leak, draws, bars)
    figures = evaluation.to_dict()
    show_reading(report)
    if json is not None:
        write_json({"judge": name} | figures, json, overwrite=overwrite)
        options = {"input": input, "predictions": predictions, "allow_leak": allow_leak, "draws": draws}
        write_settings(json, "evaluate", options | {"reader": reading.reader(overwrite=overwrite)}, judge=name)
    if json != "-":
        show_metrics(figures)
        say("")
        show_slices(figures)
        show_notes(figures)
        facts({"judge": cite(name) if name else "not named in the predictions"})


def measure(
    source: str,
    judge: str | None,
    predictions: Path | None,
    reading: Reading,
    allow_leak: bool,
    draws: int,
    bars: Bars,
) -> tuple[Evaluation, dict[str, str] | None, dict[str, Any]]:
    """Read votes and measure forecasts on them.

    Returns:
        The evaluation, the judge's name and hash if they are known, and what the reader found.
    """
    from votecast.data.reading import read_votes
    from votecast.evaluation import Predictions
    from votecast.evaluation import evaluate as evaluate_votes
    from votecast.judges.loading import load_judge

    forecaster: Any = Predictions.read(predictions) if predictions else load_judge(judge or "default")
    bars.steps("reading votes", 0, 1)
    battles = read_votes(source, labels="required", **reading.reader(overwrite=overwrite))
    bars.steps("reading votes", 1, 1)
    report = battles.report.to_dict() if battles.report else {}
    evaluation = evaluate_votes(forecaster, battles, allow_leak=allow_leak, draws=draws)
    return evaluation, {"name": forecaster.name, "hash": forecaster.hash}, report
