"""How good a judge is: headline figures, reliability, decisions and ties, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.metrics import Figure
from votecast.metrics.reliability import ReliabilityCurve
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.outcomes import Ties
from votecast.reports.audit.people import People
from votecast.reports.audit.result import Audit
from votecast.reports.audit.slices import RARE, Part
from votecast.reports.audit.sums import LEAST_PROMPTS
from votecast.reports.document import Cell, Chart, Heatmap, Item, Section, Series, Table
from votecast.reports.texts import brief

MARK = "†"
_SHOWN = {
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "agreement_decided": "ties aside",
    "brier": "Brier score",
    "auc": "AUC",
}
_BESIDE = {
    "uniform": "uniform",
    "prior": "class frequencies",
    "longer": "the longer answer wins",
    "style": "length and layout alone",
}
_EVENTS = {"top": "its decision is right", "a": "the first answer wins", "b": "the second answer wins", "tie": "tie"}
LEAST_PAIRS = 20
"""With fewer pairs that have several votes nothing is said of how far people agree."""

_PARTS_SHOWN = 30
_LEAST = 10


def figure_sections(audit: Audit) -> list[Section]:
    """The sections on how good the judge is."""
    return [_headline(audit), _reliability(audit), _decisions(audit), *_slices(audit)]


def marked(test: Finding) -> str:
    """What is shown behind a tested figure: a dagger where it stands after the correction."""
    return MARK if test.marked else ""


def _headline(audit: Audit) -> Section:
    known = [key for key in _SHOWN if key in audit.headline and not math.isnan(audit.headline[key].value)]
    rows: list[list[Cell]] = [["the judge", *(audit.headline[key] for key in known), None]]
    for baseline in audit.baselines:
        figures = (_cell(baseline.metrics[key]) for key in known)
        rows.append([_BESIDE[baseline.name], *figures, baseline.gain])
    columns = ["", *(_SHOWN[key] for key in known), "judge saves"]
    names = [_BESIDE[baseline.name] for baseline in audit.baselines]
    drawn = _series("judge", names, [baseline.gain for baseline in audit.baselines])
    title = "Log loss saved against forecasts that read nothing"
    shares = frozenset([_SHOWN["accuracy"], _SHOWN["agreement_decided"]])
    items: list[Item] = [
        Table(columns, rows, "The judge beside forecasts that read nothing.", shares),
        Chart("dots", title, "log loss saved for each vote", "", [drawn], mark=0.0),
    ]
    text = [
        (
            "Log loss is the price of each vote in the judge's own probabilities; 1.099 is what one pays who gives "
            "each of three outcomes a third. Lower is better, for the Brier score too. Ties aside is accuracy where a "
            "side was voted, AUC tells votes for a from votes for b. Class frequencies, the longer answer, and length "
            "and layout are learnt from other prompts of these same votes, which the judge was not allowed to see."
        )
    ]
    if audit.people is not None and audit.people.pairs >= LEAST_PAIRS:
        items.append(_people(audit.people))
        text.append(
            f"{audit.people.pairs:,} pairs have several votes. No judge can foresee votes better than people agree: "
            "the bounds follow from how often two people say the same of one pair."
        )
    return Section("figures", "How good it is", text, items)


def _people(people: People) -> Table:
    rows: list[list[Cell]] = [
        ["share of votes met", people.judge, people.agreement, people.majority, people.accuracy],
        ["log loss", people.judge_log_loss, None, None, people.log_loss],
        ["Brier score", None, None, None, people.brier],
    ]
    columns = ["", "the judge", "another person", "most of the others", "no judge can do better than"]
    return Table(columns, rows, f"On the {people.pairs:,} pairs with several votes ({people.votes:,} votes).")


def _reliability(audit: Audit) -> Section:
    charts: list[Item] = [
        Chart(
            "reliability",
            f"That {_EVENTS[event]}" if event != "tie" else "That the vote is a tie",
            "forecast",
            "came true",
            [_curve(curve)],
            percent=True,
        )
        for event, curve in audit.reliability.items()
    ]
    excess = audit.excess
    loss = audit.headline["log_loss"].value
    said = (
        f"The forecasts themselves expect a log loss of {loss - excess.value:.4f} and cost {loss:.4f}. Costing more "
        "means overconfidence, costing less underconfidence"
    )
    found = f"the difference is beyond chance {MARK}." if excess.marked else "no difference beyond chance was found."
    rows: list[list[Cell]] = [
        [_EVENTS[event], audit.headline[_ece(event)], audit.headline[_ece(event, "_perfect")]]
        for event in audit.reliability
        if not math.isnan(audit.headline[_ece(event)].value)
    ]
    table = Table(["forecast", "calibration error", "of a perfect judge, by chance"], rows)
    text = [
        (
            "A judge whose probabilities mean what they say lies on the diagonal. Points of fewer than "
            f"{_LEAST} rows are left out."
        ),
        f"{said}; {found}",
    ]
    return Section("reliability", "Whether its probabilities are true", text, [*charts, table])


def _decisions(audit: Audit) -> Section:
    confusion = audit.confusion
    shares = [[count / max(sum(row), 1e-12) for count in row] for row in confusion.counts]
    rows: list[list[Cell]] = [[name, confusion.recall[name], confusion.precision[name]] for name in confusion.classes]
    items: list[Item] = [
        Heatmap(
            "Of the votes for each outcome, what the judge decided",
            [f"voted {name}" for name in confusion.classes],
            [f"decided {name}" for name in confusion.classes],
            shares,
        ),
        Table(
            ["outcome", "found", "right"],
            rows,
            "Found: of the votes for it, the share decided so. Right: of the decisions for it, the share voted so.",
            frozenset(["found", "right"]),
        ),
    ]
    text = ["The decision is the outcome with the highest probability."]
    if audit.ties is None:
        text.append("No tie was voted: ties are left out of all forecasts, their probability handed to a and b.")
    else:
        items += _ties(audit.ties)
        text.append(
            f"Ties are forecast with {audit.ties.forecast.value:.1%} on average and were voted in "
            f"{audit.ties.voted.value:.1%} of rows{' ' + MARK if audit.ties.gap.marked else ''}; the judge decides for "
            f"one in {audit.ties.decided.value:.1%}. Given a voted tie and another vote, the tie has the higher "
            f"forecast of one in {audit.ties.auc:.0%} of cases (50% is chance)."
        )
    return Section("decisions", "What it decides, and ties", text, items)


def _ties(ties: Ties) -> list[Item]:
    rows: list[list[Cell]] = [
        [f"{part.low:.0%} to {part.high:.0%}", part.rows, part.forecast, part.voted] for part in ties.closeness
    ]
    columns = ["chance of the likelier answer, ties aside", "rows", "tie forecast", "tie voted"]
    caption = "Ties where the judge takes the answers to be close, and where it does not."
    return [Table(columns, rows, caption, frozenset(["tie forecast", "tie voted"]))]


def _slices(audit: Audit) -> list[Section]:
    if not audit.slices:
        return []
    kinds = dict.fromkeys(part.kind for part in audit.slices)
    known = [part for part in audit.slices if not math.isnan(part.log_loss.value)]
    enough = [part for part in known if part.prompts >= LEAST_PROMPTS]
    shown = enough[:_PARTS_SHOWN]
    drawn = _series("judge", [part_name(part) for part in shown], [part.log_loss for part in shown])
    overall = audit.headline["log_loss"].value
    chart = Chart("dots", "Log loss of each slice", "log loss", "", [drawn], mark=overall)
    text = [
        (
            f"{MARK} marks what is beyond chance after the correction for many tests. A slice can be harder because "
            "people are less predictable there; only surplus, tie gap and a saving below 0 are faults. Surplus is the "
            "log loss beyond what the forecasts themselves expect: above 0 the judge is too sure there, below 0 not "
            "sure enough. Tie gap is the forecast minus the voted share of ties. Saved is what it gains over class "
            "frequencies; below 0 it does harm."
        ),
        "Categories are told by simple rules from the beginning of the prompt: they sort a file, not a prompt.",
    ]
    if len(enough) < len(known):
        text.append(
            f"Slices of fewer than {LEAST_PROMPTS} prompts are neither tested nor drawn; of those of fewer than {RARE} "
            "rows only the number of rows is shown."
        )
    tables = [_part_table(kind, audit) for kind in kinds]
    return [Section("slices", "Where it is better and worse", text, [*([chart] if shown else []), *tables])]


def part_name(part: Part) -> str:
    """A slice as a reader would call it."""
    if part.kind == "turns":
        return f"{part.name} turn{'' if part.name == '1' else 's'}"
    name = brief(part.name)
    return f"{part.kind} {name}" if part.kind in ("language", "source") else name


def _part_table(kind: str, audit: Audit) -> Table:
    columns = [kind, "found", "rows", "log loss", "accuracy", "surplus", "saved", "tie gap"]
    rows: list[list[Cell]] = [
        [part.name, _said(part), part.rows, *(_part_figures(part) if part.rows >= RARE else [None] * 5)]
        for part in audit.slices
        if part.kind == kind
    ]
    if audit.votes.binary:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Table(columns, rows, "", frozenset(["accuracy", "tie gap"]))


def _part_figures(part: Part) -> list[Cell]:
    return [part.log_loss, part.accuracy, part.excess.figure, part.gain.figure, part.tie_gap.figure]


def _said(part: Part) -> str:
    said = [
        (part.gain.below, "worse than class frequencies"),
        (part.excess.above, "overconfident"),
        (part.excess.below, "underconfident"),
        (part.tie_gap.above, "too many ties"),
        (part.tie_gap.below, "too few ties"),
        (part.harder.above, "harder"),
        (part.harder.below, "easier"),
    ]
    found = [words for is_so, words in said if is_so]
    return f"{MARK} {', '.join(found)}" if found else ""


def _curve(curve: ReliabilityCurve) -> Series:
    """The points of a curve; those of a handful of rows, which say nothing, are left out where there are others."""
    told = curve.rows >= _LEAST if (curve.rows >= _LEAST).any() else curve.rows > 0
    x, *y = (column[told].tolist() for column in (curve.confidence, curve.share, curve.low, curve.high))
    return Series("judge", x, *y)


def _cell(figure: Figure) -> Cell:
    """A figure; without its interval where there is none to speak of."""
    return figure.value if figure.high - figure.low < 1e-9 else figure


def _series(name: str, names: Sequence[str], figures: Sequence[Figure]) -> Series:
    values, low, high = ([figure[end] for figure in figures] for end in range(3))
    return Series(name, list(names), values, low, high)


def _ece(event: str, kind: str = "") -> str:
    return f"ece{kind}" if event == "top" else f"ece{kind}_{event}"
