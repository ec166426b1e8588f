"""The page of votes: outcomes, models, lengths, duplicates, damaged texts and examples.

Called by `votecast report` without a judge; the texts are in `templates/votes.yaml`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from votecast.data.battles import Battles
from votecast.data.exploration import Exploration
from votecast.metrics import Figure
from votecast.reports.document import (
    Cell,
    Document,
    Example,
    Heatmap,
    Item,
    Metric,
    Remark,
    Section,
    Series,
)
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
    facts = [("soft labels", f"{labels['soft']:,}")] if labels["soft"] else []
    facts += [(name, str(reading[key])) for key, name in texts.find("facts").items() if reading.get(key)]
    makers = (_outcomes, _models, _lengths, _groups, _repeats, _damage)
    sections = [*(make(found) for make in makers), _examples(found, votes)]
    return Document(
        title=texts("title"),
        subtitle=source,
        summary=list(summarise_votes(found)),
        facts=facts,
        sections=[section for section in sections if section.text or section.items],
        metrics=_metrics(found),
    )


def _metrics(found: Found) -> list[Metric]:
    names, labels, longer = texts.find("metrics"), found["labels"], found["longer_wins"]
    out = [Metric(names["rows"], found["rows"]), Metric(names["votes"], labels["labelled"])]
    if labels["labelled"]:
        out.append(Metric(names["ties"], labels["shares"]["tie"], percent=True))
    if longer["rate"] is not None:
        out.append(Metric(names["longer"], _figure(longer), percent=True))
    clusters = texts("clusters", clusters=found["prompts"]["clusters"])
    out.append(Metric(names["prompts"], found["prompts"]["distinct"], clusters if found["rows"] else ""))
    return [*out, *([Metric(names["models"], len(found["models"]))] if found["models"] else [])]


def summarise_votes(found: Found) -> Iterator[Remark]:
    """Return findings about votes.

    Args:
        found: An exploration as a dict.
    """
    labels, rows, ties = found["labels"], found["rows"], found["labels"]["shares"]["tie"]
    labelled, shares = labels["labelled"], labels["shares"]
    if not labelled:
        yield texts.remark("warning", "no_votes", rows=rows)
    else:
        yield texts.remark("note", "shares", labelled=labelled, rows=rows, **shares)
        if labelled < FEW_VOTES:
            yield texts.remark("warning", "few", labelled=labelled)
        if absent := [name for name in ("a", "b") if shares[name] == 0]:
            yield texts.remark("warning", "one_side", names=" or ".join(absent))
        if ties == 0:
            yield texts.remark("note", "no_ties")
        elif ties < _RARE_TIES:
            yield texts.remark("note", "rare_ties", tie=ties)
    yield from _on_sides_and_lengths(found)
    yield from _on_prompts(found)
    agreement, conflicts = found["duplicates"]["agreement"], found["duplicates"]["conflicting_pairs"]
    if agreement["pairs"] >= _SEVERAL:
        pairs = agreement["pairs"]
        yield texts.remark("note", "agreement", rate=agreement["rate"], pairs=pairs, conflicts=conflicts)
    damaged, empty = found["encoding"]["rows"], sum(found["empty"].values())
    share = damaged / max(rows, 1)
    if damaged:
        level: Literal["note", "warning"] = "warning" if share >= _DAMAGED else "note"
        yield texts.remark(level, "damaged", rows=_count_rows(damaged), share=share)
    if empty:
        yield texts.remark("note", "empty" if empty > 1 else "empty_one", count=empty)
    if not damaged and not empty:
        yield texts.remark("good", "texts_good")
    if found["identical_answers"]:
        yield texts.remark("note", "identical", rows=_count_rows(found["identical_answers"]))


def _on_sides_and_lengths(found: Found) -> Iterator[Remark]:
    first, longer = found["position"], found["longer_wins"]
    if first["rate"] is not None:
        values = {"rate": first["rate"], "of": first["of"]}
        if first["low"] > 0.5 or first["high"] < 0.5:
            is_large = abs(first["rate"] - 0.5) >= _UNEVEN
            interval = interval_text(_figure(first), ".1%")
            yield texts.remark("warning" if is_large else "note", "sides_uneven", interval=interval, **values)
        elif first["high"] - first["low"] > 2 * _UNEVEN:
            yield texts.remark(
                "note", "sides_unknown", interval=interval_text(_figure(first), ".1%", bare=True), **values
            )
        else:
            yield texts.remark("good", "sides_even", interval=interval_text(_figure(first), ".1%"), **values)
    if longer["rate"] is not None and not longer["low"] <= 0.5 <= longer["high"]:
        rate, low, high = _figure(longer)
        who, figure = ("longer", (rate, low, high)) if rate > 0.5 else ("shorter", (1 - rate, 1 - high, 1 - low))
        interval, share = interval_text(figure, ".1%"), figure[0]
        level: Literal["note", "warning"] = "warning" if share >= _LONGER else "note"
        yield texts.remark(level, "length", who=who, share=share, of=longer["of"], interval=interval)


def _on_prompts(found: Found) -> Iterator[Remark]:
    prompts, rows = found["prompts"], found["rows"]
    if not rows or not prompts["clusters"]:
        return
    heaviest = prompts["largest_cluster_rows"] / rows
    if heaviest > _REPEATED:
        yield texts.remark("warning", "one_prompt", share=heaviest)
    if prompts["clusters"] < _FEW_PROMPTS * rows:
        count = prompts["clusters"]
        counted = f"{count:,} different prompts" if count != 1 else "one prompt"
        yield texts.remark("note", "few_prompts", rows=rows, prompts=counted)


def _count_rows(count: int) -> str:
    return f"{count:,} rows have" if count != 1 else "1 row has"


def _figure(rate: Found) -> Figure:
    return Figure(rate["rate"], rate["low"], rate["high"])


def _outcomes(found: Found) -> Section:
    labels, names = found["labels"], texts.find("outcomes")
    if not labels["labelled"]:
        return texts.short_section("outcomes", "none")
    counts = Series("votes", list(names.values()), [labels["counts"][name] for name in CLASSES])
    rows: list[list[Cell]] = []
    for key, label in texts.find("sections.outcomes.rows").items():
        rate = found[key]
        rows.append([label, 0, None] if rate["rate"] is None else [label, rate["of"], _figure(rate)])
    return texts.section("outcomes", [texts.chart("outcomes.chart", [counts]), texts.table("outcomes.table", rows)])


def _models(found: Found) -> Section:
    models, matrix = found["models"], found["matrix"]
    if not models:
        return texts.short_section("models", "none")
    top = models[:_SHOWN_MODELS]
    is_all = len(models) == len(top)
    more = "" if is_all else texts("sections.models.more", shown=len(top), models=len(models))
    rows: list[list[Cell]] = []
    for each in top:
        wins, losses, ties = each["wins"], each["votes"] - each["wins"] - each["ties"], each["ties"]
        rows.append([each["model"], each["battles"], *map(_count, (wins, losses, ties)), each["win_rate"]])
    battles = Series("battles", [each["model"] for each in top], [each["battles"] for each in top])
    items: list[Item] = [
        texts.chart("models.chart", [battles], more=more),
        texts.table("models.table", rows),
    ]
    rates = [
        [rate if votes >= _ENOUGH else None for rate, votes in zip(*row, strict=True)]
        for row in zip(matrix["win_rates"], matrix["votes"], strict=True)
    ]
    met = [place for place, row in enumerate(rates) if any(rate is not None for rate in row)]
    if len(met) > 1:
        names, shown = [matrix["models"][place] for place in met], [[rates[i][j] for j in met] for i in met]
        items.append(Heatmap(texts("sections.models.matrix", least=_ENOUGH), names, names, shown, middle=0.5))
    return texts.section("models", items)


def _lengths(found: Found) -> Section:
    items: list[Item] = []
    if found["rows"]:
        counts, starts = found["histogram"], found["histogram"]["from"]
        middles = [math.sqrt(max(start, 1) * stop) for start, stop in itertools.pairwise([*starts, starts[-1] * _BIN])]
        series = [
            Series(name, middles, [count / max(sum(counts[key]), 1) for count in counts[key]])
            for key, name in texts.find("sections.lengths.series").items()
        ]
        items.append(texts.chart("lengths.chart", series))
    if bins := [entry for entry in found["length_outcomes"] if entry["of"]]:
        names = [
            f"{entry['from']:g} times and more"
            if entry["to"] is None
            else f"{entry['from']:g} to {entry['to']:g} times"
            for entry in bins
        ]
        items.append(texts.chart("lengths.longer", [Series.of_figures("longer", names, list(map(_figure, bins)))]))
    rows = [
        [name.replace("_", " "), *(None if size is None else round(size) for size in _quantiles(sizes))]
        for name, sizes in found["lengths"].items()
    ]
    return texts.section("lengths", [*items, texts.table("lengths.table", rows)])


def _quantiles(sizes: Found) -> list[float | None]:
    return [sizes[key] for key in ("p05", "p25", "median", "p75", "p95", "max")]


def _groups(found: Found) -> Section:
    items: list[Item] = []
    languages, groupings = found["languages"], texts.find("groupings")
    columns = texts.find("sections.groups.table.columns")
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
            rows.append(_join_groups(rest))
        is_sample = by == "language" and languages["rows"] < found["rows"]
        sample = texts("sections.groups.sample", rows=languages["rows"]) if is_sample else ""
        items.append(texts.table("groups.table", rows, [groupings[by], *columns], by=groupings[by], sample=sample))
    how = languages["found_by"]
    key = "by_column" if how == "column" else "detected"
    return texts.section("groups", items, [texts(f"sections.groups.{key}", how=how)])


def _join_groups(groups: Sequence[Found]) -> list[Cell]:
    """Return one row for many small groups."""
    votes = sum(entry["votes"] for entry in groups)
    shares = [sum(entry["votes"] * (entry[name] or 0.0) for entry in groups) for name in CLASSES]
    means = [share / votes if votes else None for share in shares]
    return [f"{len(groups):,} others", sum(entry["rows"] for entry in groups), *means]


def _repeats(found: Found) -> Section:
    pairs, prompts = found["duplicates"], found["prompts"]
    counts = {**pairs, **prompts, "identical": found["identical_answers"]}
    rows: list[list[Cell]] = [[label, counts[key]] for key, label in texts.find("sections.repeats.rows").items()]
    items: list[Item] = [texts.table("repeats.table", rows)]
    if pairs["conflicts"]:
        votes: list[list[Cell]] = [
            [_join_ids(each["ids"], each["rows"]), *map(_count, (each["a"], each["b"], each["tie"]))]
            for each in pairs["conflicts"]
        ]
        items.append(texts.table("repeats.conflicts", votes))
    if prompts["frequent"]:
        frequent: list[list[Cell]] = [
            [brief(" ".join(entry["prompt"].split()), 120), entry["rows"], entry["id"]] for entry in prompts["frequent"]
        ]
        items.append(texts.table("repeats.frequent", frequent))
    agreement = pairs["agreement"]
    known = agreement["rate"] is not None
    return texts.section("repeats", items, [texts("sections.repeats.agreement", **agreement)] if known else [])


def _damage(found: Found) -> Section:
    empty, reading = found["empty"], found["reading"] or {}
    columns = ("prompt", "response_a", "response_b")
    rows: list[list[Cell]] = [
        [kind["kind"], kind["rows"], *(kind[name] for name in columns), _join_ids(kind["ids"], kind["rows"])]
        for kind in found["encoding"]["kinds"]
    ]
    if any(empty.values()):
        rows.append([texts("sections.damage.empty"), None, *(empty[name] for name in columns), ""])
    if found["turns"]["unequal"]:
        rows.append([texts("sections.damage.turns"), found["turns"]["unequal"], None, None, None, ""])
    items: list[Item] = [texts.table("damage.table", rows)] if rows else []
    repairs: list[list[Cell]] = [[what, count] for what, count in (reading.get("repairs") or {}).items()]
    if reading.get("quarantined"):
        repairs.append([texts("sections.damage.quarantined", file=reading["quarantine"]), reading["quarantined"]])
    if repairs:
        items.append(texts.table("damage.repairs", repairs))
    return texts.section("damage", items, [] if items else [texts("sections.damage.none")])


def _examples(found: Found, votes: Battles) -> Section:
    shown = votes.take([entry["row"] for entry in found["examples"]])
    texts_of = {name: shown.text(name) for name in ("prompt", "response_a", "response_b")}
    items = []
    for place, entry in enumerate(found["examples"]):
        battle = shown[place]
        vote = str(battle.winner or "none")
        if battle.probabilities is not None:
            vote = ", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, battle.probabilities, strict=True))
        facts = [("row", f"{entry['row'] + 1:,}"), ("id", str(entry["id"])), ("vote", vote)]
        facts += [("language", battle.language)] if battle.language else []
        sides = [
            (f"Answer {side}" + (f": {model}" if model else ""), texts_of[f"response_{side}"][place])
            for side, model in (("a", battle.model_a), ("b", battle.model_b))
        ]
        title = entry["reason"][0].upper() + entry["reason"][1:]
        items.append(Example(title, facts, ("Prompt", texts_of["prompt"][place]), sides))
    return texts.section("examples", items)


def _count(value: float) -> float | int:
    return round(value) if abs(value - round(value)) < 1e-9 else round(value, 2)


def _join_ids(ids: Sequence[str], of: int) -> str:
    named = list(map(str, ids[:_NAMED_IDS]))
    return ", ".join(named) + (f" and {of - len(named):,} more" if of > len(named) else "")
