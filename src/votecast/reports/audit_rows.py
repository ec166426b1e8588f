"""Rows of an audit to be read."""

from __future__ import annotations

from collections.abc import Sequence

from votecast.reports.audit.examples import Shown
from votecast.reports.audit.result import Audit
from votecast.reports.document import Example, Section
from votecast.types import CLASSES


def row_sections(audit: Audit) -> list[Section]:
    """The surest mistakes and the closest calls, with their texts."""
    parts = [
        (
            "mistakes",
            "Its surest mistakes",
            (
                "The forecasts that were surest and missed every vote of their row, one for each prompt. Are they "
                "mistakes of the judge, or of the people?"
            ),
            audit.mistakes,
        ),
        ("closest", "Its closest calls", "The forecasts that were least sure, one for each prompt.", audit.closest),
    ]
    return [Section(key, title, [text], _examples(shown)) for key, title, text, shown in parts if shown]


def _examples(shown: Sequence[Shown]) -> list[Example]:
    return [_example(number, row) for number, row in enumerate(shown, start=1)]


def _example(number: int, row: Shown) -> Example:
    sides = [f"Answer {side}" + (f", {model}" if model else "") for side, model in zip("ab", row.models, strict=True)]
    facts = [("forecast", _chances(row.forecast)), ("vote", _vote(row.vote))]
    return Example(
        f"{number}. Row {row.id}", facts, ("Prompt", row.prompt), list(zip(sides, (row.a, row.b), strict=True))
    )


def _chances(shares: Sequence[float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, shares, strict=True))


def _vote(shares: Sequence[float]) -> str:
    return CLASSES[list(shares).index(1.0)] if 1.0 in shares else _chances(shares)
