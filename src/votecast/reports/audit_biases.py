"""What a judge favours: a position, a form, models, and what it could read."""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.reports.audit.models import Favour
from votecast.reports.audit.result import Audit
from votecast.reports.audit.style import Trait
from votecast.reports.audit_figures import MARK, marked
from votecast.reports.document import Cell, Chart, Item, Section, Series, Table

_SHOWN = 20


def bias_sections(audit: Audit) -> list[Section]:
    """The sections on what the judge favours; those that cannot be measured say so."""
    return [_position(audit), _style(audit), _models(audit), _truncation(audit)]


def _position(audit: Audit) -> Section:
    found = audit.position
    if found is None:
        return Section("position", "Order of the answers", ["Forecasts of the other order are not known."])
    rows: list[list[Cell]] = [
        ["decision changes with the order", found.flips, ""],
        ["the answer shown first is preferred in both orders", found.first_both, ""],
        ["the answer shown second is preferred in both orders", found.second_both, ""],
        ["a forecast moves by, on average", found.moved, ""],
        ["an answer gains by being shown first", found.pull.figure, marked(found.pull)],
        ["people vote for the first more than for the second by", found.votes_lean, ""],
        ["the judge leans to the first more than people by", found.lean_gap.figure, marked(found.lean_gap)],
    ]
    saved = found.averaged_gain
    text = ["The judge was asked for both orders of every pair. A fair judge gives the same answer the same chances."]
    if found.flips.value == 0 and found.moved.value == 0:
        text.append("The order plays no part in its forecasts.")
    elif not math.isnan(saved.value):
        text.append(
            f"Averaging the forecasts of both orders changes the log loss by {-saved.value:+.4f} {marked(saved)}"
        )
    return Section("position", "Order of the answers", text, [Table(["", "share", ""], rows, "", frozenset(["share"]))])


def _style(audit: Audit) -> Section:
    title = "Length and style"
    if audit.style is None:
        return Section("style", title, ["No two answers differ in form, or there are no texts."])
    traits, slope = audit.style.traits, audit.style.slope
    told = [trait for trait in traits if not math.isnan(trait.overrated.p)]
    drawn = Series("judge", [trait.name for trait in told], *_ends([trait.overrated.figure for trait in told]))
    chart = "What it gives too much for (right) and too little (left)"
    columns = ["", "found", "one unit", "rows", "people", "judge", "overrated", "unused"]
    rows: list[list[Cell]] = [
        [
            *(trait.name, _rating(trait), trait.unit, trait.rows, trait.people, trait.judge),
            *(trait.overrated.figure, trait.unused.figure),
        ]
        for trait in traits
    ]
    items: list[Item] = [Chart("dots", chart, "log odds", "", [drawn], mark=0.0)] if told else []
    items.append(Table(columns, rows))
    text = [
        (
            "All figures are log odds for one unit more in an answer, other traits equal: 0.1 moves an even "
            "chance to 52.5%. People and judge: what each makes of it. Overrated: how much more the judge makes of it "
            "than people. Unused: what votes still make of it where the judge predicts equal quality, its own log odds "
            f"held equal. Twice as many means of one plus their number. {MARK} marks what is beyond chance."
        ),
        (
            f"With traits equal, each unit of its own log odds is worth {1 + slope.value:.2f} {marked(slope)} of "
            "one in the votes: 1 is fair, less overconfident, 0 says that it sees nothing but these traits, and less "
            "than 0 that it misleads."
        ),
    ]
    return Section("style", title, text, items)


def _rating(trait: Trait) -> str:
    said = [
        (trait.overrated.above, "overrated"),
        (trait.overrated.below, "underrated"),
        (trait.unused.marked and not trait.overrated.marked, "unused"),
    ]
    found = [words for is_so, words in said if is_so]
    return f"{MARK} {', '.join(found)}" if found else ""


def _models(audit: Audit) -> Section:
    title = "Models it favours"
    found = audit.models
    if found is None:
        return Section("models", title, ["The votes do not name the models behind the answers."])
    text = [
        (
            "Favoured is the share of battles that the judge gives a model, a tie counted as half, minus what people "
            f"gave it. {MARK} marks what is beyond chance."
        ),
        _own(found.own, found.own_among),
    ]
    shown = [model for place, model in enumerate(found.models) if place < _SHOWN or model.favoured.marked]
    caption = "Most battles first."
    if len(shown) < len(found.models):
        caption += f" Left out: {len(found.models) - len(shown)} of fewer battles without a mark."
    by_favour = sorted(shown[:_SHOWN], key=lambda model: -model.favoured.value)
    drawn = Series("judge", [model.name for model in by_favour], *_ends([m.favoured.figure for m in by_favour]))
    items: list[Item] = [
        Chart("dots", "Favoured beyond the votes", "share of battles", "", [drawn], mark=0.0, percent=True),
        _favours("model", shown, caption),
    ]
    if found.families:
        items.append(_favours("family", found.families, "Families against all others, by the names of the models."))
    return Section("models", title, text, items)


def _own(own: Sequence[str], among: Sequence[str]) -> str:
    if not own:
        return "The judge stands on no weights of a known family, so that it has none to favour."
    is_among = "is" if among else "is not"
    return f"The judge stands on weights of the family {', '.join(among or own)}, which {is_among} among the models."


def _favours(name: str, favours: Sequence[Favour], caption: str) -> Table:
    rows: list[list[Cell]] = [
        [each.name, each.rows, each.voted, each.forecast, each.favoured.figure, marked(each.favoured)]
        for each in favours
    ]
    columns = [name, "battles", "won by votes", "won by forecasts", "favoured", ""]
    return Table(columns, rows, caption, frozenset(columns[2:5]))


def _truncation(audit: Audit) -> Section:
    title, found = "What it did not read", audit.truncation
    if found is None:
        return Section("truncation", title, ["The judge reads texts whole, or it is not known what it leaves out."])
    names = {"prompt": "of the prompts", "a": "of the first answers", "b": "of the second answers"}
    rows: list[list[Cell]] = [["rows that were cut", found.share, ""], ["tokens not read", found.unread, ""]]
    rows += [[names[part], share, ""] for part, share in found.parts.items()]
    rows.append(["favours the answer it read more of", found.favoured.figure, marked(found.favoured)])
    text = [
        f"{found.rows:,} rows are longer than it reads; their log loss differs from that of the others by "
        f"{found.harder.value:+.4f} {marked(found.harder)} (see the slices)."
        if found.rows
        else "No row is longer than it reads."
    ]
    return Section("truncation", title, text, [Table(["", "share", ""], rows, "", frozenset(["share"]))])


def _ends(figures: Sequence[tuple[float, float, float]]) -> tuple[list[float], list[float], list[float]]:
    values, low, high = ([figure[end] for figure in figures] for end in range(3))
    return values, low, high
