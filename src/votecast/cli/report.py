"""votecast report: a page about votes, or about a judge on votes; one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import facts, prose, say
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.data.battles import Battles
    from votecast.reports.document import Document

PAGES = (".html", ".htm")


def report(
    *,
    input: str,
    out: Path,
    judge: str | None = None,
    predictions: Path | None = None,
    reading: Reading = Reading(),  # noqa: B008 - frozen
    allow_leak: Annotated[bool, Parameter(negative=())] = False,
    draws: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 200,
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Write a page about votes, or with --judge the audit of a judge on them: one HTML file that needs no network.

    Args:
        input: File of votes, "-" for standard input.
        out: The page, such as report.html.
        judge: The judge that is audited: a judge folder, bundled:baseline, or default.
        predictions: Instead of a judge, a file that votecast predict has written; rows are matched by id.
        reading: How the file is read.
        allow_leak: Go on although the votes share prompts with the judge's training data.
        draws: Bootstrap draws for the 95 % intervals of an audit; 0 leaves them out.
        json: Write all figures as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    from votecast.reports.html import write_page

    _check_asked(judge, predictions, out)
    check_outputs(out, settings_path(out), json, settings_of_json(json), overwrite=overwrite)
    reader = reading.reader(overwrite=overwrite)
    options: dict[str, Any] = {"seed": reading.seed or 0}
    with Bars() as bars:
        if judge is None and predictions is None:
            votes, figures, page = look(input, reader, bars, **options)
        else:
            options |= {"allow_leak": allow_leak, "draws": draws}
            votes, figures, page = audit(input, judge, predictions, reader, bars, **options)
        bars.steps("writing the page", 2, 3)
        write_page(page, out, overwrite=overwrite)
    if votes.report:
        show_reading(votes.report.to_dict())
    asked = {"input": input, "predictions": predictions, "reader": reader} | options
    named = {"judge": {key: figures["judge"][key] for key in ("name", "hash")}} if "judge" in figures else {}
    write_settings(out, "report", asked, **named)
    if json is not None:
        write_json(figures, json, overwrite=overwrite)
        write_settings(json, "report", asked, **named)
    if json != STANDARD:
        show(page, out)


def look(source: str, reader: dict[str, Any], bars: Bars, *, seed: int) -> tuple[Battles, dict[str, Any], Document]:
    """Explore votes alone.

    Returns:
        The votes, what was found as a dict, and the page.
    """
    from votecast.data.exploration import explore
    from votecast.data.reader import read_votes
    from votecast.reports.votes_page import votes_page

    bars.steps("reading votes", 0, 3)
    votes = read_votes(source, **reader)
    bars.steps("exploring", 1, 3)
    found = explore(votes, seed=seed)
    return votes, found.to_dict(), votes_page(found, votes, source=source)


def audit(
    source: str, judge: str | None, predictions: Path | None, reader: dict[str, Any], bars: Bars, **options: Any
) -> tuple[Battles, dict[str, Any], Document]:
    """Audit a judge, or a file of its predictions, on votes.

    Returns:
        The votes, the audit as a dict, and the page.
    """
    from votecast.data.reader import read_votes
    from votecast.judges.evaluate import Predictions
    from votecast.judges.load import load_judge
    from votecast.judges.predict_batch import reader_numbers
    from votecast.reports.audit import audit_judge
    from votecast.reports.audit_page import audit_page

    forecaster: Any = load_judge(judge or "default") if predictions is None else Predictions.read(predictions)
    bars.steps("reading votes", 0, 3)
    votes = read_votes(source, **({"labels": "required"} | reader_numbers(forecaster) | reader))
    bars.steps("auditing", 1, 3)
    found = audit_judge(forecaster, votes, **options)
    name = str(predictions) if predictions is not None else Path(judge or "default").name
    return votes, found.to_dict(), audit_page(found, name=name)


def show(page: Document, out: Path) -> None:
    """Show the summary of a page, and where it lies."""
    say(f"{page.title}, {page.subtitle}\n" if page.subtitle else f"{page.title}\n")
    for remark in page.summary:
        prose(f"{remark.level}: {remark.text}", indent=2)
    say("")
    facts({"written": f"{out} ({out.stat().st_size / 1e6:.1f} MB)"})


def _check_asked(judge: str | None, predictions: Path | None, out: Path) -> None:
    if judge is not None and predictions is not None:
        raise ConfigError("--judge and --predictions are both given; give one of them")
    if out.suffix.lower() not in PAGES:
        raise ConfigError(f"--out is {out}; a report is a page: name a file that ends in .html")
