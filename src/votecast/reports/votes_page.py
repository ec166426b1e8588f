"""The page of votes: outcomes, models, lengths, duplicates, damaged texts and examples.

Called by `votecast report` without a judge; the sections are in `templates/votes.html`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.exploration import Exploration
from votecast.metrics import Figure
from votecast.reports.document import Cell, Document, Level, Metric, Remark, Series
from votecast.reports.page_format import brief, interval_text
from votecast.reports.page_texts import load_texts
from votecast.types import CLASSES

FEW_VOTES: Final = 500
"""Fewer votes are warned of."""
_RARE_TIES, _DAMAGED, _REPEATED = 0.02, 0.005, 0.1
_FEW_PROMPTS, _UNEVEN, _LONGER = 0.5, 0.05, 0.65
_SEVERAL = 20
"""Pairs with several votes from which the agreement of two people is a finding."""
_ENOUGH = 10
"""Votes between two models from which a win rate is shown, and rows from which a group is shown by itself."""
_SHOWN_GROUPS, _SHOWN_MODELS, _NAMED_IDS = 12, 25, 5
_BIN = 1.8
"""Ratio of the ends of the bins of lengths."""

Found = Mapping[str, Any]
texts = load_texts("votes")


def votes_page(exploration: Exploration, votes: Battles, *, source: str = "") -> Document:
    """Compose the page of votes.

    Args:
        exploration: What `explore` found in them.
        votes: The votes; the texts of the examples are taken from them.
        source: Where they come from, such as the path of their file.
    """
    found = exploration.to_dict()
    reading, labels = found["reading"] or {}, found["labels"]
    shown = votes.take([entry["row"] for entry in found["examples"]])
    example_texts = zip(*map(shown.text, TEXT_COLUMNS), strict=True)
    facts = [("soft labels", f"{labels['soft']:,}")] if labels["soft"] else []
    facts += [(name, str(reading[key])) for key, name in texts.names("facts").items() if reading.get(key)]
    return Document(
        title=texts("title"),
        subtitle=source,
        metrics=_metrics(found),
        summary=list(summarise_votes(found)),
        facts=facts,
        template="votes.html",
        values={
            "found": found,
            "reading": reading,
            "figure": _figure,
            "count": _count,
            "whole": round,
            "ids": _join_ids,
            "short": lambda text: brief(" ".join(text.split()), 120),
            "shown_models": found["models"][:_SHOWN_MODELS],
            "win_rates": _win_rates(found),
            "enough": _ENOUGH,
            "length_series": _length_series(found) if found["rows"] else [],
            "groups": _groups(found),
            "examples": list(zip(found["examples"], shown, example_texts, strict=True)),
        },
    )


def _metrics(found: Found) -> list[Metric]:
    names, labels, longer = texts.names("metrics"), found["labels"], found["longer_wins"]
    out = [Metric(names["rows"], found["rows"]), Metric(names["votes"], labels["labelled"])]
    if labels["labelled"]:
        out.append(Metric(names["ties"], labels["shares"]["tie"], percent=True))
    if longer["rate"] is not None:
        out.append(Metric(names["longer"], _figure(longer), percent=True))
    clusters = texts("clusters", clusters=found["prompts"]["clusters"])
    out.append(Metric(names["prompts"], found["prompts"]["distinct"], clusters if found["rows"] else ""))
    return [*out, *([Metric(names["models"], len(found["models"]))] if found["models"] else [])]


def summarise_votes(found: Found) -> Iterator[Remark]:
    """Return findings about votes from an exploration as a dict."""
    yield from _on_labels(found)
    yield from _on_sides(found)
    yield from _on_prompts(found)
    if found["duplicates"]["agreement"]["pairs"] >= _SEVERAL:
        yield texts.remark("note", "agreement", **found["duplicates"])
    damaged, empty = found["encoding"]["rows"], sum(found["empty"].values())
    if damaged:
        share = damaged / max(found["rows"], 1)
        level: Level = "warning" if share >= _DAMAGED else "note"
        yield texts.remark(level, "damaged", rows=_count_rows(damaged), share=share)
    if empty:
        yield texts.remark("note", "empty" if empty > 1 else "empty_one", count=empty)
    if not damaged and not empty:
        yield texts.remark("good", "texts_good")
    if found["identical_answers"]:
        yield texts.remark("note", "identical", rows=_count_rows(found["identical_answers"]))


def _on_labels(found: Found) -> Iterator[Remark]:
    labels = found["labels"]
    if not labels["labelled"]:
        yield texts.remark("warning", "no_votes", rows=found["rows"])
        return
    yield texts.remark("note", "shares", rows=found["rows"], **labels)
    if labels["labelled"] < FEW_VOTES:
        yield texts.remark("warning", "few", **labels)
    if absent := [name for name in ("a", "b") if labels["shares"][name] == 0]:
        yield texts.remark("warning", "one_side", names=" or ".join(absent))
    if labels["shares"]["tie"] == 0:
        yield texts.remark("note", "no_ties")
    elif labels["shares"]["tie"] < _RARE_TIES:
        yield texts.remark("note", "rare_ties", **labels["shares"])


def _on_sides(found: Found) -> Iterator[Remark]:
    first, longer = found["position"], found["longer_wins"]
    if first["rate"] is not None:
        level: Level
        level, key = "good", "sides_even"
        if first["low"] > 0.5 or first["high"] < 0.5:
            level, key = "warning" if abs(first["rate"] - 0.5) >= _UNEVEN else "note", "sides_uneven"
        elif first["high"] - first["low"] > 2 * _UNEVEN:
            level, key = "note", "sides_unknown"
        interval = interval_text(_figure(first), ".1%", bare=key == "sides_unknown")
        yield texts.remark(level, key, interval=interval, **first)
    if longer["rate"] is not None and not longer["low"] <= 0.5 <= longer["high"]:
        rate, low, high = _figure(longer)
        who, figure = ("longer", (rate, low, high)) if rate > 0.5 else ("shorter", (1 - rate, 1 - high, 1 - low))
        level = "warning" if figure[0] >= _LONGER else "note"
        interval = interval_text(figure, ".1%")
        yield texts.remark(level, "length", who=who, share=figure[0], of=longer["of"], interval=interval)


def _on_prompts(found: Found) -> Iterator[Remark]:
    prompts, rows = found["prompts"], found["rows"]
    if not rows or not prompts["clusters"]:
        return
    if (heaviest := prompts["largest_cluster_rows"] / rows) > _REPEATED:
        yield texts.remark("warning", "one_prompt", share=heaviest)
    if (count := prompts["clusters"]) < _FEW_PROMPTS * rows:
        counted = f"{count:,} different prompts" if count != 1 else "one prompt"
        yield texts.remark("note", "few_prompts", rows=rows, prompts=counted)


def _count_rows(count: int) -> str:
    return f"{count:,} rows have" if count != 1 else "1 row has"


def _figure(rate: Found) -> Figure:
    return Figure(rate["rate"], rate["low"], rate["high"])


def _length_series(found: Found) -> list[Series]:
    """Return how many of the texts have about so many characters."""
    counts, starts = found["histogram"], found["histogram"]["from"]
    # each bin is drawn at its geometric middle; the last one is open and ends where the next would begin
    middles = [math.sqrt(max(start, 1) * stop) for start, stop in itertools.pairwise([*starts, starts[-1] * _BIN])]
    return [
        Series(name, middles, [count / max(sum(counts[key]), 1) for count in counts[key]])
        for key, name in texts.names("lengths").items()
    ]


def _win_rates(found: Found) -> tuple[list[str], list[list[float | None]]]:
    """Return the models that met others often enough, and their win rates against each other."""
    matrix = found["matrix"]
    rates = [
        [rate if votes >= _ENOUGH else None for rate, votes in zip(*row, strict=True)]
        for row in zip(matrix["win_rates"], matrix["votes"], strict=True)
    ]
    met = [place for place, row in enumerate(rates) if any(rate is not None for rate in row)]
    return [matrix["models"][place] for place in met], [[rates[i][j] for j in met] for i in met]


def _groups(found: Found) -> dict[str, list[list[Cell]]]:
    """Return one row for each language, source and number of turns; small groups are joined."""
    out = {}
    for by, groups in found["outcomes"].items():
        if len(groups) < 2 and by != "language":
            continue
        shown = [name for name, entry in groups.items() if entry["rows"] >= _ENOUGH][:_SHOWN_GROUPS]
        if by == "turns" or len(groups) - len(shown) == 1:
            shown = sorted(groups) if by == "turns" else list(groups)
        rows: list[list[Cell]] = [
            [name, groups[name]["rows"], *(groups[name][outcome] for outcome in CLASSES)] for name in shown
        ]
        if rest := [entry for name, entry in groups.items() if name not in shown]:
            votes = sum(entry["votes"] for entry in rest)
            shares = [sum(entry["votes"] * (entry[name] or 0.0) for entry in rest) for name in CLASSES]
            means = [share / votes if votes else None for share in shares]
            rows.append([f"{len(rest):,} others", sum(entry["rows"] for entry in rest), *means])
        out[by] = rows
    return out


def _count(value: float) -> float | int:
    """Round the sum of soft labels to two digits, and to a whole number where it is one."""
    return round(value) if abs(value - round(value)) < 1e-9 else round(value, 2)


def _join_ids(ids: Sequence[str], of: int) -> str:
    named = list(map(str, ids[:_NAMED_IDS]))
    return ", ".join(named) + (f" and {of - len(named):,} more" if of > len(named) else "")
