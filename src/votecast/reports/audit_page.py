"""The page of an audit: headline metrics and findings, then every figure behind them.

Called by `votecast report --judge`; the sections are in `templates/audit.html`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from votecast.metrics.reliability import ReliabilityCurve
from votecast.reports.audit import Audit
from votecast.reports.audit.findings import LEAST_PROMPTS
from votecast.reports.audit.slices import RARE
from votecast.reports.audit_summary import LEAST_PAIRS, headline_metrics, summarise
from votecast.reports.document import Cell, Document, Series
from votecast.reports.page_texts import load_texts

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
    known = [part for part in audit.slices if not math.isnan(part.log_loss.value)]
    enough = [part for part in known if part.prompts >= LEAST_PROMPTS]
    models = [] if audit.models is None else audit.models.models
    shown = [model for place, model in enumerate(models) if place < _MODELS_SHOWN or model.favoured.marked]
    return Document(
        title=texts("title", name=named),
        subtitle=texts("subtitle", rows=votes.rows, prompts=votes.prompts),
        metrics=headline_metrics(audit),
        summary=summarise(audit),
        facts=[(key, value) for key, value in facts.items() if value],
        template="audit.html",
        values={
            "audit": audit,
            "mark": lambda finding: MARK if finding.marked else "",
            "marks": _name_findings,
            "known_metrics": _known_metrics(audit),
            "baseline_rows": _baseline_rows(audit),
            "least_pairs": LEAST_PAIRS,
            "least_rows": _LEAST_ROWS,
            "curves": {event: _curve(curve) for event, curve in audit.reliability.items()},
            "drawn_slices": enough[:_SLICES_DRAWN],
            "has_small_slices": len(enough) < len(known),
            "least_prompts": LEAST_PROMPTS,
            "rare": RARE,
            "models": shown,
            "drawn_models": sorted(shown[:_MODELS_SHOWN], key=lambda model: -model.favoured.value),
            "models_left": len(models) - len(shown),
            "sources": _list_sources(judge.sources),
            "hash_length": _HASH,
        },
    )


def _list_sources(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = [f"{len(most) - _SOURCES} more"] if len(most) > _SOURCES else []
    return ", ".join([*(f"{name} {count:,}" for name, count in most[:_SOURCES]), *more])


def _name_findings(words: Mapping[str, bool]) -> str:
    """Join the words of the findings that hold, after a mark."""
    found = [word for word, holds in words.items() if holds]
    return f"{MARK} {', '.join(found)}" if found else ""


def _known_metrics(audit: Audit) -> dict[str, str]:
    """Return the names of the headline metrics that are defined, by key."""
    names, headline = texts.names("headline"), audit.headline
    return {key: name for key, name in names.items() if key in headline and not math.isnan(headline[key].value)}


def _baseline_rows(audit: Audit) -> list[list[Cell]]:
    """Return the judge and the predictions that ignore the texts, one row each."""
    known, names = _known_metrics(audit), texts.names("baselines")
    rows: list[list[Cell]] = [["the judge", *(audit.headline[key] for key in known), None]]
    for baseline in audit.baselines:
        # a metric that is the same in every bootstrap sample, such as that of uniform predictions, needs no interval
        figures = (baseline.metrics[key] for key in known)
        cells = [figure.value if figure.high - figure.low < 1e-9 else figure for figure in figures]
        rows.append([names[baseline.name], *cells, baseline.gain])
    return rows


def _curve(curve: ReliabilityCurve) -> Series:
    """Return the points of a curve; those of a handful of rows are left out where there are others."""
    shown = curve.rows >= _LEAST_ROWS if (curve.rows >= _LEAST_ROWS).any() else curve.rows > 0
    x, *y = (column[shown].tolist() for column in (curve.confidence, curve.share, curve.low, curve.high))
    return Series("judge", x, *y)
