"""What the judge makes of the form of answers, and what the people who voted make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from votecast.metrics import Figure
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.form import UNITS, Form
from votecast.reports.audit.rows import Rows
from votecast.reports.audit.tilt import fit_tilt, logits
from votecast.types import Floats, Probabilities


@dataclass(frozen=True)
class Trait:
    """One thing about the form of answers; all coefficients are log odds for one unit more of it.

    Args:
        name: A name in `votecast.reports.audit.form.UNITS`.
        unit: What one unit is.
        rows: Rows whose answers differ in it.
        people: What people make of it, the other traits being equal.
        judge: What the judge makes of it, the other traits being equal.
        overrated: How much more the judge makes of it than people do: above 0 it gives it too much, below 0 too little.
        unused: What votes make of it beyond the judge's forecast at equal predicted quality: what it does not use yet.
    """

    name: str
    unit: str
    rows: int
    people: Figure
    judge: Figure
    overrated: Finding
    unused: Finding


@dataclass(frozen=True)
class Style:
    """The form of answers.

    People's and the judge's tastes are Davidson models (1970) of the votes and of the forecasts by all traits at once.
    What is overrated is the tilt by the traits that would take the forecasts to the votes, with its sign changed. What
    is unused comes from the votes regressed on the forecast, its log odds and the traits, as style is held equal in
    arenas that control for it (Li et al. 2024, "Does style matter?").

    Args:
        traits: Those in which any answers differ.
        slope: What the judge's own log odds still add in that regression: above 0 its preferences should be stronger,
            below 0 weaker; -1 if they say nothing that length and layout do not.
    """

    traits: tuple[Trait, ...]
    slope: Finding


def style(rows: Rows, form: Form) -> Style | None:
    """Measure tastes; None where no two answers of a row differ in form."""
    kept = np.flatnonzero((form.gaps != 0).any(axis=0))
    if not len(kept):
        return None
    gaps, base = form.gaps[:, kept], logits(rows.p)
    level = logits(np.tile([1 / 3, 1 / 3, 0 if rows.binary else 1 / 3], (len(rows), 1)))
    people = _coefficients(rows, level, gaps, rows.targets)
    judge = _coefficients(rows, level, gaps, rows.p)
    missed = _coefficients(rows, base, gaps, rows.targets)
    slope, *unused = _coefficients(rows, base, np.column_stack([base[:, 0] - base[:, 1], gaps]), rows.targets)
    traits = []
    for place, column in enumerate(kept.tolist()):
        name, differ = form.names[column], int((gaps[:, place] != 0).sum())
        tastes = people[place].figure, judge[place].figure
        traits.append(Trait(name, UNITS[name], differ, tastes[0], tastes[1], _negative(missed[place]), unused[place]))
    return Style(tuple(traits), slope)


def _coefficients(rows: Rows, base: Floats, columns: Floats, targets: Probabilities) -> list[Finding]:
    w, clusters = rows.sums.weights, rows.sums.clusters
    return fit_tilt(base, columns, targets, w).tested(base, columns, targets, w, clusters)


def _negative(test: Finding) -> Finding:
    return replace(test, value=-test.value, low=-test.high, high=-test.low)
