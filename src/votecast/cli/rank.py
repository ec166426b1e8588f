"""votecast rank: a leaderboard of models from votes, from a judge's predictions, or from both."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, validators

from votecast.artifacts import settings_path
from votecast.cli.options import Count, Flag, Output, ReadOptions, write_settings
from votecast.cli.screen import Bars, judge_text, print_facts, print_line, print_prose, print_table
from votecast.cli.summaries import show_parameters, show_reading

if TYPE_CHECKING:
    from votecast.leaderboard import Leaderboard, Ranking

Method = Literal[
    "bradley_terry", "davidson", "rao_kupper", "elo", "newman", "eigen", "pagerank", "counting", "average_win_rate"
]

_UNITS = {
    "nu": "weight of a tie, where each of two equal models weighs 1",
    "theta": "how many times as strong a model must be to be noticed",
}
_KINDS = {"voted": "votes", "predicted": "pairs predicted"}
_ELO = 100
"""Scores as large as this are on the scale of chess ratings."""

_STYLE_UNIT = "log odds for one usual gap (the root mean square of (a - b) / (a + b)) in favour of the answer with more"


def rank(
    *,
    input: str | None = None,
    judge: str | None = None,
    pairs: str | None = None,
    out: Path | None = None,
    html: Path | None = None,
    method: Method = "bradley_terry",
    style_control: Flag = False,
    both_bad: Literal["tie", "drop", "own"] = "tie",
    intervals: Literal["sandwich", "bootstrap"] = "sandwich",
    draws: Annotated[int, Parameter(validator=validators.Number(gte=20))] = 200,
    min_battles: Count = 0,
    anchor: str | None = None,
    disconnected: Literal["refuse", "largest"] = "refuse",
    clusters: Literal["auto", "near", "identical"] = "auto",
    reading: ReadOptions = ReadOptions(),
    output: Output = Output(),
) -> None:
    """Rank models by votes, by a judge's predictions of votes, or by both.

    With --input alone the votes count. With --judge and --pairs alone the predictions count, and the ranking is that of
    the judge. With all three the ranking is prediction-powered: the votes keep it unbiased, and the predictions of
    pairs without a vote narrow its intervals as far as they agree with the votes.

    Args:
        input: File of votes with the columns model_a and model_b, "-" for standard input; without a judge it needs no
            texts.
        judge: A judge folder, bundled:baseline, bundled:encoder or default.
        pairs: File of answers without votes for the judge; by default the rows of --input without a vote.
        out: File to write: rank, model, score, interval, counts; its ending chooses csv, tsv, jsonl, parquet or arrow.
        html: Page to write: the leaderboard with its plots.
        method: How strengths are fitted; elo and those after it are evalica's.
        style_control: Score answers as if all had the same length and layout: headings, lists, bold words, code and
            links.
        both_bad: Votes against both answers count as ties, are left out, or are an outcome of their own, shown beside
            the scores.
        intervals: From the fit, or by bootstrap; both by clusters of prompts.
        draws: Bootstrap samples.
        min_battles: Leave out models with fewer battles in the file, and their votes; others may have fewer left.
        anchor: The model whose score is 1000; by default the mean of all is.
        disconnected: Where models were never compared with the others: refuse, or rank the largest group.
        clusters: Whether near-duplicate prompts are one unit, or only identical ones; auto goes by the rows.
    """
    from votecast.leaderboard import leaderboard

    output.check(out, out and settings_path(out), html)
    if out is not None:
        from votecast.data.outputs.table_writer import container_of

        container_of(out)  # refuses an unknown ending before the work
    options: dict[str, Any] = {"method": method, "style_control": style_control, "both_bad": both_bad}
    options |= {"intervals": intervals, "draws": draws, "min_battles": min_battles, "anchor": anchor}
    options |= {"disconnected": disconnected, "clusters": clusters, "seed": reading.seed or 0}
    reader = reading.reader(overwrite=output.overwrite)
    with Bars() as bars:
        board = leaderboard(input, pairs=pairs, judge=judge, reader=reader, progress=bars.steps, **options)
    for found in board.reading:
        show_reading(found)
    settings = {"input": input, "pairs": pairs, "reader": reader} | options
    if out is not None:
        from votecast.leaderboard.board import write_leaderboard

        write_leaderboard(board, out, overwrite=output.overwrite)
        write_settings(out, "rank", settings, judge=board.judge)
    if html is not None:
        from votecast.reports.html import write_page
        from votecast.reports.leaderboard_page import leaderboard_page

        write_page(leaderboard_page(board), html, overwrite=output.overwrite)
    if output.write(board.to_dict(), "rank", settings, judge=board.judge):
        _show(board)
        written = ", ".join(str(path) for path in (out, html, output.json) if path is not None)
        print_facts({"written": written} if written else {})


def _show(board: Leaderboard) -> None:
    """Show a leaderboard."""
    found = board.ranking
    how = f"{found.method}, intervals by {found.intervals}" + f" of {found.draws} draws" * bool(found.draws)
    counts = ", ".join(f"{board.rows[kind]:,} {what}" for kind, what in _KINDS.items() if board.rows[kind])
    print_line(f"{len(found.models)} models by {board.source}: {counts}, {found.clusters:,} clusters of prompts")
    print_line(f"{how}\n")
    columns = board.columns()
    heads = ["rank", "model", "score", f"{found.level:.0%} interval", "places", "battles", "win rate"]
    # ratings in points need no decimals, log odds do
    digits = ".0f" if max(abs(found.score), default=0) >= _ELO else ".4g"
    rows = [
        _row({name: values[place] for name, values in columns.items()}, digits) for place in range(len(found.models))
    ]
    print_table([*heads, "both bad (95%)"] if board.both_bad is not None else heads, rows, text_columns=2)
    print_line()
    _show_fit(found)
    for note in board.notes:
        print_prose(f"note: {note}", indent=6)
    if board.judge is not None:
        print_facts({"judge": judge_text(board.judge)})


def _row(at: dict[str, Any], digits: str) -> list[str]:
    """Format one row of the leaderboard, from its values by column."""
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
        share, low, high = (at[f"both_bad_{end}"] for end in ("share", "low", "high"))
        ends = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
        cells.append("" if share is None else f"{share:.1%}{ends}")
    return cells


def _show_fit(found: Ranking) -> None:
    """Show the parameters of ties and style, the weight of predictions, and the separated pairs of models."""
    from votecast.leaderboard.board import HELPS

    estimates = {each.name: (each.value, each.low, each.high) for each in (found.tie, *found.style) if each is not None}
    if estimates:
        show_parameters(estimates, _UNITS, f"{found.level:.0%} interval")
        if found.style:
            print_prose(f"style: {_STYLE_UNIT}", indent=2)
        print_line()
    if found.tuning is not None:
        little = "" if found.worth is None or found.worth >= HELPS else " (next to nothing)"
        worth = "" if found.worth is None else f", which is worth {found.worth:.2f} times the votes{little}"
        print_prose(f"the predictions have weight {found.tuning:.0%}{worth}")
    if math.isfinite(found.separability):
        separated = f"{found.separability:.1%} of the pairs of models are separated"
        print_prose(f"{separated}: the interval of their difference excludes 0")
