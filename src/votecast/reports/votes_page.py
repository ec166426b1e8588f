"""The page about votes alone: what a reader should know of them before trusting anything that was learnt from them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from votecast.data.battles import Battles
from votecast.data.exploration import Exploration
from votecast.metrics import Figure
from votecast.reports.document import Chart, Document, Example, Heatmap, Item, Section, Series, Table
from votecast.reports.votes_summary import summary
from votecast.types import CLASSES

_NAN = float("nan")
_OUTCOMES = {"a": "a wins", "b": "b wins", "tie": "tie"}
_SHOWN_GROUPS = 12
_SHOWN_MODELS = 25
_ENOUGH = 10
"""Votes between two models from which a win rate is shown, and rows from which a group stands by itself."""
_NAMED = 5
_BIN = 1.8

Found = Mapping[str, Any]


def votes_page(exploration: Exploration, votes: Battles, *, source: str = "") -> Document:
    """Compose the page about votes.

    Args:
        exploration: What `explore` found in them.
        votes: The votes; the texts of the examples are taken from them.
        source: Where they come from, such as the path of their file.
    """
    found = exploration.to_dict()
    sections = [
        _outcomes(found),
        _models(found),
        _lengths(found),
        _groups(found),
        _repeats(found),
        _damage(found),
        _examples(found, votes),
    ]
    return Document(
        title="The votes",
        subtitle=f"What is in {source}" if source else "What is in these votes",
        summary=summary(found),
        facts=_facts(found),
        sections=[section for section in sections if section.text or section.items],
    )


def _facts(found: Found) -> list[tuple[str, str]]:
    reading, labels = found["reading"] or {}, found["labels"]
    facts = [("rows", f"{found['rows']:,}"), ("with a vote", f"{labels['labelled']:,}")]
    if labels["soft"]:
        facts.append(("with a soft label", f"{labels['soft']:,}"))
    facts += [("prompts", f"{found['prompts']['distinct']:,}"), ("models", f"{len(found['models']):,}")]
    for name, key in (("file", "path"), ("format", "format"), ("container", "container"), ("sample", "sampling")):
        if reading.get(key):
            facts.append((name, str(reading[key])))
    return facts


def _outcomes(found: Found) -> Section:
    labels = found["labels"]
    if not labels["labelled"]:
        return Section("outcomes", "Outcomes", ["No row carries a vote."])
    counts = Series("votes", list(_OUTCOMES.values()), [labels["counts"][name] for name in CLASSES])
    rows = [
        ["the first answer wins", *_share_of(found["position"])],
        ["the longer answer wins", *_share_of(found["longer_wins"])],
    ]
    table = Table(
        ["among decided votes", "votes", "share"],
        rows,
        "Who wins, ties and soft labels without a majority left aside, with 95% intervals",
        frozenset({"share"}),
    )
    return Section("outcomes", "Outcomes", items=[Chart("bars", "Votes by outcome", "votes", "", [counts]), table])


def _models(found: Found) -> Section:
    models = found["models"]
    if not models:
        return Section("models", "Models", ["The rows do not name the models."])
    top = models[:_SHOWN_MODELS]
    more = f" (the {len(top)} with the most, of {len(models)})" if len(models) > len(top) else ""
    columns = ["model", "battles", "wins", "losses", "ties", "win rate"]
    rows = [
        [
            m["model"],
            m["battles"],
            *map(_count, (m["wins"], m["votes"] - m["wins"] - m["ties"], m["ties"])),
            m["win_rate"],
        ]
        for m in top
    ]
    text = (
        "A tie counts half in a win rate. Models meet different opponents, so that win rates do not rank them: "
        "votecast rank does."
    )
    battles = Series("battles", [m["model"] for m in top], [m["battles"] for m in top])
    items: list[Item] = [
        Chart("bars", f"Battles by model{more}", "battles", "", [battles]),
        Table(columns, rows, "Outcomes by model", frozenset({"win rate"})),
        *_matrix(found["matrix"]),
    ]
    return Section("models", "Models", [text], items)


def _matrix(matrix: Found) -> list[Item]:
    """Win rates between models, where enough of them have met often enough."""
    rates = [
        [rate if votes >= _ENOUGH else None for rate, votes in zip(*row, strict=True)]
        for row in zip(matrix["win_rates"], matrix["votes"], strict=True)
    ]
    met = [place for place, row in enumerate(rates) if any(rate is not None for rate in row)]
    if len(met) < 2:
        return []
    names = [matrix["models"][place] for place in met]
    title = (
        "How often the model of the row wins against that of the column (a tie counts half; empty below "
        f"{_ENOUGH} votes)"
    )
    return [Heatmap(title, names, names, [[rates[i][j] for j in met] for i in met], middle=0.5)]


def _lengths(found: Found) -> Section:
    items: list[Item] = []
    if found["rows"]:
        items.append(_histogram(found["histogram"]))
    if any(entry["of"] for entry in found["length_outcomes"]):
        items.append(_longer(found["length_outcomes"]))
    columns = ["text", "5%", "25%", "median", "75%", "95%", "longest"]
    keys = ("p05", "p25", "median", "p75", "p95", "max")
    rows = [
        [name.replace("_", " "), *(None if sizes[key] is None else round(sizes[key]) for key in keys)]
        for name, sizes in found["lengths"].items()
    ]
    items.append(Table(columns, rows, "Characters of the texts, all turns together"))
    return Section("lengths", "Lengths", items=items)


def _histogram(histogram: Found) -> Chart:
    starts = histogram["from"]
    middles = [math.sqrt(max(start, 1) * stop) for start, stop in itertools.pairwise([*starts, starts[-1] * _BIN])]
    series = []
    for key, name in (("prompt", "prompts"), ("answer", "answers")):
        total = max(sum(histogram[key]), 1)
        series.append(Series(name, middles, [count / total for count in histogram[key]]))
    title = "Texts by number of characters"
    return Chart("lines", title, "characters", "share of the texts", series, log_x=True, percent=True)


def _longer(bins: Sequence[Found]) -> Chart:
    shown = [entry for entry in bins if entry["of"]]
    names = [_times(entry) for entry in shown]
    wins = Series(
        "share of decided votes that the longer answer won",
        names,
        [entry["rate"] for entry in shown],
        [entry["low"] for entry in shown],
        [entry["high"] for entry in shown],
    )
    title = "Does the longer answer win? By how many times longer it is"
    return Chart("dots", title, "won by the longer answer", "", [wins], mark=0.5, percent=True)


def _groups(found: Found) -> Section:
    items: list[Item] = []
    for by, groups in found["outcomes"].items():
        if len(groups) < 2 and by != "language":
            continue
        shown = [name for name, entry in groups.items() if entry["rows"] >= _ENOUGH][:_SHOWN_GROUPS]
        if by == "turns" or len(groups) - len(shown) == 1:
            shown = sorted(groups) if by == "turns" else list(groups)
        rows = [[name, groups[name]["rows"], *(groups[name][outcome] for outcome in CLASSES)] for name in shown]
        rest = [entry for name, entry in groups.items() if name not in shown]
        if rest:
            rows.append(_together(rest))
        caption = f"By {_GROUPINGS[by]}"
        if by == "language" and found["languages"]["rows"] < found["rows"]:
            caption += f", in a sample of {found['languages']['rows']:,} rows"
        columns = [_GROUPINGS[by], "rows", *_OUTCOMES.values()]
        items.append(Table(columns, rows, caption, frozenset(_OUTCOMES.values())))
    how = found["languages"]["found_by"]
    said = (
        "as the file names it" if how == "column" else f"as {how} recognises it in the prompt; und where it cannot tell"
    )
    return Section("groups", "Languages, sources, turns", [f"The language is {said}."], items)


def _together(groups: Sequence[Found]) -> list[Any]:
    """One row for many small groups, whose own shares would say nothing."""
    votes = sum(entry["votes"] for entry in groups)
    shares = [sum(entry["votes"] * (entry[name] or 0.0) for entry in groups) for name in CLASSES]
    means = [share / votes if votes else None for share in shares]
    return [f"{len(groups):,} others", sum(entry["rows"] for entry in groups), *means]


_GROUPINGS = {"language": "language", "source": "source", "turns": "turns of the prompt"}


def _repeats(found: Found) -> Section:
    pairs, prompts = found["duplicates"], found["prompts"]
    rows = [
        ["rows that repeat a pair of answers exactly", pairs["exact"]],
        ["rows that repeat a pair with the answers exchanged", pairs["reversed"]],
        ["pairs with several rows", pairs["repeated_pairs"]],
        ["pairs whose votes differ", pairs["conflicting_pairs"]],
        ["rows with two identical answers", found["identical_answers"]],
        ["distinct prompts", prompts["distinct"]],
        ["distinct prompts, near-duplicates together", prompts["clusters"]],
    ]
    agreement = pairs["agreement"]
    items: list[Item] = [Table(["what", "count"], rows, "What occurs more than once")]
    if pairs["conflicts"]:
        columns = ["rows (ids)", "a wins", "b wins", "ties"]
        votes = [
            [_ids(c["ids"], c["rows"]), _count(c["a"]), _count(c["b"]), _count(c["tie"])] for c in pairs["conflicts"]
        ]
        items.append(Table(columns, votes, "Pairs on which people disagree most, as their first row shows them"))
    if prompts["frequent"]:
        asked = [[_start(entry["prompt"]), entry["rows"], entry["id"]] for entry in prompts["frequent"]]
        items.append(Table(["prompt", "rows", "first id"], asked, "Prompts that are asked most often"))
    text = []
    if agreement["rate"] is not None:
        text.append(
            f"Two votes on one pair agree in {agreement['rate']:.0%} of cases ({agreement['votes']:,} votes on "
            f"{agreement['pairs']:,} pairs, soft labels left aside)."
        )
    return Section("repeats", "Duplicates and conflicts", text, items)


def _damage(found: Found) -> Section:
    empty, encoding, reading = found["empty"], found["encoding"], found["reading"] or {}
    columns = ["what", "rows", "in prompts", "in answers a", "in answers b", "first ids"]
    rows = [
        [
            kind["kind"],
            kind["rows"],
            kind["prompt"],
            kind["response_a"],
            kind["response_b"],
            _ids(kind["ids"], kind["rows"]),
        ]
        for kind in encoding["kinds"]
    ]
    if any(empty.values()):
        rows.append(["no visible text", None, empty["prompt"], empty["response_a"], empty["response_b"], ""])
    if found["turns"]["unequal"]:
        rows.append(
            ["an answer with more or fewer turns than the prompt", found["turns"]["unequal"], None, None, None, ""]
        )
    items: list[Item] = [Table(columns, rows, "Damaged and missing texts")] if rows else []
    repairs = [[what, count] for what, count in (reading.get("repairs") or {}).items()]
    if reading.get("quarantined"):
        repairs.append([f"rows that cannot be read, set aside in {reading['quarantine']}", reading["quarantined"]])
    if repairs:
        items.append(Table(["repair", "times"], repairs, "What the reader repaired"))
    return Section("damage", "Damaged texts", [] if items else ["No text is damaged, empty or missing."], items)


def _examples(found: Found, votes: Battles) -> Section:
    shown = votes.take([entry["row"] for entry in found["examples"]])
    texts = {name: shown.text(name) for name in ("prompt", "response_a", "response_b")}
    items = []
    for place, entry in enumerate(found["examples"]):
        battle = shown[place]
        facts = [("row", f"{entry['row'] + 1:,}"), ("id", str(entry["id"])), ("vote", _vote(battle))]
        facts += [("language", battle.language)] if battle.language else []
        sides = [
            (f"Answer {side}" + (f": {model}" if model else ""), texts[f"response_{side}"][place])
            for side, model in (("a", battle.model_a), ("b", battle.model_b))
        ]
        title = entry["reason"][0].upper() + entry["reason"][1:]
        items.append(Example(title, facts, ("Prompt", texts["prompt"][place]), sides))
    return Section("examples", "Examples", items=items)


def _vote(battle: Any) -> str:
    if battle.probabilities is not None:
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, battle.probabilities, strict=True))
    return "none" if battle.winner is None else str(battle.winner)


def _share_of(rate: Found) -> list[Any]:
    if rate["rate"] is None:
        return [0, None]
    return [rate["of"], Figure(rate["rate"], rate["low"], rate["high"])]


def _count(value: float) -> float | int:
    return round(value) if abs(value - round(value)) < 1e-9 else round(value, 2)


def _times(entry: Found) -> str:
    if entry["to"] is None:
        return f"{entry['from']:g} times and more"
    return f"{entry['from']:g} to {entry['to']:g} times"


def _start(text: str, longest: int = 120) -> str:
    words = " ".join(text.split())
    return words if len(words) <= longest else words[:longest] + "\u2026"


def _ids(ids: Sequence[str], of: int) -> str:
    named = list(map(str, ids[:_NAMED]))
    return ", ".join(named) + (f" and {of - len(named):,} more" if of > len(named) else "")
