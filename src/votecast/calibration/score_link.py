"""The link: from the gap between two scores to the probabilities that people prefer a, prefer b, or call a tie.

A reward model scores each response, and the gap is no probability. The link reads it as a lead in log odds, d = scale *
gap (+ length * form), and a tie model fitted on votes turns it into three probabilities. Called by `votecast link` and
the reward models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import model_validator

from votecast.calibration.tie_models import TIE_MODELS
from votecast.config import Settings
from votecast.errors import DataError
from votecast.metrics.scores import row_sum
from votecast.types import Floats, Probabilities

FIXED: Final = "fixed"
METHODS: Final = (*TIE_MODELS, FIXED)


class LinkSettings(Settings):
    """How scores become votes.

    Args:
        method: davidson, rao_kupper or ordered_logit, fitted on votes; fixed is a rule with nothing to fit.
        length: Whether the difference in length takes part, which removes a length bias of the scores.
    """

    method: Literal["davidson", "rao_kupper", "ordered_logit", "fixed"] = "davidson"
    length: bool = False

    @model_validator(mode="after")
    def _fixed_has_no_length(self) -> Self:
        if self.method == FIXED and self.length:
            raise ValueError("the fixed rule has no place for the length; choose another method or drop length")
        return self


@dataclass(frozen=True)
class Link:
    """From the gap between two scores to three probabilities; ValueError for parameters that the method cannot have.

    Args:
        method: A name in `votecast.calibration.tie_models.TIE_MODELS`, or fixed: a rule without parameters.
        parameters: scale (log odds for each unit of the gap), length (log odds for each unit of the form, if the link
            has it), and for ties nu (davidson), theta (rao_kupper) or cut (ordered_logit).
        intervals: 95 % interval of each parameter; none for a link that was not fitted.
        fitted: Whether the parameters were fitted on votes.
        votes: On how many.

    Example:
        >>> Link("davidson", {"scale": 1.0, "nu": 1.0}).predict([0.0, 2.0]).round(3)
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
        model, names = TIE_MODELS[self.method], set(self.parameters)
        if names - {"length"} != {"scale", model.tie} or not all(map(np.isfinite, self.parameters.values())):
            raise ValueError(f"the parameters {self.parameters} are not scale, {model.tie} and perhaps length")
        with np.errstate(all="ignore"):
            t = model.hidden(self.parameters[model.tie])
        if not model.bounds[0] <= t <= model.bounds[1]:
            raise ValueError(f"{model.tie} is {self.parameters[model.tie]}, which a {self.method} link cannot have")

    @property
    def has_length(self) -> bool:
        """Whether the link needs the difference in length beside the gap."""
        return "length" in self.parameters

    @property
    def tie_at_zero(self) -> float:
        """The probability of a tie where neither score nor length is ahead."""
        return float(self.predict([0.0], [0.0])[0, 2])

    def predict(self, gap: ArrayLike, form: ArrayLike | None = None) -> Probabilities:
        """Return probabilities (n, 3); DataError if a gap is not a finite number, or the form is needed and missing.

        Args:
            gap: Score of a minus score of b, shape (n,).
            form: Log length of a minus log length of b, shape (n,); read by a link that has the length.
        """
        x = check_column(gap, "gap")
        if self.method == FIXED:
            return fixed_rule(x)
        model = TIE_MODELS[self.method]
        with np.errstate(over="ignore"):
            d = self.parameters["scale"] * x
            if self.has_length:
                if form is None:
                    raise DataError("this link uses the difference in length, and no lengths are given; give the form")
                d = d + self.parameters["length"] * check_column(form, "form", len(x))
        return model.probabilities(d, model.hidden(self.parameters[model.tie]))

    def to_dict(self) -> dict[str, Any]:
        """Return the link as JSON-able values."""
        return asdict(self) | {"intervals": {name: list(ends) for name, ends in self.intervals.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the link whose `to_dict` this is; ValueError if it is not one."""
        try:
            parameters = {str(name): float(value) for name, value in values["parameters"].items()}
            ends = {str(name): (float(low), float(high)) for name, (low, high) in values["intervals"].items()}
            return cls(str(values["method"]), parameters, ends, bool(values["fitted"]), int(values["votes"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not a link: {type(error).__name__}: {error}") from error


_BAND: Final = 0.08


def fixed_rule(gap: Floats) -> Probabilities:
    """Return the probabilities of an unfitted contest rule, shape (n, 3).

    A gap below 0.08 is a tie, (0.00005, 0.00005, 0.9999); beyond it the softmax of both rewards, each minus 0.0001,
    with 0.0002 for a tie. Beyond a gap of 9.2 the rule as published gives the loser less than nothing; here it is
    clipped at 1e-15, as log loss is counted at the contest, and the row is divided by its sum.

    Example:
        >>> fixed_rule(np.array([0.0, 2.0])).round(5)
        array([[5.000e-05, 5.000e-05, 9.999e-01],
               [8.807e-01, 1.191e-01, 2.000e-04]])
    """
    bounded = np.clip(gap, -700.0, 700.0)
    sides = [np.maximum(1 / (1 + np.exp(-side)) - 0.0001, 1e-15) for side in (bounded, -bounded)]
    p = np.stack([*sides, np.full(len(gap), 0.0002)], axis=1)
    p[np.abs(gap) < _BAND] = (0.00005, 0.00005, 0.9999)
    return np.asarray(p / row_sum(p)[:, None])


_ARENA_TIES: Final = 0.31

DEFAULT_LINK: Final = Link("davidson", {"scale": 1.0, "nu": 2 * _ARENA_TIES / (1 - _ARENA_TIES)})
"""The link for reward models without votes: how they were trained, and the ties of an arena. Not fitted.

Reward models are commonly trained with Bradley and Terry's likelihood (Ouyang et al. 2022, eq. 1), under which the gap
is the log odds of a decided vote: scale 1. Of votes on a public arena 31 % are ties, and so many are predicted where
the gap is 0. A model whose scores are on another scale is over- or underconfident under it; votes correct that.
"""

FIXED_LINK: Final = Link(FIXED, {"band": _BAND})
"""A contest rule that is not fitted on votes, for comparison: see `fixed_rule`."""


def check_column(values: ArrayLike, name: str, rows: int | None = None) -> Floats:
    """Return finite float64 numbers of shape (n,), or raise DataError that names the first row at fault."""
    try:
        x = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {name} does not hold numbers ({error}); give one number for each row") from error
    if x.ndim != 1 or (rows is not None and len(x) != rows):
        raise DataError(f"the {name} has shape {x.shape}; allowed is ({'n' if rows is None else rows},)")
    bad = ~np.isfinite(x)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(
            f"the {name} of row {first + 1} is {x[first]} (rows like it: {int(bad.sum())}); every score must be a "
            "finite number: leave out the rows that could not be scored"
        )
    return x
