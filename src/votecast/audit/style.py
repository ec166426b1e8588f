"""What the judge over- and underrates in the form of answers, at equal predicted quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from votecast.audit.correction import Tested
from votecast.audit.form import UNITS, Form
from votecast.audit.rows import Rows
from votecast.audit.tilt import fit_tilt, logits
from votecast.metrics.result import Figure


@dataclass(frozen=True)
class Trait:
    """One thing about the form of answers; all coefficients are log odds for one unit more of it.

    Args:
        name: A name in `votecast.audit.form.UNITS`.
        unit: What one unit is.
        rows: Rows whose answers differ in it.
        people: What people make of it, the other traits being equal.
        judge: What the judge makes of it, the other traits being equal.
        underrated: What votes make of it beyond the judge's forecast: above 0 the judge gives it too little, below 0
            too much.
    """

    name: str
    unit: str
    rows: int
    people: Figure
    judge: Figure
    underrated: Tested


@dataclass(frozen=True)
class Style:
    """The form of answers.

    People's and the judge's tastes are Davidson models (1970) of the votes and of the forecasts by all traits at once.
    What is underrated are the coefficients of the traits beside the judge's own forecast and its log odds, which holds
    the predicted quality equal, as style is held equal in arenas that control for it (Li et al. 2024, "Does style
    matter?").

    Args:
        traits: Those in which any answers differ.
        slope: Coefficient of the judge's own log odds: above 0 it should be surer of its preferences, below 0 less.
    """

    traits: tuple[Trait, ...]
    slope: Tested


def style(rows: Rows, form: Form) -> Style | None:
    """Measure tastes; None where no two answers of a row differ in form."""
    kept = np.flatnonzero((form.gaps != 0).any(axis=0))
    if not len(kept) or not rows.sums.weights.any():
        return None
    gaps, w, clusters = form.gaps[:, kept], rows.sums.weights, rows.sums.clusters
    level, base = logits(np.full_like(rows.p, 1 / 3) * [1, 1, not rows.binary]), logits(rows.p)
    beside = np.column_stack([base[:, 0] - base[:, 1], gaps])
    people = fit_tilt(level, gaps, rows.targets, w).tested(level, gaps, rows.targets, w, clusters)
    judge = fit_tilt(level, gaps, rows.p, w).tested(level, gaps, rows.p, w, clusters)
    slope, *missed = fit_tilt(base, beside, rows.targets, w).tested(base, beside, rows.targets, w, clusters)
    named = [form.names[column] for column in kept]
    return Style(
        tuple(
            Trait(name, UNITS[name], int((gap != 0).sum()), *(taste.figure for taste in tastes), underrated)
            for name, gap, tastes, underrated in zip(
                named, gaps.T, zip(people, judge, strict=True), missed, strict=True
            )
        ),
        slope,
    )
