"""The page of a leaderboard: scores with intervals, pairs of models, style, and how to read them.

Called by `votecast rank --html`; the sections are in `templates/leaderboard.html`.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from votecast import __version__
from votecast.leaderboard import Leaderboard
from votecast.leaderboard.board import FEW_CLUSTERS, HELPS
from votecast.leaderboard.connectivity import join_names
from votecast.leaderboard.fit import ONE_PROMPT, USELESS
from votecast.metrics import Figure
from votecast.reports.document import Cell, Document, Metric, Remark, Series
from votecast.reports.page_format import show_cell
from votecast.reports.page_texts import load_texts
from votecast.types import Floats

MOST_MODELS: Final = 30
"""The best models of a larger leaderboard are shown in the heatmaps."""

ENOUGH: Final = 10
"""Battles between two models from which the share that one of them won is shown."""

texts = load_texts("leaderboard")


def leaderboard_page(board: Leaderboard) -> Document:
    """Compose the page of a leaderboard."""
    found, bad = board.ranking, board.both_bad
    scores = _figures(found.score, found.low, found.high)
    series = Series.of_figures("score", found.models, scores)
    if not np.isfinite(found.low).all():
        series = Series("score", found.models, found.score.tolist())
    style = [(each, Figure(each.value, each.low, each.high)) for each in found.style]
    both_bad: list[list[Cell]] = []
    if bad is not None:
        order = np.argsort(bad.share, kind="stable")
        counts = [int(count) if count.is_integer() else count for count in bad.votes[order].tolist()]
        shares = _figures(bad.share[order], bad.low[order], bad.high[order])
        names = [found.models[place] for place in order.tolist()]
        both_bad = [list(row) for row in zip(names, counts, shares, strict=True)]
    return Document(
        title=texts("title", models=len(found.models)),
        subtitle=texts.names("sources")[board.source],
        metrics=_metrics(board),
        summary=_summarise(board),
        facts=_facts(board),
        template="leaderboard.html",
        values={
            "anchor": board.settings.anchor,
            "score_series": series,
            "columns": board.columns(),
            "scores": scores,
            "chances": _figures(found.win_rate, found.win_rate_low, found.win_rate_high),
            "maps": _heatmaps(board),
            "shown": min(len(found.models), MOST_MODELS),
            "models": len(found.models),
            "enough": ENOUGH,
            "style": style,
            "both_bad": both_bad,
            "is_scaled": found.method in texts.names("methods"),
            "notes": list(map(_sentence, board.notes)),
        },
    )


def _metrics(board: Leaderboard) -> list[Metric]:
    found, names = board.ranking, texts.names("metrics")
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
    if found.separability >= 1:
        remarks.append(texts.remark("good", "separated", share=found.separability, rest=""))
    elif math.isfinite(found.separability):
        rest = texts("findings.separated_rest")
        remarks.append(texts.remark("note", "separated", share=found.separability, rest=rest))
    if board.source == "predictions":
        remarks.append(texts.remark("warning", "judge_only"))
    if 1 < found.clusters < FEW_CLUSTERS:
        remarks.append(texts.remark("warning", "few", clusters=found.clusters))
    if ONE_PROMPT in found.notes:
        remarks.append(texts.remark("warning", "one_prompt"))
    remarks += [Remark("note", _sentence(note)) for note in found.notes if note not in (ONE_PROMPT, USELESS)]
    if found.tuning == 0:
        remarks.append(texts.remark("note", "useless"))
    elif found.tuning is not None and found.worth is not None:
        helps = found.worth >= HELPS
        little = "" if helps else texts("findings.powered_little")
        weight = {"pairs": board.rows["predicted"], "tuning": found.tuning, "worth": found.worth, "little": little}
        remarks.append(texts.remark("good" if helps else "note", "powered", **weight))
    return remarks


def _facts(board: Leaderboard) -> list[tuple[str, str]]:
    found, options = board.ranking, board.settings
    both = board.rows["against_both"]
    draws = f", {found.draws} draws" if found.draws else ""
    facts = {
        "method": texts.names("methods").get(found.method) or texts("other_method", method=found.method),
        "intervals": f"{found.level:.0%}, {found.intervals} over clusters of prompts{draws}",
        "style control": ", ".join(each.name for each in found.style) or "none",
        "votes against both": f"{both:,}, {texts.names('both_bad')[options.both_bad]}" if both else "",
        "files": ", ".join(str(each["path"]) for each in board.reading),
        "votecast": __version__,
    }
    if board.judge is not None:
        facts["judge"] = f"{board.judge['name']} ({board.judge['hash'][:12]})"
    if found.tie is not None:
        tie = show_cell(Figure(found.tie.value, found.tie.low, found.tie.high), decimals=3)
        facts[f"ties ({found.tie.name})"] = tie.text + (f" ({tie.interval})" if tie.interval else "")
    return [(name, value) for name, value in facts.items() if value]


def _heatmaps(board: Leaderboard) -> dict[str, tuple[list[str], list[list[float | None]]]]:
    """Return the models and the win rates between them, observed and expected, without empty rows and columns."""
    found, maps = board.ranking, {}
    observed = np.where(found.met >= ENOUGH, found.observed, np.nan)
    for key, values in (("observed", observed), ("expected", found.expected)):
        values = values[:MOST_MODELS, :MOST_MODELS]
        kept = np.flatnonzero(np.isfinite(values).any(axis=1))
        if len(kept):
            rates = values[np.ix_(kept, kept)].tolist()
            names = [found.models[place] for place in kept.tolist()]
            maps[key] = names, [[None if math.isnan(value) else value for value in row] for row in rates]
    return maps


def _sentence(note: str) -> str:
    return note[0].upper() + note[1:] + ("" if note.endswith((".", "?")) else ".")


def _figures(values: Floats, low: Floats, high: Floats) -> list[Figure]:
    return [Figure(*ends) for ends in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)]
