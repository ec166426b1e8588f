"""The page of a leaderboard: scores with intervals, pairs of models, style, and how to read them.

Called by `votecast rank --html`; the texts are in `templates/leaderboard.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from votecast import __version__
from votecast.leaderboard import Leaderboard
from votecast.leaderboard.board import FEW_CLUSTERS, HELPS
from votecast.leaderboard.connectivity import join_names
from votecast.leaderboard.fit import ONE_PROMPT, USELESS
from votecast.metrics import Figure
from votecast.reports.document import Cell, Document, Heatmap, Metric, Remark, Section, Series
from votecast.reports.page_format import show_cell
from votecast.reports.page_texts import load_texts
from votecast.types import Floats

MOST_MODELS: Final = 30
"""The best models of a larger leaderboard are shown in the heatmaps."""

ENOUGH: Final = 10
"""Battles between two models from which the share that one of them won is shown."""

texts = load_texts("leaderboard")


def leaderboard_page(board: Leaderboard) -> Document:
    """Compose the page of a leaderboard.

    Args:
        board: The leaderboard.
    """
    is_scaled = board.ranking.method in texts.find("methods")
    more = [*([texts("sections.how_to_read.scale")] if is_scaled else []), *map(_sentence, board.notes)]
    return Document(
        title=texts("title", models=len(board.ranking.models)),
        subtitle=texts.find("sources")[board.source],
        summary=_summarise(board),
        facts=_facts(board),
        sections=[
            _scores(board),
            _pairs(board),
            *_style(board),
            *_both_bad(board),
            texts.section("how_to_read", more=more),
        ],
        metrics=_metrics(board),
    )


def _metrics(board: Leaderboard) -> list[Metric]:
    found, names = board.ranking, texts.find("metrics")
    counts = {"votes": board.rows["voted"], "predicted": board.rows["predicted"], "clusters": found.clusters}
    out = [Metric(names[key], count) for key, count in counts.items() if count]
    if math.isfinite(found.separability):
        out.append(Metric(names["separated"], found.separability, percent=True))
    if found.worth is not None:
        out.append(Metric(names["worth"], found.worth, texts("worth")))
    return out


def _summarise(board: Leaderboard) -> list[Remark]:
    found = board.ranking
    beyond = texts("findings.beyond", level=100 * found.level)
    first = [name for name, place in zip(found.models, found.rank.tolist(), strict=True) if place == 1]
    if found.better[0, 1:].all():
        remarks = [texts.remark("good", "best", model=found.models[0], beyond=beyond)]
    elif len(first) == 1:
        remarks = [texts.remark("note", "one_first", model=first[0], beyond=beyond)]
    else:
        remarks = [texts.remark("note", "first", count=len(first), names=join_names(first), beyond=beyond)]
    if math.isfinite(found.separability):
        is_all = found.separability >= 1
        rest = "" if is_all else texts("findings.separated_rest")
        level = "good" if is_all else "note"
        remarks.append(texts.remark(level, "separated", share=found.separability, rest=rest))  # type: ignore[arg-type]
    if board.source == "predictions":
        remarks.append(texts.remark("warning", "judge_only"))
    if 1 < found.clusters < FEW_CLUSTERS:
        remarks.append(texts.remark("warning", "few", clusters=found.clusters))
    if ONE_PROMPT in found.notes:
        remarks.append(texts.remark("warning", "one_prompt"))
    remarks += [Remark("note", _sentence(note)) for note in found.notes if note not in (ONE_PROMPT, USELESS)]
    if found.tuning is not None:
        remarks.append(_on_predictions(board, found.tuning))
    return remarks


def _on_predictions(board: Leaderboard, tuning: float) -> Remark:
    if not tuning:
        return texts.remark("note", "useless")
    worth = board.ranking.worth
    helps = worth is not None and worth >= HELPS
    gained = ""
    if worth is not None:
        gained = texts("findings.powered_worth", worth=worth, little="" if helps else texts("findings.powered_little"))
    level = "good" if helps else "note"
    return texts.remark(level, "powered", pairs=board.rows["predicted"], tuning=tuning, worth=gained)  # type: ignore[arg-type]


def _facts(board: Leaderboard) -> list[tuple[str, str]]:
    found, options = board.ranking, board.settings
    both = board.rows["against_both"]
    draws = f", {found.draws} draws" if found.draws else ""
    facts = {
        "method": texts.find("methods").get(found.method) or texts("other_method", method=found.method),
        "intervals": f"{found.level:.0%}, {found.intervals} over clusters of prompts{draws}",
        "style control": ", ".join(each.name for each in found.style) or "none",
        "votes against both": f"{both:,}, {texts.find('both_bad')[options.both_bad]}" if both else "",
        "files": ", ".join(str(each["path"]) for each in board.reading),
        "votecast": __version__,
    }
    if board.judge is not None:
        facts["judge"] = f"{board.judge['name']} ({board.judge['hash'][:12]})"
    if found.tie is not None:
        tie = show_cell(Figure(found.tie.value, found.tie.low, found.tie.high), decimals=3)
        facts[f"ties ({found.tie.name})"] = tie.text + (f" ({tie.interval})" if tie.interval else "")
    return [(name, value) for name, value in facts.items() if value]


def _scores(board: Leaderboard) -> Section:
    found, columns, anchor = board.ranking, board.columns(), board.settings.anchor
    scale = texts("sections.scores.scale") if anchor is None else texts("sections.scores.anchored", anchor=anchor)
    scores = _figures(found.score, found.low, found.high)
    series = Series.of_figures("score", found.models, scores)
    if not np.isfinite(found.low).all():
        series = Series("score", found.models, found.score.tolist())
    chances = _figures(found.win_rate, found.win_rate_low, found.win_rate_high)
    rows: list[list[Cell]] = []
    for place, name in enumerate(found.models):
        low, high = int(found.rank_low[place]), int(found.rank_high[place])
        counts = [columns[key][place] for key in ("battles", "wins", "ties", "losses", "win_rate")]
        places = str(low) if low == high else f"{low} to {high}"
        rows.append([name, int(found.rank[place]), places, scores[place], *counts, chances[place]])
    chart = texts.chart("scores.chart", [series], scale=scale)
    return texts.section("scores", [chart, texts.table("scores.table", rows)])


def _pairs(board: Leaderboard) -> Section:
    found = board.ranking
    shown, models = min(len(found.models), MOST_MODELS), len(found.models)
    observed = np.where(found.met >= ENOUGH, found.observed, np.nan)
    maps = []
    for key, values in (("observed", observed), ("expected", found.expected)):
        values = values[:shown, :shown]
        kept = np.flatnonzero(np.isfinite(values).any(axis=1))  # rows and columns that hold something
        if len(kept):
            names = [found.models[place] for place in kept.tolist()]
            rates = [
                [None if math.isnan(value) else value for value in row] for row in values[np.ix_(kept, kept)].tolist()
            ]
            maps.append(Heatmap(texts(f"sections.pairs.{key}"), names, names, rates, middle=0.5))
    left = [texts("sections.pairs.left", shown=shown, models=models)] if shown < models else []
    return texts.section("pairs", maps, left, least=ENOUGH)


def _style(board: Leaderboard) -> list[Section]:
    style = board.ranking.style
    if not style:
        return []
    figures = [Figure(each.value, each.low, each.high) for each in style]
    series = Series.of_figures("style", [each.name for each in style], figures)
    rows: list[list[Cell]] = [[each.name, figure, each.unit] for each, figure in zip(style, figures, strict=True)]
    return [texts.section("style", [texts.chart("style.chart", [series]), texts.table("style.table", rows)])]


def _both_bad(board: Leaderboard) -> list[Section]:
    bad, models = board.both_bad, board.ranking.models
    if bad is None:
        return []
    order = np.argsort(bad.share, kind="stable").tolist()
    names, shares = [models[i] for i in order], _figures(bad.share[order], bad.low[order], bad.high[order])
    chart = texts.chart("both_bad.chart", [Series.of_figures("share", names, shares)])
    counts = [int(count) if count.is_integer() else count for count in bad.votes[order].tolist()]
    rows: list[list[Cell]] = [list(row) for row in zip(names, counts, shares, strict=True)]
    return [texts.section("both_bad", [chart, texts.table("both_bad.table", rows)])]


def _sentence(note: str) -> str:
    return note[0].upper() + note[1:] + ("" if note.endswith((".", "?")) else ".")


def _figures(values: Floats, low: Floats, high: Floats) -> Sequence[Figure]:
    return [Figure(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]
