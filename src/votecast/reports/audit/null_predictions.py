"""Predictions that ignore the texts, on the same rows: uniform, prior, the longer response, and style alone.

Called by `votecast.reports.audit.audit_judge` for the table beside the headline metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.text_columns import characters
from votecast.metrics import Figure, class_prior, group_folds, longer_wins, paired_gain, uniform
from votecast.metrics.checks import Checked
from votecast.metrics.figures import Measure
from votecast.metrics.intervals import Figures
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.style_bias import ResponseStyle
from votecast.reports.audit.tilt import Tilt
from votecast.types import Probabilities, swap_columns

SHRUNK: Final = 1.0
"""Inverse variance of the prior of each coefficient of style: fitted on few rows, they stay near 0."""


@dataclass(frozen=True)
class NullBaseline:
    """A prediction that ignores the texts.

    Args:
        name: uniform, prior, longer or style.
        metrics: Name to figure, as for the judge.
        gain: Its log loss minus that of the judge on the same rows.
    """

    name: str
    metrics: Figures
    gain: Figure


def predict_nulls(rows: AuditRows, style: ResponseStyle | None, seed: int) -> dict[str, Probabilities]:
    """Predict without reading, by name, each row by a fit on other prompts; "longer" and "style" take texts."""
    t, w, clusters = rows.targets, rows.sums.weights, rows.sums.clusters
    folds = group_folds(clusters, seed=seed)
    out = {
        "uniform": uniform(len(w), binary=rows.binary),
        "prior": class_prior(t, w, folds=folds, binary=rows.binary),
    }
    if style is None:
        return out
    lengths = np.column_stack([characters(rows.battles, name) for name in TEXT_COLUMNS[1:]])  # (n, 2)
    out["longer"] = longer_wins(t, lengths, w, folds=folds, binary=rows.binary)
    if folds.max() > 0:
        out["style"] = _predict_from_style(rows, style, folds)
    return out


def _predict_from_style(rows: AuditRows, style: ResponseStyle, folds: np.ndarray) -> Probabilities:
    """Predict each fold by Davidson's model (1970) of differences in style, fitted on the others."""
    level = np.log(uniform(len(rows), binary=rows.binary).clip(1e-12))
    out = np.empty_like(rows.p)
    for fold in range(int(folds.max()) + 1):
        here = folds == fold
        known = ~here & (rows.sums.weights > 0)
        if not known.any():
            out[here] = np.exp(level[here])
            continue
        fit = Tilt(level[known], style.gaps[known], rows.targets[known], rows.sums.weights[known], SHRUNK)
        out[here] = fit.predict(level[here], style.gaps[here])
    return out


def measure_nulls(rows: AuditRows, nulls: dict[str, Probabilities], seed: int) -> tuple[NullBaseline, ...]:
    """Measure the null predictions, and what the judge gains over them."""
    w, clusters, drawn = rows.sums.weights, rows.sums.clusters, rows.sums.drawn
    out = []
    for name, q in nulls.items():
        measure = Measure(Checked(rows.targets, q, w), clusters, drawn, swapped=swap_columns(q), perfect=False)
        gain = paired_gain(rows.targets, rows.p, q, w, groups=clusters, draws=len(drawn), seed=seed)
        out.append(NullBaseline(name, measure.part(np.arange(len(w))), Figure(*gain)))
    return tuple(out)
