"""votecast rank: a leaderboard of models from votes, from a judge's forecasts, or from both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from votecast.cli.options import JsonPath, Reading
from votecast.cli.output import STANDARD, check_outputs, settings_of_json, settings_path, write_json, write_settings
from votecast.cli.progress import Bars
from votecast.cli.reading import show_reading
from votecast.cli.screen import cite, facts, prose, say, table

if TYPE_CHECKING:
    from votecast.leaderboard import Leaderboard

Method = Literal[
    "bradley_terry",
    "davidson",
    "rao_kupper",
    "elo",
    "newman",
    "eigen",
    "pagerank",
    "counting",
    "average_win_rate",
]

UNITS = {
    "nu": "weight of a tie, where each of two equal models weighs 1",
    "theta": "how many times as strong a model must be to be noticed",
}
"""What the parameters of ties are."""

KINDS = {"voted": "votes", "predicted": "pairs predicted"}
"""What the rows of a leaderboard are."""

_ELO = 100
"""Scores as large as this are on the scale of chess ratings."""

STYLE_UNIT = "log odds for one usual gap (the root mean square of (a - b) / (a + b)) in favour of the answer with more"


def rank(
    *,
    input: str | None = None,
    judge: str | None = None,
    pairs: str | None = None,
    out: Path | None = None,
    html: Path | None = None,
    method: Method = "bradley_terry",
    style_control: Annotated[bool, Parameter(negative=())] = False,
    both_bad: Literal["tie", "drop", "own"] = "tie",
    intervals: Literal["sandwich", "bootstrap"] = "sandwich",
    draws: Annotated[int, Parameter(validator=validators.Number(gte=20))] = 200,
    min_battles: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    anchor: str | None = None,
    disconnected: Literal["refuse", "largest"] = "refuse",
    clusters: Literal["auto", "near", "identical"] = "auto",
    reading: Reading = Reading(),  # noqa: B008 - frozen
    json: JsonPath = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Rank models by votes, by a judge's forecasts of votes, or by both.

    With --input alone the votes count. With --judge and --pairs alone the forecasts count, and the ranking is that of
    the judge. With all three the ranking is prediction-powered: the votes keep it unbiased, and the forecasts of pairs
    that nobody voted on make it surer as far as the judge is right.

    Args:
        input: File of votes with the columns model_a and model_b, "-" for standard input; without a judge it needs no
            texts.
        judge: A judge folder, bundled:baseline, or default.
        pairs: File of answers without votes for the judge; by default the rows of --input without a vote.
        out: File to write: rank, model, score, interval, counts; its ending chooses csv, tsv, jsonl, parquet or arrow.
        html: Page to write: the leaderboard with its plots.
        method: How strengths are fitted; elo and what follows it are those of evalica.
        style_control: Score answers as if all were equally long and dressed up: with headings, lists, bold words, code
            and links.
        both_bad: Votes against both answers count as ties, are left out, or are an outcome of their own, shown beside
            the scores.
        intervals: From the fit, or from votes drawn again; both by clusters of prompts.
        draws: Bootstrap draws.
        min_battles: Leave out models with fewer battles in the file, and their votes; others may have fewer left.
        anchor: The model whose score is 1000; by default the mean of all is.
        disconnected: Where models were never compared with the others: refuse, or rank the largest group.
        clusters: Whether prompts that are nearly the same are one unit, or only the same; auto goes by the rows.
        reading: How the files are read.
        json: Write everything as JSON ("-" is standard output).
        overwrite: Replace existing outputs.
    """
    from votecast.leaderboard import leaderboard

    check_outputs(out, out and settings_path(out), html, json, settings_of_json(json), overwrite=overwrite)
    _check_kind(out)
    options: dict[str, Any] = {
        "method": method,
        "style_control": style_control,
        "both_bad": both_bad,
        "intervals": intervals,
        "draws": draws,
        "min_battles": min_battles,
        "anchor": anchor,
        "disconnected": disconnected,
        "clusters": clusters,
        "seed": reading.seed or 0,
    }
    reader = reading.reader(overwrite=overwrite)
    with Bars() as bars:
        board = leaderboard(input, pairs=pairs, judge=judge, reader=reader, progress=bars.steps, **options)
    for found in board.reading:
        show_reading(found)
    asked = {"input": input, "pairs": pairs, "reader": reader} | options
    _write(board, asked, out, html, json, overwrite=overwrite)
    if json != STANDARD:
        show(board)
        written = ", ".join(str(path) for path in (out, html, json) if path is not None)
        facts({"written": written} if written else {})


def _check_kind(out: Path | None) -> None:
    """Refuse at once what could not be written in the end."""
    if out is not None:
        from votecast.data.outputs.table_writer import container_of

        container_of(out)


def _write(
    board: Leaderboard, asked: dict[str, Any], out: Path | None, html: Path | None, json: str | None, *, overwrite: bool
) -> None:
    judge = board.judge
    if out is not None:
        from votecast.leaderboard.board import write_leaderboard

        write_leaderboard(board, out, overwrite=overwrite)
        write_settings(out, "rank", asked, judge=judge)
    if html is not None:
        from votecast.reports.html import write_page
        from votecast.reports.leaderboard_page import leaderboard_page

        write_page(leaderboard_page(board), html, overwrite=overwrite)
    if json is not None:
        write_json(board.to_dict(), json, overwrite=overwrite)
        write_settings(json, "rank", asked, judge=judge)


def show(board: Leaderboard) -> None:
    """Show a leaderboard."""
    found = board.ranking
    how = f"{found.method}, intervals by {found.intervals}" + f" of {found.draws} draws" * bool(found.draws)
    counts = [f"{board.rows[kind]:,} {what}" for kind, what in KINDS.items() if board.rows[kind]]
    say(f"{len(found.models)} models by {board.source}: {', '.join(counts)}, {found.clusters:,} clusters of prompts")
    say(f"{how}\n")
    columns = board.columns()
    heads = ["rank", "model", "score", f"{found.level:.0%} interval", "places", "battles", "win rate"]
    digits = ".0f" if max(abs(found.score), default=0) >= _ELO else ".4g"
    rows = [_row(columns, place, digits) for place in range(len(found.models))]
    table([*heads, "both bad (95%)"] if board.both_bad is not None else heads, rows, text_columns=2)
    say("")
    show_parameters(board)
    for note in board.notes:
        prose(f"note: {note}", indent=6)
    if board.judge is not None:
        facts({"judge": cite(board.judge)})


def _row(columns: dict[str, list[Any]], place: int, digits: str) -> list[str]:
    at = {name: values[place] for name, values in columns.items()}
    low, high = at["rank_low"], at["rank_high"]
    cells = [
        str(at["rank"]),
        str(at["model"]),
        format(at["score"], digits),
        "" if at["low"] is None else f"{at['low']:{digits}} to {at['high']:{digits}}",
        str(low) if low == high else f"{low} to {high}",
        f"{at['battles']:,.0f}",
        "" if at["win_rate"] is None else f"{at['win_rate']:.1%}",
    ]
    if "both_bad_share" in at:
        cells.append(_share(at["both_bad_share"], at["both_bad_low"], at["both_bad_high"]))
    return cells


def _share(share: float | None, low: float | None, high: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.1%}" + ("" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})")


def show_parameters(board: Leaderboard) -> None:
    """Show what ties and style are worth, how far predictions helped, and how many pairs of models are told apart."""
    from votecast.leaderboard.board import HELPS

    found = board.ranking
    estimates = [*([] if found.tie is None else [found.tie]), *found.style]
    if estimates:
        rows = [[each.name, f"{each.value:.4g}", _interval(each.low, each.high)] for each in estimates]
        table(["", "value", f"{found.level:.0%} interval"], rows)
        for name in [each.name for each in estimates if each.name in UNITS]:
            prose(f"{name}: {UNITS[name]}", indent=2)
        if found.style:
            prose(f"style: {STYLE_UNIT}", indent=2)
        say("")
    if found.tuning is not None:
        helped = "" if found.worth is None or found.worth >= HELPS else ": next to nothing"
        gained = "" if found.worth is None else f"; that is worth {found.worth:.2f} times the votes{helped}"
        prose(f"the forecasts are trusted to {found.tuning:.0%}{gained}")
    if math.isfinite(found.separability):
        apart = f"{found.separability:.1%} of the pairs of models are told apart"
        prose(f"{apart}: 0 lies outside the interval of their difference")


def _interval(low: float, high: float) -> str:
    return f"{low:.4g} to {high:.4g}" if math.isfinite(low) and math.isfinite(high) else ""
