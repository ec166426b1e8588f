"""How good a judge is: headline figures, reliability, decisions and ties, slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from votecast.audit.correction import Tested
from votecast.audit.outcomes import Ties
from votecast.audit.people import People
from votecast.audit.result import Audit
from votecast.audit.slices import Part
from votecast.metrics.curves import Curve
from votecast.metrics.result import Figure
from votecast.report.document import Cell, Chart, Heatmap, Item, Section, Series, Table

MARK = "†"
_HEADLINE = {
    "log_loss": "log loss (lower is better)",
    "accuracy": "accuracy",
    "agreement_decided": "agreement where a side was voted",
    "brier": "Brier score (lower is better)",
    "auc": "AUC, a against b",
    "macro_f1": "macro F1",
    "ece": "calibration error (ECE)",
    "ece_perfect": "the same of a perfect judge, by chance",
    "flip_rate": "flip rate",
}
_BESIDE = {
    "uniform": "uniform",
    "prior": "class frequencies",
    "longer": "the longer answer wins",
    "style": "length and layout alone",
}
_EVENTS = {"top": "its decision is right", "a": "the first answer wins", "b": "the second answer wins", "tie": "tie"}
_PARTS_SHOWN = 24


def figure_sections(audit: Audit) -> list[Section]:
    """The sections on how good the judge is."""
    return [_headline(audit), _reliability(audit), _decisions(audit), *_slices(audit)]


def marked(test: Tested) -> str:
    """What is shown behind a tested figure: a dagger where it stands after the correction."""
    return MARK if test.marked else ""


def _headline(audit: Audit) -> Section:
    rows: list[list[Cell]] = [
        [label, audit.headline[key], *(baseline.metrics.get(key) for baseline in audit.baselines)]
        for key, label in _HEADLINE.items()
        if key in audit.headline and not math.isnan(audit.headline[key].value)
    ]
    names = [_BESIDE[baseline.name] for baseline in audit.baselines]
    rows.append(["log loss saved by the judge", None, *(baseline.gain for baseline in audit.baselines)])
    items: list[Item] = [Table(["", "judge", *names], rows, "The judge beside forecasts that read nothing.")]
    items.append(
        Chart(
            "dots",
            "Log loss saved against forecasts that read nothing",
            "log loss saved for each vote",
            "",
            [_series("judge", names, [baseline.gain for baseline in audit.baselines])],
            mark=0.0,
        )
    )
    text = [
        "Log loss is the price of each vote in the judge's own probabilities; 1.099 is what one pays who gives each of "
        "three outcomes a third. Class frequencies, the longer answer, and length and layout are learnt from other "
        "prompts of these same votes, which the judge was not allowed to see."
    ]
    if audit.people is not None:
        items.append(_people(audit.people))
        text.append(
            f"{audit.people.pairs:,} pairs have several votes. No judge can foresee votes better than people agree: "
            "the bounds follow from how often two people say the same of one pair."
        )
    return Section("figures", "How good it is", text, items)


def _people(people: People) -> Table:
    rows: list[list[Cell]] = [
        ["a vote is met by", people.judge, people.agreement, people.majority],
        ["log loss", people.judge_log_loss, people.log_loss, None],
        ["accuracy at most", None, people.accuracy, None],
        ["Brier score at least", None, people.brier, None],
    ]
    caption = f"On the {people.pairs:,} pairs with several votes ({people.votes:,} votes); for people, the bounds."
    return Table(["", "the judge", "another person", "most of the others"], rows, caption)


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
    said = (
        f"The forecasts themselves expect a log loss of {audit.headline['log_loss'].value - excess.value:.4f}, and paid "
        f"{audit.headline['log_loss'].value:.4f}. Paying more means overconfidence, paying less underconfidence"
    )
    found = (
        "no difference beyond chance was found." if not excess.marked else f"the difference is beyond chance {MARK}."
    )
    rows: list[list[Cell]] = [
        [_EVENTS[event], audit.headline[_ece(event)], audit.headline[_ece(event, "_perfect")]]
        for event in audit.reliability
        if not math.isnan(audit.headline[_ece(event)].value)
    ]
    table = Table(["forecast", "calibration error", "of a perfect judge, by chance"], rows)
    text = ["A judge whose probabilities mean what they say lies on the diagonal.", f"{said}; {found}"]
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
            f"one in {audit.ties.decided.value:.1%}. Given a voted tie and another vote, the tie has the higher forecast "
            f"of one in {audit.ties.auc:.0%} of cases (50 % is chance)."
        )
    return Section("decisions", "What it decides, and ties", text, items)


def _ties(ties: Ties) -> list[Item]:
    rows: list[list[Cell]] = [
        [f"{bin.low:.0%} to {bin.high:.0%}", bin.rows, bin.forecast, bin.voted] for bin in ties.closeness
    ]
    columns = ["chance of the likelier answer, ties aside", "rows", "tie forecast", "tie voted"]
    caption = "Ties where the judge takes the answers to be close, and where it does not."
    return [Table(columns, rows, caption, frozenset(["tie forecast", "tie voted"]))]


def _slices(audit: Audit) -> list[Section]:
    if not audit.slices:
        return []
    kinds = list(dict.fromkeys(part.kind for part in audit.slices))
    items: list[Item] = []
    for kind in kinds:
        parts = [part for part in audit.slices if part.kind == kind]
        items.append(_part_table(kind, parts, binary=audit.votes.binary))
    shown = [part for part in audit.slices if not math.isnan(part.log_loss.low)][:_PARTS_SHOWN]
    chart = Chart(
        "dots",
        "Log loss of each slice",
        "log loss",
        "",
        [_series("judge", [f"{part.kind}: {part.name}" for part in shown], [part.log_loss for part in shown])],
        mark=audit.headline["log_loss"].value,
    )
    text = [
        f"{MARK} marks what is beyond chance after the correction for many tests. A slice can be harder because people "
        "are less predictable there; only surplus, tie gap and a saving below 0 are faults. Surplus is the log loss "
        "beyond what the forecasts themselves expect: above 0 the judge is too sure there, below 0 not sure enough. "
        "Saved is what it gains over class frequencies; below 0 it does harm."
    ]
    return [Section("slices", "Where it is better and worse", text, [chart, *items])]


def _part_table(kind: str, parts: Sequence[Part], *, binary: bool) -> Table:
    columns = [kind, "rows", "prompts", "log loss", "accuracy", "against the rest", "surplus", "tie gap", "saved", ""]
    rows: list[list[Cell]] = [
        [
            part.name,
            part.rows,
            part.prompts,
            part.log_loss,
            part.accuracy,
            part.harder.figure,
            part.excess.figure,
            part.tie_gap.figure,
            part.gain.figure,
            _said(part),
        ]
        for part in parts
    ]
    if binary:
        place = columns.index("tie gap")
        columns, rows = [*columns[:place], *columns[place + 1 :]], [[*row[:place], *row[place + 1 :]] for row in rows]
    return Table(columns, rows, "", frozenset(["accuracy", "tie gap"]))


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


def _curve(curve: Curve) -> Series:
    labels = [f"{rows:,} rows" for rows in curve.rows.tolist()]
    ends = (curve.low.tolist(), curve.high.tolist())
    return Series("judge", curve.confidence.tolist(), curve.share.tolist(), *ends, labels)


def _series(name: str, names: Sequence[str], figures: Sequence[Figure]) -> Series:
    values, low, high = zip(*figures, strict=True)
    return Series(name, list(names), list(values), list(low), list(high))


def _ece(event: str, kind: str = "") -> str:
    return f"ece{kind}" if event == "top" else f"ece{kind}_{event}"
