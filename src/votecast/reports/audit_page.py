"""The audit of a judge as a page: a summary in plain language, then every figure behind it."""

from __future__ import annotations

from collections.abc import Mapping

from votecast.reports.audit.about import About
from votecast.reports.audit.result import Audit
from votecast.reports.audit_biases import bias_sections
from votecast.reports.audit_figures import figure_sections
from votecast.reports.audit_rows import row_sections
from votecast.reports.audit_summary import summary
from votecast.reports.document import Cell, Document, Section, Table

_HASH = 12
_SOURCES = 8


def audit_page(audit: Audit) -> Document:
    """Lay an audit out for readers.

    Args:
        audit: What `votecast.reports.audit.audit_judge` found.

    Returns:
        The page: what to trust the judge with first, what it is, how good it is, where it fails, what it favours, and
        rows to be read.
    """
    votes = audit.votes
    name = audit.judge.name or "unnamed forecasts"
    return Document(
        title=f"Audit of {name}",
        subtitle=f"on {votes.rows:,} votes about {votes.prompts:,} prompts",
        summary=summary(audit),
        facts=_facts(audit),
        sections=[
            _about(audit),
            *figure_sections(audit),
            *bias_sections(audit),
            *row_sections(audit),
            _method(audit),
        ],
    )


def _facts(audit: Audit) -> list[tuple[str, str]]:
    votes, judge = audit.votes, audit.judge
    shares = ", ".join(f"{name} {share:.1%}" for name, share in votes.shares.items())
    facts = [
        ("judge", judge.name or "not named"),
        ("hash", judge.hash[:_HASH]),
        ("votes", f"{votes.rows:,} on {votes.prompts:,} prompts"),
        ("outcomes", shares),
        ("sources", _sources(votes.sources)),
        ("rows on its training prompts", "" if votes.leaks is None else f"{votes.leaks:,}"),
        ("votecast", audit.versions.get("votecast", "")),
    ]
    return [(name, value) for name, value in facts if value]


def _sources(counts: Mapping[str, int]) -> str:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = [f"{len(most) - _SOURCES} more"] if len(most) > _SOURCES else []
    return ", ".join([*(f"{name} {count:,}" for name, count in most[:_SOURCES]), *more])


def _about(audit: Audit) -> Section:
    judge = audit.judge
    labels = ", ".join(f"{name} {share:.1%}" for name, share in judge.labels.items())
    rows: list[tuple[str, Cell]] = [
        ("family", judge.family),
        ("models that it averages", judge.members),
        ("calibration", judge.calibration),
        ("votes it was trained on", judge.rows),
        ("prompts among them", judge.prompts),
        ("their outcomes", labels or None),
        ("their sources", _sources(judge.sources) or None),
        ("folds", judge.folds),
        ("stands on the weights of", ", ".join(judge.bases) or None),
        ("log loss it was saved with, on rows it had not seen", judge.reached),
        *(("known limit", limit) for limit in judge.limits),
    ]
    known: list[list[Cell]] = [[name, value] for name, value in rows if value is not None]
    told = "What the judge's own folder says." if known else "Nothing is known of the judge but its forecasts."
    tables = [Table(["", "value"], known)] if known else []
    if judge.inside:
        tables.append(_inside(judge))
    return Section("judge", "What the judge is", [told], tables)


def _inside(judge: About) -> Table:
    columns = ["judge inside", "family", "hash", "votes it was trained on", "log loss it was saved with"]
    rows: list[list[Cell]] = [
        [each.name, each.family, each.hash[:_HASH], each.rows, each.reached] for each in judge.inside
    ]
    return Table(columns, rows, "The judges that it is made of.")


def _method(audit: Audit) -> Section:
    settings = audit.settings
    tests = settings["tests"]
    return Section(
        "method",
        "How this was measured",
        [
            (
                "The judge was asked for both orders of the answers; everything on this page follows from those "
                "forecasts and the votes. Intervals hold 95% and take votes on near-duplicate prompts to hang "
                f"together: figures by {settings['draws']:,} files drawn prompt by prompt, tested differences and "
                "coefficients by a sandwich estimator over prompts with Student's t."
            ),
            (
                f"{tests['faults']:,} tests ask for faults of the judge and {tests['differences']:,} whether a slice "
                f"is harder than the rest. Each family is corrected by {settings['correction']}: of what is marked on "
                f"this page, at most {settings['false_marks']:.0%} is chance, on average. What comes from fewer than "
                f"{settings['least_prompts']} prompts is shown and not tested."
            ),
            *audit.notes,
        ],
    )
