"""Why a baseline forecasts what it does: what each group of features did to the final probabilities, exactly.

Both models of a baseline are sums once they are looked at feature by feature: the linear one by itself, the trees by
their SHAP values (Lundberg & Lee 2017, "A unified approach to interpreting model predictions"; exact for trees:
Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees"). Summed over
groups of features, they give strength and closeness of a battle as a handful of numbers. What a group moves of
p_a - p_b is then its Shapley value (Shapley 1953) in the game whose players are the groups, each of which brings its
share of strength and closeness, and whose outcome is p_a - p_b after averaging and calibration. Nothing is sampled:
all subsets of the groups are run. So the effects of a battle add up to its p_a - p_b, and exchanging the answers
changes their signs and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.calibration.tie_models import davidson_probabilities
from votecast.data.battles import Battles
from votecast.data.groups import group_values
from votecast.features import extract
from votecast.judges.out_of_fold import Fitted
from votecast.judges.reasons import GROUPS, group_of, looks
from votecast.models.baseline import BaselineModel, Contributions, PreparedFeatures

_ROWS_AT_ONCE = 32
_MANY = len(GROUPS)


@dataclass(frozen=True)
class Reason:
    """What one group of features says about one battle.

    Args:
        name: Short name of the group.
        text: What the answers show of it, in plain words.
        effect: Probability it moved from answer b to answer a (above 0) or from a to b (below 0): its share of
            p_a - p_b.
    """

    name: str
    text: str
    effect: float


def explain(judge: Any, battles: Battles) -> list[list[Reason]] | None:
    """Say what spoke for either answer.

    Args:
        judge: Any judge.
        battles: n battles.

    Returns:
        For every battle a reason for each group of features, the strongest first; their effects add up to p_a - p_b.
        None for a judge that is not of the baseline family.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> rows = [
        ...     {"prompt": "Where is Rome?", "response_a": "In Italy, on the Tiber.", "response_b": "I cannot say."}
        ... ]
        >>> judge, battles = load_judge("bundled:baseline"), Battles.from_rows(rows)
        >>> reasons = explain(judge, battles)[0]
        >>> a, b, _ = judge.predict_proba(battles)[0]
        >>> bool(abs(sum(reason.effect for reason in reasons) - (a - b)) < 1e-9)
        True
    """
    fitted = getattr(judge, "fitted", None)
    if not isinstance(fitted, Fitted) or not all(isinstance(member, BaselineModel) for member in fitted.members):
        return None
    starts = range(0, len(battles), _ROWS_AT_ONCE)
    return [reasons for start in starts for reasons in _explain(fitted, battles[start : start + _ROWS_AT_ONCE])]


def _explain(fitted: Fitted, battles: Battles) -> list[list[Reason]]:
    features = extract(battles, threads=1)
    parts = [
        member.contributions(PreparedFeatures(features))
        for member in fitted.members
        if isinstance(member, BaselineModel)
    ]
    effects = _shapley(_outcomes(fitted, parts, battles))
    told = []
    for row, shown, moved in zip(effects, looks(features), _moves(parts), strict=True):
        sides = [{name: float(np.sign(effect)) * move for name, move in moved.items()} for effect in row]
        order = np.argsort(-np.abs(row), kind="stable").tolist()
        told.append([Reason(GROUPS[n].name, GROUPS[n].text(shown, sides[n]), float(row[n])) for n in order])
    return told


def _moves(parts: Sequence[Contributions]) -> list[dict[str, float]]:
    """How far each feature moves the strength of answer a in every battle, over all members."""
    total: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        for name, moved in zip(part.names, part.strength.T, strict=True):
            plain = name.removeprefix("own_").removeprefix("gap_")
            total[plain] = total[plain] + moved if plain in total else moved
    return [dict(zip(total, row, strict=True)) for row in np.stack(list(total.values()), axis=1).tolist()]


def _outcomes(fitted: Fitted, parts: Sequence[Contributions], battles: Battles) -> NDArray[np.float64]:
    """Calibrated p_a - p_b of every battle for every subset of the groups, shape (n, 2 ** groups)."""
    inside = _subsets().T.astype(np.float64)
    total = np.zeros((len(battles) * inside.shape[1], 3))
    for found in parts:
        places = np.array([group_of(name) for name in found.names])
        s, t = (_within(_grouped(part, places), inside) for part in (found.strength, found.closeness))
        total += davidson_probabilities(s.ravel(), (found.base + t).ravel())
    groups = {by: np.repeat(group_values(battles, by), inside.shape[1]).tolist() for by in fitted.calibrator.by}
    p = fitted.calibrator.transform(total / len(fitted.members), groups)
    return np.asarray((p[:, 0] - p[:, 1]).reshape(len(battles), -1))


def _grouped(shares: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums over the columns of each group, shape (n, groups)."""
    return np.stack([np.ascontiguousarray(shares[:, places == group]).sum(axis=1) for group in range(_MANY)], axis=1)


def _within(shares: NDArray[np.float64], inside: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the groups of each subset bring together, added in the same order whatever the other rows."""
    total = np.zeros((len(shares), inside.shape[1]))
    for share, has in zip(shares.T, inside, strict=True):
        total += share[:, None] * has
    return total


def _shapley(outcomes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shapley value of every group, shape (n, groups): what it adds to subsets without it, weighed by their size."""
    subsets = _subsets()
    size = subsets.sum(axis=1)
    effects = np.zeros((len(outcomes), _MANY))
    for group in range(_MANY):
        without = np.flatnonzero(~subsets[:, group])
        weights = 1 / (_MANY * np.array([comb(_MANY - 1, int(k)) for k in size[without]]))
        effects[:, group] = np.ascontiguousarray(
            (outcomes[:, without | (1 << group)] - outcomes[:, without]) * weights
        ).sum(axis=1)
    return effects


@cache
def _subsets() -> NDArray[np.bool_]:
    """Which groups are in each subset, shape (2 ** groups, groups); bit g of a subset's position says group g is in."""
    return np.asarray((np.arange(2**_MANY)[:, None] >> np.arange(_MANY)) & 1, dtype=np.bool_)
