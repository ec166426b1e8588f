"""Fit a link from scores to votes by maximum likelihood, with an interval of each parameter.

Called by `votecast link`, and by models whose scores are linked to votes as they are trained.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from threadpoolctl import threadpool_limits

from votecast.calibration.score_link import FIXED, FIXED_LINK, METHODS, Link, check_column
from votecast.calibration.tie_likelihood import LinearLikelihood, maximise
from votecast.calibration.tie_models import TIE_MODELS, TieModel
from votecast.errors import ConfigError, DataError
from votecast.metrics.checks import check_groups, check_probabilities, check_weights
from votecast.metrics.intervals import NORMAL_95
from votecast.types import CLASSES, Bools, Floats, Ints, Probabilities

LEAST_VOTES: Final = 30
"""A link is not fitted on fewer votes."""

_TOO_FEW: Final = (
    "a link is to be fitted on {} votes that have scores, and at least {} are needed (200 make a good start); give "
    "more votes, or use a link without votes: recipe:NAME of a reward recipe"
)

# wide enough to move nothing that votes show; keeps slopes finite where the scores separate the votes without a fault
WIDTH: Final = 30.0
"""Standard deviation of the prior of each slope, in log odds for a column of mean square 1."""

_SLOPES: Final = ("scale", "length")


def fit_link(
    gap: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    method: str = "davidson",
    form: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    least: int = LEAST_VOTES,
) -> Link:
    """Fit a link on votes by maximum likelihood.

    Where no vote is a tie, half a vote for one is added, spread over all rows, so that none is predicted at 0.

    Args:
        gap: Score of a minus score of b, shape (n,); the scorer must not have been trained on these votes.
        targets: Votes, one-hot or soft, shape (n, 3).
        weights: How much each row counts, shape (n,); every row once where None.
        method: A name in `METHODS`; for fixed there is nothing to fit, and the rule itself is returned.
        form: Log length of a minus log length of b, shape (n,): removes the part of the gap that length explains.
        groups: Prompt of each row, shape (n,): intervals are then those of the sandwich estimator over groups, with
            Student's quantile; without groups, those of Fisher's information.
        least: With fewer rows that count, DataError is raised.

    Raises:
        ConfigError: If there is no such method.
        DataError: If there are too few votes, votes of one class only, or a gap that is not finite or never differs.

    Example:
        >>> gap = np.linspace(-3, 3, 90)
        >>> votes = np.eye(3)[np.where(gap < -1, 1, np.where(gap > 1, 0, 2))]
        >>> int(fit_link(gap, votes).predict([0.0]).argmax())
        2
    """
    if method not in METHODS:
        raise ConfigError(f"there is no link {method!r}; allowed are {', '.join(METHODS)}")
    if method == FIXED:
        return FIXED_LINK
    model = TIE_MODELS[method]
    columns, y, w, counts = _check_votes(gap, targets, weights, form, least=least)
    group = None if groups is None else check_groups(check_groups(groups, len(counts))[counts], len(columns))
    if not np.any(y[:, 2] > 0):
        half = 0.5 / len(w)
        y, w = (y + np.array([0.0, 0.0, half])) / (1 + half), w * (1 + half)
    # columns in units of their root mean square, so that the prior does not depend on the scale of the scores;
    # divided by the largest first, for squares of large scores would overflow
    largest = np.abs(columns).max(axis=0)
    unit = largest * np.sqrt(np.average((columns / largest) ** 2, axis=0, weights=w))  # root mean square, (m,)
    m = len(unit)
    likelihood = LinearLikelihood(
        model,
        np.column_stack([columns / unit, np.zeros(len(w))]),
        np.tile(np.append(np.zeros(m), 1.0), (len(w), 1)),
        w[:, None] * y,
        penalty=np.append(np.full(m, 1 / WIDTH**2), 0.0),
        lower=np.append(np.full(m, -np.inf), model.bounds[0]),
        upper=np.append(np.full(m, np.inf), model.bounds[1]),
    )
    share = float(np.clip(np.average(y[:, 2], weights=w), 1e-3, 1 - 1e-3))
    with threadpool_limits(1):  # several threads for a handful of numbers would only wait for each other
        point = maximise(likelihood, np.append(np.zeros(m), model.start(share)), steps=200)
        if point is None:
            raise DataError(
                f"the {method} link finds no finite parameters on {len(w)} votes; give more votes, or scores that "
                "differ more evenly"
            )
        units = np.append(unit, 1.0)
        covariance = _covariance(likelihood, point, w, group) / np.outer(units, units)
    point = point / units
    parameters = dict(zip(_SLOPES, point[:-1].tolist(), strict=False)) | {model.tie: model.shown(float(point[-1]))}
    # one group contains no information on the spread over groups
    is_known = group is None or group.any()
    intervals = _wald_intervals(model, point, covariance, group) if is_known else {}
    return Link(method, parameters, intervals, fitted=True, votes=len(w))


def _wald_intervals(
    model: TieModel, point: Floats, covariance: Floats, group: Ints | None
) -> dict[str, tuple[float, float]]:
    """Return the 95 % interval of each parameter; that of a number for ties above 0 by its logarithm."""
    width = NORMAL_95 if group is None else float(stdtrit(int(group.max()), 0.975))
    errors, t = width * np.sqrt(np.maximum(np.diag(covariance), 0.0)), float(point[-1])
    ends = np.stack([point - errors, point + errors], axis=1)[:-1].tolist()
    intervals = {name: (low, high) for name, (low, high) in zip(_SLOPES, ends, strict=False)}
    if model.bounds[0] > 0:
        of_tie = t * np.exp(np.clip([-errors[-1] / t, errors[-1] / t], -700, 700))
    else:
        of_tie = t + np.array([-errors[-1], errors[-1]])
    low, high = np.clip(of_tie, *model.bounds)
    return intervals | {model.tie: (model.shown(float(low)), model.shown(float(high)))}


def _covariance(likelihood: LinearLikelihood, point: Floats, w: Floats, group: Ints | None) -> Floats:
    """Return the covariance of slopes and the number for ties, shape (m + 1, m + 1).

    With groups it is the sandwich over them (Liang & Zeger 1986, eq. 6), times G / (G - 1); without, the inverse Fisher
    information, weights being scaled so that their sum is Kish's effective number of rows.
    """
    if group is None:
        return np.asarray(np.linalg.pinv(likelihood.fisher(point, w * (w.sum() / np.sum(w**2))), hermitian=True))
    scores = likelihood.scores(likelihood.terms(point))  # (n, m + 1)
    sums = np.stack([np.bincount(group, column) for column in scores.T], axis=1)  # (G, m + 1)
    bread = np.linalg.pinv(likelihood.fisher(point, w), hermitian=True)
    return np.asarray(bread @ (sums.T @ sums) @ bread) * (len(sums) / max(len(sums) - 1, 1))


def crossfit_link(
    gap: Floats,
    targets: Probabilities,
    weights: Floats,
    folds: Ints,
    *,
    method: str = "davidson",
    form: Floats | None = None,
) -> Probabilities:
    """Predict each fold by a link fitted on the other folds, shape (n, 3).

    The arguments are those of `fit_link`; DataError if there is a single fold, or the other folds of one are not
    enough.
    """
    if folds.min() == folds.max():
        raise DataError(
            f"all {len(gap)} votes are in one fold, and a link is measured on votes it was not fitted on; give votes "
            "on at least two different prompts"
        )
    out = np.empty_like(targets)
    for fold in np.unique(folds):
        here = folds == fold
        known, held = (None, None) if form is None else (form[~here], form[here])
        try:
            link = fit_link(gap[~here], targets[~here], weights[~here], method=method, form=known, least=2)
        except DataError as error:
            raise DataError(f"fold {fold}: the other folds are not enough: {error}") from error
        out[here] = link.predict(gap[here], held)
    return out


def _check_votes(
    gap: ArrayLike, targets: ArrayLike, weights: ArrayLike | None, form: ArrayLike | None, *, least: int
) -> tuple[Floats, Probabilities, Floats, Bools]:
    """Return the columns of the lead (n, m), votes and weights of the rows that count, and which rows these are."""
    x = check_column(gap, "gap")
    if not len(x):
        raise DataError(_TOO_FEW.format(0, least))
    y = check_probabilities(targets, "votes")
    if len(y) != len(x):
        raise DataError(f"{len(x)} gaps are given for {len(y)} votes; give one for each")
    w = check_weights(weights, len(x))
    columns = [x] if form is None else [x, check_column(form, "form", len(x))]
    counts = w > 0
    if int(counts.sum()) < least:
        raise DataError(_TOO_FEW.format(int(counts.sum()), least))
    table, y, w = np.stack(columns, axis=1)[counts], y[counts], w[counts]
    voted = [name for name, total in zip(CLASSES, y.sum(axis=0), strict=True) if total > 0]
    if len(voted) == 1:
        what = "calls a tie" if voted[0] == "tie" else f"is for {voted[0]}"
        raise DataError(
            f"every one of the {len(y)} votes {what}, and a link is fitted on how outcomes change with the gap; "
            "give votes of at least two classes"
        )
    for column, name, what in zip(table.T, ("gap", "form"), ("scores", "lengths"), strict=False):
        if np.all(column == column[0]):
            raise DataError(
                f"the {name} is {column[0]:g} in all {len(column)} rows, so that these {what} cannot tell responses "
                f"apart; give {what} that differ" + ("" if name == "gap" else ", or leave the length out")
            )
    return table, y, w, counts
