"""The link: from the gap between two scores to the probabilities that people prefer a, prefer b, or call a tie.

A reward model gives each answer a number, and not one of them is a probability. The link reads the gap between the two
numbers as a lead in log odds, d = scale * gap (+ length * form), and turns it into three probabilities by a curve that
is fitted on votes. Exchanging the answers exchanges columns a and b to the last bit, whatever the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import model_validator
from scipy.special import stdtrit

from votecast.calibration.link_curves import BAND, CURVES, Curve, fixed_rule, on_curve
from votecast.calibration.link_likelihood import Estimate, Votes, estimate
from votecast.calibration.link_votes import LEAST_VOTES, checked_column, checked_votes
from votecast.config import Settings
from votecast.errors import ConfigError, DataError
from votecast.metrics.checks import check_groups
from votecast.types import Floats, Probabilities

FIXED: Final = "fixed"
METHODS: Final = (*CURVES, FIXED)
_SLOPES: Final = ("scale", "length")
_NORMAL: Final = 1.959963984540054


class LinkSettings(Settings):
    """How scores become votes.

    Args:
        method: davidson, rao_kupper or ordered_logit, fitted on votes; fixed is a rule with nothing to fit.
        length: Whether the difference in length takes part, so that a length bias of the scores is taken out.
    """

    method: Literal["davidson", "rao_kupper", "ordered_logit", "fixed"] = "davidson"
    length: bool = False

    @model_validator(mode="after")
    def _fixed_knows_no_length(self) -> Self:
        if self.method == FIXED and self.length:
            raise ValueError("the fixed rule has no place for the length; choose another method or drop length")
        return self


@dataclass(frozen=True)
class Link:
    """From the gap between two scores to three probabilities.

    Args:
        method: davidson: odds exp(d/2) : exp(-d/2) : nu. rao_kupper: a wins with probability s(d - log theta), s being
            the logistic function, b with s(-d - log theta). ordered_logit: the same curve, told by its cut point, which
            is log theta. fixed: a rule without parameters (see `votecast.calibration.link_curves.fixed_rule`).
        parameters: scale (log odds for each unit of the gap), length (log odds for each unit of the form, if the link
            has it), and nu, theta or cut for ties.
        intervals: 95 % interval of each parameter; none for a link that was not fitted.
        fitted: Whether the parameters were fitted on votes.
        votes: On how many.

    Raises:
        ValueError: If the method is unknown, or its parameters are others or not numbers that it can have.

    Example:
        >>> link = Link("davidson", {"scale": 1.0, "nu": 1.0})
        >>> link.predict(np.array([0.0, 2.0])).round(3)
        array([[0.333, 0.333, 0.333],
               [0.665, 0.09 , 0.245]])
    """

    method: str
    parameters: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    fitted: bool = False
    votes: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"there is no link {self.method!r}; known are {', '.join(METHODS)}")
        if self.method == FIXED:
            return
        curve, names = CURVES[self.method], set(self.parameters)
        if names - {"length"} != {"scale", curve.tie} or not all(map(np.isfinite, self.parameters.values())):
            raise ValueError(f"the parameters {self.parameters} are not scale, {curve.tie} and perhaps length")
        with np.errstate(all="ignore"):
            t = curve.hidden(self.parameters[curve.tie])
        if not curve.bounds[0] <= t <= curve.bounds[1]:
            raise ValueError(f"{curve.tie} is {self.parameters[curve.tie]}, which a {self.method} link cannot have")

    @property
    def has_length(self) -> bool:
        """Whether the link wants the difference in length beside the gap."""
        return "length" in self.parameters

    @property
    def tie_at_zero(self) -> float:
        """The probability of a tie where neither score nor length is ahead."""
        none = np.zeros(1)
        return float(self.predict(none, none)[0, 2])

    def predict(self, gap: ArrayLike, form: ArrayLike | None = None) -> Probabilities:
        """Probabilities of shape (n, 3).

        Args:
            gap: Score of a minus score of b, shape (n,).
            form: Log length of a minus log length of b, shape (n,); read by a link that has the length.

        Raises:
            DataError: If a gap is not a finite number, or the form is wanted and missing.
        """
        x = checked_column(gap, "gap")
        if self.method == FIXED:
            return fixed_rule(x)
        curve = CURVES[self.method]
        with np.errstate(over="ignore"):
            d = self.parameters["scale"] * x
            if self.has_length:
                d = d + self.parameters["length"] * _form_of(form, len(x))
        return on_curve(curve, d, curve.hidden(self.parameters[curve.tie]))

    def to_dict(self) -> dict[str, Any]:
        """The link as JSON-able values."""
        intervals = {name: list(ends) for name, ends in self.intervals.items()}
        kept = {"method": self.method, "parameters": dict(self.parameters), "intervals": intervals}
        return kept | {"fitted": self.fitted, "votes": self.votes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The link whose `to_dict` this is.

        Raises:
            ValueError: If it is none.
        """
        try:
            parameters = {str(name): float(value) for name, value in values["parameters"].items()}
            ends = {str(name): (float(low), float(high)) for name, (low, high) in values["intervals"].items()}
            return cls(str(values["method"]), parameters, ends, bool(values["fitted"]), int(values["votes"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no link: {type(error).__name__}: {error}") from error


_ARENA_TIES: Final = 0.31

DEFAULT_LINK: Final = Link("davidson", {"scale": 1.0, "nu": 2 * _ARENA_TIES / (1 - _ARENA_TIES)})
"""The link for reward models without votes: what they were trained for, and the ties of an arena. Not fitted.

Reward models are commonly trained with Bradley and Terry's likelihood (Ouyang et al. 2022, eq. 1), under which the gap
is the log odds of a decided vote: scale 1. Of votes on a public arena 31 % are ties, and so many are forecast where the
gap is 0. A model whose scores are on another scale is over- or underconfident under it; votes put that right.
"""

FIXED_LINK: Final = Link(FIXED, {"band": BAND})
"""A rule that was submitted to a contest without a look at votes, for comparison: see `fixed_rule`. Not fitted."""


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

    Args:
        gap: Score of a minus score of b, shape (n,); the scorer must not have been trained on these votes.
        targets: Votes, one-hot or soft, shape (n, 3).
        weights: How much each row counts, shape (n,); every row once where None.
        method: A name in `METHODS`; for fixed there is nothing to fit, and the rule itself is returned.
        form: Log length of a minus log length of b, shape (n,): takes the part of the gap out that length explains.
        groups: Group of each row (its prompt), shape (n,): intervals are then those of the sandwich estimator over
            groups, with Student's quantile; without groups, those of Fisher's information.
        least: Fewer rows that count are refused.

    Raises:
        ConfigError: If there is no such method.
        DataError: If there are too few votes, votes of one class only, a gap that is the same in every row, or a value
            that is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> gap = rng.normal(size=400) * 2
        >>> true = Link("davidson", {"scale": 1.0, "nu": 0.8})
        >>> votes = np.eye(3)[[rng.choice(3, p=p) for p in true.predict(gap)]]
        >>> link = fit_link(gap, votes)
        >>> low, high = link.intervals["scale"]
        >>> low < 1.0 < high
        True
    """
    if method not in METHODS:
        raise ConfigError(f"there is no link {method!r}; allowed are {', '.join(METHODS)}")
    if method == FIXED:
        return FIXED_LINK
    votes = checked_votes(gap, targets, weights, form, least=least)
    group = None if groups is None else check_groups(groups, len(votes.counts))[votes.counts]
    group = None if group is None else np.unique(group, return_inverse=True)[1]
    found = estimate(CURVES[method], Votes(votes.columns, votes.targets, votes.weights), group)
    names = _SLOPES[: votes.columns.shape[1]]
    curve = CURVES[method]
    parameters = dict(zip(names, found.slopes.tolist(), strict=True)) | {curve.tie: curve.shown(found.t)}
    intervals = {} if group is not None and not group.any() else _intervals(curve, found, group)
    return Link(method, parameters, intervals, fitted=True, votes=len(votes.weights))


def crossfit_link(
    gap: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike,
    folds: NDArray[np.int64],
    *,
    method: str = "davidson",
    form: ArrayLike | None = None,
) -> Probabilities:
    """Forecast each fold by a link that was fitted on the other folds: honest figures for a fitted link.

    Args:
        gap: Score of a minus score of b, shape (n,).
        targets: Votes, shape (n, 3).
        weights: How much each row counts, shape (n,).
        folds: Fold of each row, shape (n,); rows of one prompt belong in one fold.
        method: A name in `METHODS`.
        form: Log length of a minus log length of b, shape (n,).

    Returns:
        Probabilities of shape (n, 3).

    Raises:
        DataError: If there is a single fold, or the other folds of some fold do not suffice; the message names it.
    """
    x, y, w = np.asarray(gap, np.float64), np.asarray(targets, np.float64), np.asarray(weights, np.float64)
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError(
            f"all {len(x)} votes are in one fold, and a link is measured on votes it was not fitted on; give votes on "
            "at least two different prompts"
        )
    out = np.empty_like(y)
    for name in names:
        here = folds == name
        known, asked = (None, None) if form is None else (np.asarray(form)[~here], np.asarray(form)[here])
        try:
            link = fit_link(x[~here], y[~here], w[~here], method=method, form=known, least=2)
        except DataError as error:
            raise DataError(f"fold {name}: the other folds do not suffice: {error}") from error
        out[here] = link.predict(x[here], asked)
    return out


def _form_of(form: ArrayLike | None, rows: int) -> Floats:
    if form is None:
        raise DataError(
            "this link takes the difference in length into account, and no lengths are given; give the form"
        )
    return checked_column(form, "form", rows)


def _intervals(curve: Curve, found: Estimate, group: NDArray[np.int64] | None) -> dict[str, tuple[float, float]]:
    """Wald intervals; that of a band, which is above 0, on the scale of its logarithm."""
    width = _NORMAL if group is None else float(stdtrit(int(group.max()), 0.975))
    errors = width * np.sqrt(np.maximum(np.diag(found.covariance), 0.0))
    out = {
        name: (float(slope - error), float(slope + error))
        for name, slope, error in zip(_SLOPES, found.slopes, errors[:-1], strict=False)
    }
    if curve.bounds[0] > 0:
        ends = found.t * np.exp(np.clip([-errors[-1] / found.t, errors[-1] / found.t], -700, 700))
    else:
        ends = found.t + np.array([-errors[-1], errors[-1]])
    low, high = np.clip(ends, *curve.bounds)
    return out | {curve.tie: (curve.shown(float(low)), curve.shown(float(high)))}
