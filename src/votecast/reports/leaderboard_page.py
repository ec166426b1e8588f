"""A leaderboard as a page: scores with intervals, who beats whom, what style is worth, and how to read it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from votecast import __version__
from votecast.leaderboard import Leaderboard, Ranking
from votecast.leaderboard.board import FEW_CLUSTERS, HELPS
from votecast.leaderboard.connectivity import names_of
from votecast.leaderboard.fit import ONE_PROMPT, USELESS
from votecast.metrics import Figure
from votecast.reports.document import Cell, Chart, Document, Heatmap, Remark, Section, Series, Table
from votecast.reports.numbers import shown
from votecast.types import Floats

MOST_MODELS: Final = 30
"""More models than this make a heatmap that nobody can read; the best are shown."""

ENOUGH: Final = 10
"""Battles between two models from which the share that one of them won is shown."""

_SOURCES: Final = {
    "votes": "By votes of people",
    "forecasts": "By a judge's forecasts alone",
    "votes and forecasts": "By votes of people and a judge's forecasts (prediction-powered)",
}
_METHODS: Final = {
    "bradley_terry": "Bradley-Terry (a tie is half a win for each)",
    "davidson": "Davidson (ties have a weight of their own)",
    "rao_kupper": "Rao-Kupper (a tie is a difference too small to notice)",
}
_BOTH_BAD: Final = {"tie": "count as ties", "drop": "are left out", "own": "are an outcome of their own"}
_ABOUT_SCORES: Final = (
    "A dot is a model's score; the line is its interval. Where two lines lie apart, one model is better beyond the "
    "95 % interval; where they overlap, look at the ranks, which compare the models pair by pair."
)
_ABOUT_COLUMNS: Final = (
    "Rank: 1 and one more for each model that is better beyond the 95 % interval of the difference. Places: what is "
    "left open for the rank, all models considered at once. Win rate: share of its battles that a model won, a tie "
    "counting half; against any other: its chance against one of the other models at random."
)
_ABOUT_PAIRS: Final = (
    "How often the model of the row beats the model of the column, a tie counting half. Empty: they met fewer than "
    f"{ENOUGH} times; models without such a pair are left out. Cells of few battles differ from what the scores expect "
    "by chance."
)
_ABOUT_STYLE: Final = (
    "What people give for style, at equal strength of the models. The scores above are those of answers that are "
    "equally long and equally dressed up."
)
_ABOUT_GAPS: Final = (
    "A gap is (a - b) / (a + b) of the counts of both answers; the usual gap is its root mean square. 0.69 doubles the "
    "odds."
)
_ABOUT_BOTH_BAD: Final = (
    "How often people called both answers bad where a model took part. It depends on the other models and on the "
    "prompts, too; the scores above leave these votes out."
)
_ABOUT_JUDGE: Final = (
    "This is the ranking of the judge. Its intervals say how far it would differ on other prompts, and not how far the "
    "judge is from people."
)
_HOW_TO_READ: Final = (
    "A leaderboard says which model these people preferred on these prompts. It does not say which is right more "
    "often, safer or cheaper, and on other prompts the order can be another."
)
_ABOUT_CLUSTERS: Final = (
    "The unit of the intervals is the cluster of prompts: votes on one prompt, or on prompts that are nearly the same, "
    "are not independent of each other."
)
_ABOUT_SCALE: Final = (
    "Scores are on the scale of chess ratings: 400 points more are odds of 10 to 1, 100 points odds of 1.8 to 1. Only "
    "differences mean anything."
)
_NO_HELP: Final = "The forecasts agree too little with the votes to help: the scores are those of the votes."


def leaderboard_page(board: Leaderboard) -> Document:
    """Compose the page of a leaderboard.

    Args:
        board: The leaderboard.
    """
    sections = [_scores(board), _pairs(board), *_style(board), *_both_bad(board), _reading(board)]
    return Document(
        title=f"Leaderboard of {len(board.ranking.models)} models",
        subtitle=_SOURCES[board.source],
        summary=_summary(board),
        facts=_facts(board),
        sections=sections,
    )


def _summary(board: Leaderboard) -> list[Remark]:
    found = board.ranking
    remarks = [_leaders(found)]
    if math.isfinite(found.separability):
        told = f"{found.separability:.0%} of the pairs of models are told apart by these intervals"
        rest = "; the order of the others may be chance." if found.separability < 1 else "."
        remarks.append(Remark("note" if found.separability < 1 else "good", told + rest))
    if board.source == "forecasts":
        remarks.append(Remark("warning", _ABOUT_JUDGE))
    if 1 < found.clusters < FEW_CLUSTERS:
        few = f"The intervals stand on {found.clusters} independent units only: they are rough, and with other prompts "
        remarks.append(Remark("warning", few + "the order can be another."))
    if ONE_PROMPT in found.notes:
        remarks.append(Remark("warning", "All votes are on one prompt: with other prompts the order can be another."))
    remarks += [Remark("note", _sentence(note)) for note in found.notes if note not in (ONE_PROMPT, USELESS)]
    if found.tuning is not None:
        remarks.append(_powered(board, found.tuning))
    return remarks


def _leaders(found: Ranking) -> Remark:
    beyond = f" beyond the {100 * found.level:g} % interval of the difference"
    first = [name for name, place in zip(found.models, found.rank.tolist(), strict=True) if place == 1]
    if found.better[0, 1:].all():
        return Remark("good", f"{found.models[0]} is better than every other model{beyond}.")
    if len(first) == 1:
        return Remark("note", f"{first[0]} is the only model that no other beats{beyond}.")
    return Remark("note", f"{len(first)} models share the first rank, as none beats them{beyond}: {names_of(first)}.")


def _powered(board: Leaderboard, tuning: float) -> Remark:
    if not tuning:
        return Remark("note", _NO_HELP)
    worth = board.ranking.worth
    helps = worth is not None and worth >= HELPS
    little = "" if helps else ": next to nothing"
    end = "." if worth is None else f", which is worth {worth:.2f} times the votes{little}."
    return Remark(
        "good" if helps else "note",
        f"The forecasts of {board.rows['forecast']:,} pairs are trusted to {tuning:.0%}{end}",
    )


def _facts(board: Leaderboard) -> list[tuple[str, str]]:
    found, asked = board.ranking, board.settings
    votes, forecast, against = (board.rows[kind] for kind in ("voted", "forecast", "against_both"))
    draws = f", {found.draws} draws" if found.draws else ""
    pairs = {
        "votes": f"{votes:,}" if votes else "",
        "pairs forecast": f"{forecast:,}" if forecast else "",
        "clusters of prompts": f"{found.clusters:,}",
        "method": _METHODS.get(found.method, f"{found.method} (as evalica fits it)"),
        "intervals": f"{found.level:.0%}, {found.intervals} over clusters of prompts{draws}",
        "style control": ", ".join(each.name for each in found.style) or "none",
        "votes against both": f"{against:,}, which {_BOTH_BAD[asked.both_bad]}" if against else "",
        "files": ", ".join(str(each["path"]) for each in board.reading),
        "votecast": __version__,
    }
    if board.judge is not None:
        pairs["judge"] = f"{board.judge['name']} ({board.judge['hash'][:12]})"
    if found.tie is not None:
        shown_tie = shown(Figure(found.tie.value, found.tie.low, found.tie.high), decimals=3)
        pairs[f"ties ({found.tie.name})"] = shown_tie.text + (f" ({shown_tie.interval})" if shown_tie.interval else "")
    return [(name, value) for name, value in pairs.items() if value]


def _scores(board: Leaderboard) -> Section:
    found, columns = board.ranking, board.columns()
    anchor = board.settings.anchor
    scale = "score" if anchor is None else f"score, {anchor} at 1000"
    series = Series("score", found.models, found.score.tolist(), _ends(found.low), _ends(found.high))
    scores = _figures(found.score, found.low, found.high)
    chances = _figures(found.win_rate, found.win_rate_low, found.win_rate_high)
    rows: list[list[Cell]] = []
    for place, name in enumerate(found.models):
        low, high = int(found.rank_low[place]), int(found.rank_high[place])
        counts = [columns[key][place] for key in ("battles", "wins", "ties", "losses", "win_rate")]
        places = str(low) if low == high else f"{low} to {high}"
        rows.append([name, int(found.rank[place]), places, scores[place], *counts, chances[place]])
    heads = ["model", "rank", "places", "score", "battles", "wins", "ties", "losses", "win rate", "against any other"]
    table = Table(heads, rows, "Models, best first", frozenset({"win rate", "against any other"}))
    return Section(
        "scores", "Scores", [_ABOUT_SCORES, _ABOUT_COLUMNS], [Chart("dots", "Scores", scale, "model", [series]), table]
    )


def _pairs(board: Leaderboard) -> Section:
    found = board.ranking
    shown = min(len(found.models), MOST_MODELS)
    names = found.models[:shown]
    left = f" The best {shown} of {len(found.models)} models are shown." if shown < len(found.models) else ""
    often = np.where(found.met >= ENOUGH, found.observed, np.nan)[:shown, :shown]
    maps = [
        *_map("Share of battles won", names, often),
        *_map("Expected by the scores", names, found.expected[:shown, :shown]),
    ]
    return Section("pairs", "Who beats whom", [_ABOUT_PAIRS + left], maps)


def _map(title: str, names: Sequence[str], values: Floats) -> list[Heatmap]:
    """The rows and columns that hold something; nothing where there are none."""
    kept = np.flatnonzero(np.isfinite(values).any(axis=1))
    left = [names[place] for place in kept.tolist()]
    return [Heatmap(title, left, left, _cells(values[np.ix_(kept, kept)]), middle=0.5)] if left else []


def _style(board: Leaderboard) -> list[Section]:
    style = board.ranking.style
    if not style:
        return []
    names, values = [each.name for each in style], [each.value for each in style]
    series = Series("style", names, values, [each.low for each in style], [each.high for each in style])
    title, label = "What a usual gap in style is worth", "log odds in favour of the answer with more"
    rows: list[list[Cell]] = [[each.name, Figure(each.value, each.low, each.high), each.unit] for each in style]
    table = Table(["feature", "log odds for a usual gap", "usual gap"], rows, "The same as numbers")
    plot = Chart("dots", title, label, "feature", [series], mark=0.0)
    return [Section("style", "Style", [_ABOUT_STYLE, _ABOUT_GAPS], [plot, table])]


def _both_bad(board: Leaderboard) -> list[Section]:
    bad, models = board.both_bad, board.ranking.models
    if bad is None:
        return []
    order = np.argsort(bad.share, kind="stable").tolist()
    names, shares = [models[i] for i in order], _figures(bad.share[order], bad.low[order], bad.high[order])
    series = Series("share", names, *(values[order].tolist() for values in (bad.share, bad.low, bad.high)))
    plot = Chart("dots", "Votes against both answers", "share of all votes", "model", [series], percent=True)
    counts = [int(count) if count.is_integer() else count for count in bad.votes[order].tolist()]
    rows: list[list[Cell]] = [list(row) for row in zip(names, counts, shares, strict=True)]
    table = Table(["model", "votes against both", "share"], rows, "The same as numbers", frozenset({"share"}))
    return [Section("both-bad", "Votes against both", [_ABOUT_BOTH_BAD], [plot, table])]


def _reading(board: Leaderboard) -> Section:
    text = [_HOW_TO_READ, _ABOUT_CLUSTERS, *[_ABOUT_SCALE] * (board.ranking.method in _METHODS)]
    return Section("how-to-read", "How to read this", [*text, *(_sentence(note) for note in board.notes)])


def _sentence(note: str) -> str:
    return note[0].upper() + note[1:] + ("" if note.endswith((".", "?")) else ".")


def _figures(values: Floats, low: Floats, high: Floats) -> list[Figure]:
    return [Figure(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]


def _ends(values: Floats) -> list[float] | None:
    ends: list[float] = values.tolist()
    return ends if np.isfinite(values).all() else None


def _cells(values: Floats) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in values.tolist()]
