"""The page of an audit: headline metrics and findings, then every figure behind them.

Called by `votecast report --judge`; the texts are in `templates/audit.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from votecast.metrics.reliability import ReliabilityCurve
from votecast.reports.audit import Audit
from votecast.reports.audit.audit_result import JudgeFacts
from votecast.reports.audit.biases import ModelBias
from votecast.reports.audit.findings import LEAST_PROMPTS, Finding
from votecast.reports.audit.outcomes import ExampleRow
from votecast.reports.audit.slices import RARE, AuditSlice
from votecast.reports.audit_summary import LEAST_PAIRS, headline_metrics, slice_name, summarise
from votecast.reports.document import Cell, Document, Example, Heatmap, Item, Section, Series, Table
from votecast.reports.page_texts import load_texts
from votecast.types import CLASSES

MARK = "†"
_HASH = 12
_SOURCES = 8
_SLICES_DRAWN = 30
_MODELS_SHOWN = 20
_LEAST_ROWS = 10
"""Points of a reliability diagram from fewer rows are left out."""

texts = load_texts("audit")


def audit_page(audit: Audit, *, name: str | None = None) -> Document:
    """Compose the page of an audit.

    Args:
        audit: What `votecast.reports.audit.audit_judge` found.
        name: Name of the judge in the title, such as that of its folder; by default the name that it carries.

    Returns:
        The page: headline metrics, findings, then metrics, slices, biases and rows to read.
    """
    votes, judge = audit.votes, audit.judge
    named = name or judge.name or "unnamed predictions"
    facts = {
        "judge": named,
        "hash": judge.hash[:_HASH],
        "outcomes": ", ".join(f"{outcome} {share:.1%}" for outcome, share in votes.shares.items()),
        "sources": _list_sources(votes.sources),
        "rows on training prompts": "" if votes.leaks is None else f"{votes.leaks:,}",
        "votecast": audit.versions.get("votecast", ""),
    }
    settings, tests = audit.settings, audit.settings["tests"]
    method = texts.section(
        "method",
        more=audit.notes,
        draws=settings["draws"],
        correction=settings["correction"],
        rate=settings["false_marks"],
        least=settings["least_prompts"],
        **tests,
    )
    examples = [
        texts.section(key, [_example(number, row) for number, row in enumerate(rows, start=1)])
        for key, rows in (("mistakes", audit.mistakes), ("closest", audit.closest))
        if rows
    ]
    return Document(
        title=texts("title", name=named),
        subtitle=texts("subtitle", rows=votes.rows, prompts=votes.prompts),
        summary=summarise(audit),
        facts=[(key, value) for key, value in facts.items() if value],
        sections=[
            _metrics(audit),
            _calibration(audit),
            _top_choices(audit),
            *_slices(audit),
            _position(audit),
            _style(audit),
            _models(audit),
            _truncation(audit),
            *examples,
            _judge(judge),
            method,
        ],
        metrics=headline_metrics(audit),
    )


def _list_sources(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = [f"{len(most) - _SOURCES} more"] if len(most) > _SOURCES else []
    return ", ".join([*(f"{name} {count:,}" for name, count in most[:_SOURCES]), *more])


def _mark(finding: Finding) -> str:
    return MARK if finding.marked else ""


def _metrics(audit: Audit) -> Section:
    labels, names, headline = texts.find("headline"), texts.find("baselines"), audit.headline
    known = [key for key in labels if key in headline and not math.isnan(headline[key].value)]
    rows: list[list[Cell]] = [["the judge", *(headline[key] for key in known), None]]
    for baseline in audit.baselines:
        # a metric that is the same in every bootstrap sample, such as that of uniform predictions, needs no interval
        figures = (baseline.metrics[key] for key in known)
        cells = [figure.value if figure.high - figure.low < 1e-9 else figure for figure in figures]
        rows.append([names[baseline.name], *cells, baseline.gain])
    first, last = texts.find("sections.figures.table.columns")
    gains = Series.of_figures("judge", [str(row[0]) for row in rows[1:]], [each.gain for each in audit.baselines])
    items: list[Item] = [
        texts.table("figures.table", rows, [first, *(labels[key] for key in known), last]),
        texts.chart("figures.gains", [gains]),
    ]
    people, more = audit.people, []
    if people is not None and people.pairs >= LEAST_PAIRS:
        row = texts.find("sections.figures.people_rows")
        bounds: list[list[Cell]] = [
            [row["accuracy"], people.judge, people.agreement, people.majority, people.accuracy],
            [row["log_loss"], people.judge_log_loss, None, None, people.log_loss],
            [row["brier"], None, None, None, people.brier],
        ]
        items.append(texts.table("figures.people", bounds, pairs=people.pairs, votes=people.votes))
        more.append(texts("sections.figures.people_text", pairs=people.pairs))
    return texts.section("figures", items, more)


def _calibration(audit: Audit) -> Section:
    events, loss = texts.find("events"), audit.headline["log_loss"].value

    def _ece(event: str, kind: str = "") -> Cell:
        return audit.headline[f"ece{kind}" if event == "top" else f"ece{kind}_{event}"]

    charts = [
        texts.chart("reliability.curve", [_curve(curve)], event=events[event][0].upper() + events[event][1:])
        for event, curve in audit.reliability.items()
    ]
    rows: list[list[Cell]] = [
        [events[event], figure, _ece(event, "_perfect")]
        for event in audit.reliability
        if isinstance(figure := _ece(event), tuple) and not math.isnan(figure.value)
    ]
    verdict = texts(f"sections.reliability.{'beyond' if audit.excess.marked else 'within'}")
    expected = loss - audit.excess.value
    items: list[Item] = [*charts, texts.table("reliability.table", rows)]
    return texts.section("reliability", items, least=_LEAST_ROWS, expected=expected, loss=loss, verdict=verdict)


def _curve(curve: ReliabilityCurve) -> Series:
    """Return the points of a curve; those of a handful of rows are left out where there are others."""
    shown = curve.rows >= _LEAST_ROWS if (curve.rows >= _LEAST_ROWS).any() else curve.rows > 0
    x, *y = (column[shown].tolist() for column in (curve.confidence, curve.share, curve.low, curve.high))
    return Series("judge", x, *y)


def _top_choices(audit: Audit) -> Section:
    confusion, ties = audit.confusion, audit.ties
    names = confusion.classes
    shares = [[count / max(sum(row), 1e-12) for count in row] for row in confusion.counts]
    rows: list[list[Cell]] = [[name, confusion.recall[name], confusion.precision[name]] for name in names]
    voted, decided = ([texts(f"sections.decisions.{key}", name=name) for name in names] for key in ("voted", "decided"))
    items: list[Item] = [
        Heatmap(texts("sections.decisions.confusion"), voted, decided, shares),
        texts.table("decisions.table", rows),
    ]
    if ties is None:
        return texts.section("decisions", items, [texts("sections.decisions.binary")])
    leads: list[list[Cell]] = [
        [f"{part.low:.0%} to {part.high:.0%}", part.rows, part.predicted, part.voted] for part in ties.closeness
    ]
    items.append(texts.table("decisions.ties", leads))
    more = texts(
        "sections.decisions.ties_text",
        predicted=ties.predicted.value,
        voted=ties.voted.value,
        mark=f" {MARK}" if ties.gap.marked else "",
        decided=ties.decided.value,
        auc=ties.auc,
    )
    return texts.section("decisions", items, [more])


def _slices(audit: Audit) -> list[Section]:
    if not audit.slices:
        return []
    known = [part for part in audit.slices if not math.isnan(part.log_loss.value)]
    enough = [part for part in known if part.prompts >= LEAST_PROMPTS]
    items: list[Item] = []
    if enough:
        drawn = enough[:_SLICES_DRAWN]
        series = Series.of_figures("judge", list(map(slice_name, drawn)), [part.log_loss for part in drawn])
        items.append(texts.chart("slices.chart", [series], mark=audit.headline["log_loss"].value))
    columns = texts.find("sections.slices.table.columns")
    for kind in dict.fromkeys(part.kind for part in audit.slices):
        rows = [_slice_row(part) for part in audit.slices if part.kind == kind]
        shown = slice(None, -1 if audit.votes.binary else None)  # the tie gap is the last column
        table = texts.table("slices.table", [row[shown] for row in rows], [kind, *columns][shown])
        items.append(Table(table.columns, table.rows, "", table.percent & set(table.columns)))
    small = len(enough) < len(known)
    return [
        texts.section(
            "slices", items, [texts("sections.slices.small", least=LEAST_PROMPTS, rare=RARE)] if small else []
        )
    ]


def _slice_row(part: AuditSlice) -> list[Cell]:
    words = {
        "worse": part.gain.below,
        "overconfident": part.excess.above,
        "underconfident": part.excess.below,
        "many_ties": part.tie_gap.above,
        "few_ties": part.tie_gap.below,
        "harder": part.harder.above,
        "easier": part.harder.below,
    }
    found = _name_findings("slices", words)
    if part.rows < RARE:
        return [part.name, found, part.rows, *[None] * 5]
    tested = (part.excess, part.gain, part.tie_gap)
    return [part.name, found, part.rows, part.log_loss, part.accuracy, *(finding.figure for finding in tested)]


def _name_findings(section: str, words: Mapping[str, bool]) -> str:
    found = [texts(f"sections.{section}.words.{word}") for word, holds in words.items() if holds]
    return f"{MARK} {', '.join(found)}" if found else ""


def _position(audit: Audit) -> Section:
    found = audit.position
    if found is None:
        return texts.short_section("position", "unknown")
    rows: list[list[Cell]] = []
    for key, label in texts.find("sections.position.rows").items():
        value = getattr(found, key)
        rows.append([label, value.figure, _mark(value)] if isinstance(value, Finding) else [label, value, ""])
    more, gain = [], found.averaged_gain
    if found.flips.value == 0 and found.moved.value == 0:
        more.append(texts("sections.position.none"))
    elif not math.isnan(gain.value):
        more.append(texts("sections.position.averaging", change=-gain.value, mark=_mark(gain)))
    return texts.section("position", [texts.table("position.table", rows)], more)


def _style(audit: Audit) -> Section:
    if audit.style is None:
        return texts.short_section("style", "unknown")
    traits, slope = audit.style.traits, audit.style.slope
    rows: list[list[Cell]] = []
    for trait in traits:
        over, unused = trait.overrated, trait.unused
        words = {"overrated": over.above, "underrated": over.below, "unused": unused.marked and not over.marked}
        found = _name_findings("style", words)
        rows.append([trait.name, found, trait.unit, trait.rows, trait.people, trait.judge, over.figure, unused.figure])
    tested = [trait for trait in traits if trait.overrated.is_tested]
    series = Series.of_figures("judge", [each.name for each in tested], [each.overrated.figure for each in tested])
    items: list[Item] = [*([texts.chart("style.chart", [series])] if tested else []), texts.table("style.table", rows)]
    return texts.section("style", items, slope=1 + slope.value, mark=_mark(slope))


def _models(audit: Audit) -> Section:
    found = audit.models
    if found is None:
        return texts.short_section("models", "unknown")
    base = "base_unknown" if not found.own else "base_among" if found.own_among else "base_absent"
    family = ", ".join(found.own_among or found.own)
    shown = [model for place, model in enumerate(found.models) if place < _MODELS_SHOWN or model.favoured.marked]
    left = len(found.models) - len(shown)
    drawn = sorted(shown[:_MODELS_SHOWN], key=lambda model: -model.favoured.value)
    series = Series.of_figures("judge", [each.name for each in drawn], [each.favoured.figure for each in drawn])
    items: list[Item] = [
        texts.chart("models.chart", [series]),
        _bias_table("table", "model", shown, texts("sections.models.left", count=left) if left else ""),
    ]
    if found.families:
        items.append(_bias_table("families", "family", found.families))
    return texts.section("models", items, [texts(f"sections.models.{base}", family=family)])


def _bias_table(key: str, name: str, biases: Sequence[ModelBias], left: str = "") -> Table:
    rows: list[list[Cell]] = [
        [each.name, each.rows, each.voted, each.predicted, each.favoured.figure, _mark(each.favoured)]
        for each in biases
    ]
    columns = texts.find(f"sections.models.{key}.columns")
    return texts.table(f"models.{key}", rows, [name, *columns], left=left)


def _truncation(audit: Audit) -> Section:
    found = audit.truncation
    if found is None:
        return texts.short_section("truncation", "unknown")
    shares: dict[str, Cell] = {"share": found.share, "unread": found.unread, **found.parts}
    labels = texts.find("sections.truncation.rows")
    rows: list[list[Cell]] = [[labels[key], share, ""] for key, share in shares.items()]
    rows.append([labels["favoured"], found.favoured.figure, _mark(found.favoured)])
    key, harder = "some" if found.rows else "none", found.harder
    more = texts(f"sections.truncation.{key}", rows=found.rows, harder=harder.value, mark=_mark(harder))
    return texts.section("truncation", [texts.table("truncation.table", rows)], [more])


def _example(number: int, row: ExampleRow) -> Example:
    def _list_shares(shares: Sequence[float]) -> str:
        return ", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, shares, strict=True))

    sides = [f"Answer {side}" + (f", {model}" if model else "") for side, model in zip("ab", row.models, strict=True)]
    vote = CLASSES[row.vote.index(1.0)] if 1.0 in row.vote else _list_shares(row.vote)
    facts = [("prediction", _list_shares(row.predicted)), ("vote", vote)]
    columns = list(zip(sides, (row.a, row.b), strict=True))
    return Example(f"{number}. Row {row.id}", facts, ("Prompt", row.prompt), columns)


def _judge(judge: JudgeFacts) -> Section:
    labels = ", ".join(f"{name} {share:.1%}" for name, share in judge.labels.items())
    values: dict[str, Cell] = {
        "recipe": judge.name,
        "family": judge.family,
        "members": judge.members,
        "calibration": judge.calibration,
        "rows": judge.rows,
        "prompts": judge.prompts,
        "labels": labels or None,
        "sources": _list_sources(judge.sources) or None,
        "folds": judge.folds,
        "bases": ", ".join(judge.bases) or None,
        "reached": judge.reached,
    }
    names, limit = texts.find("sections.judge.facts.rows"), texts("sections.judge.limit")
    known: list[list[Cell]] = [[names[key], value] for key, value in values.items() if value is not None]
    known += [[limit, text] for text in judge.limits]
    items: list[Item] = [texts.table("judge.facts", known)] if known else []
    if judge.inside:
        inside: list[list[Cell]] = [
            [each.name, each.family, each.hash[:_HASH], each.rows, each.reached] for each in judge.inside
        ]
        items.append(texts.table("judge.inside", inside))
    return texts.section("judge", items, [texts(f"sections.judge.{'known' if known else 'unknown'}")])
