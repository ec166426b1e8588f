"""What forecasts without reading score on the same rows: uniform, prior, the longer answer, and style alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.text_columns import characters
from votecast.metrics import Figure, class_prior, group_folds, longer_wins, paired_gain, uniform
from votecast.metrics.checks import Checked
from votecast.metrics.result import Figures
from votecast.metrics.table import Measure
from votecast.reports.audit.form import Form
from votecast.reports.audit.rows import Rows
from votecast.reports.audit.tilt import fit_tilt
from votecast.types import Probabilities, swap_columns

SHRUNK: Final = 1.0
"""Inverse variance of the prior of each coefficient of form: fitted on few rows, they stay near 0."""


@dataclass(frozen=True)
class Baseline:
    """A forecast without reading.

    Args:
        name: uniform, prior, longer or style.
        metrics: Name to figure, as for the judge.
        gain: How much less log loss the judge has on the same rows.
    """

    name: str
    metrics: Figures
    gain: Figure


def null_forecasts(rows: Rows, form: Form | None, seed: int) -> dict[str, Probabilities]:
    """What is forecast without reading, by name, each row by what was learnt from other prompts of the same votes.

    Args:
        rows: The votes.
        form: The form of their answers; without it there is no "longer" and no "style".
        seed: Seed of the folds.
    """
    t, w, clusters = rows.targets, rows.sums.weights, rows.sums.clusters
    folds = group_folds(clusters, seed=seed)
    out = {
        "uniform": uniform(len(w), binary=rows.binary),
        "prior": class_prior(t, w, folds=folds, binary=rows.binary),
    }
    if form is None:
        return out
    lengths = np.column_stack([characters(rows.battles, name) for name in TEXT_COLUMNS[1:]])
    out["longer"] = longer_wins(t, lengths, w, folds=folds, binary=rows.binary)
    if folds.max() > 0:
        out["style"] = _style(rows, form, folds)
    return out


def baselines(rows: Rows, forecasts: dict[str, Probabilities], seed: int) -> tuple[Baseline, ...]:
    """Measure what is forecast without reading, and what the judge gains over it."""
    w, clusters, drawn = rows.sums.weights, rows.sums.clusters, rows.sums.drawn
    out = []
    for name, q in forecasts.items():
        measure = Measure(Checked(rows.targets, q, w), clusters, drawn, exchanged=swap_columns(q), perfect=False)
        gain = paired_gain(rows.targets, rows.p, q, w, groups=clusters, draws=len(drawn), seed=seed)
        out.append(Baseline(name, measure.part(np.arange(len(w))), Figure(*gain)))
    return tuple(out)


def _style(rows: Rows, form: Form, folds: np.ndarray) -> Probabilities:
    """Davidson's model (1970) on differences in form, each fold forecast by a fit on the others."""
    level = np.log(uniform(len(rows), binary=rows.binary).clip(1e-12))
    out = np.empty_like(rows.p)
    for fold in range(int(folds.max()) + 1):
        here = folds == fold
        known = ~here & (rows.sums.weights > 0)
        if not known.any():
            out[here] = np.exp(level[here])
            continue
        fit = fit_tilt(level[known], form.gaps[known], rows.targets[known], rows.sums.weights[known], SHRUNK)
        out[here] = fit.forecast(level[here], form.gaps[here])
    return out
