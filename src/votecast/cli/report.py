"""votecast report: an HTML page about votes, or the audit of a judge on votes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from votecast.artifacts import settings_path
from votecast.cli.options import AllowLeak, Draws, OutOfFoldFlag, Output, ReadOptions, check_out_of_fold, write_settings
from votecast.cli.screen import Bars, print_facts, print_line, print_prose
from votecast.cli.summaries import show_reading
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.reports.document import Document


def report(
    *,
    input: str,
    out: Path,
    judge: str | None = None,
    predictions: Path | None = None,
    reading: ReadOptions = ReadOptions(),
    allow_leak: AllowLeak = False,
    out_of_fold: OutOfFoldFlag = False,
    draws: Draws = 200,
    output: Output = Output(),
) -> None:
    """Write a report about votes, or the audit of a judge, as one offline HTML file.

    Args:
        input: File of votes, "-" for standard input.
        out: The page, such as report.html.
        judge: Audit this judge: a judge folder, bundled:baseline, bundled:encoder or default.
        predictions: Audit this file written by votecast predict; rows are matched by id.
    """
    from votecast.data.reader import read_votes
    from votecast.reports.html import write_page

    if judge is not None and predictions is not None:
        raise ConfigError("--judge and --predictions are both given; give one of them")
    check_out_of_fold(out_of_fold, allow_leak=allow_leak, predictions=predictions)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out is {out}; a report is a page: name a file that ends in .html")
    output.check(out, settings_path(out))
    reader, seed = reading.reader(overwrite=output.overwrite), reading.seed or 0
    settings: dict[str, object] = {"input": input, "predictions": predictions, "reader": reader, "seed": seed}
    facts: dict[str, Any] = {}
    with Bars() as bars:
        if judge is None and predictions is None:
            from votecast.data.exploration import explore
            from votecast.reports.votes_page import votes_page

            bars.steps("reading votes", 0, 3)
            votes = read_votes(input, **reader)
            bars.steps("exploring", 1, 3)
            explored = explore(votes, seed=seed)
            figures, page = explored.to_dict(), votes_page(explored, votes, source=input)
        else:
            from votecast.judges.evaluate import Predictions
            from votecast.judges.load import load_judge
            from votecast.judges.predict_batch import reader_numbers
            from votecast.reports.audit import audit_judge
            from votecast.reports.audit_page import audit_page

            predictor: Any = load_judge(judge or "default") if predictions is None else Predictions.read(predictions)
            bars.steps("reading votes", 0, 3)
            votes = read_votes(input, **({"labels": "required"} | reader_numbers(predictor) | reader))
            bars.steps("auditing", 1, 3)
            audit = audit_judge(
                predictor, votes, allow_leak=allow_leak, out_of_fold=out_of_fold, draws=draws, seed=seed
            )
            named = Path(predictions or judge or "default")
            figures = audit.to_dict()
            page = audit_page(audit, name=(named.resolve() if named.exists() else named).name)
            settings |= {"allow_leak": allow_leak, "out_of_fold": out_of_fold, "draws": draws}
            facts = {"judge": {key: figures["judge"][key] for key in ("name", "hash")}}
        bars.steps("writing the page", 2, 3)
        write_page(page, out, overwrite=output.overwrite)
    if votes.report:
        show_reading(votes.report.to_dict())
    write_settings(out, "report", settings, **facts)
    if output.write(figures, "report", settings, **facts):
        _show(page, out)


def _show(page: Document, out: Path) -> None:
    """Show the headline metrics and findings of a page, and where it is."""
    from votecast.reports.page_format import show_metric

    print_line(f"{page.title}, {page.subtitle}\n" if page.subtitle else f"{page.title}\n")
    metrics = {metric.name: show_metric(metric) for metric in page.metrics}
    print_facts({name: value + (f" ({'; '.join(notes)})" * bool(notes)) for name, (value, *notes) in metrics.items()})
    print_line()
    for remark in page.summary:
        print_prose(f"{remark.level}: {remark.text}", indent=2)
    print_line()
    print_facts({"written": f"{out} ({out.stat().st_size / 1e6:.1f} MB)"})
