"""What a judge forecasts of rows that it must not have learnt from, and which rows these are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.errors import DataError, LeakError
from votecast.judges.asking import ask, numbers_of
from votecast.judges.shared_rows import shared_rows
from votecast.leaderboard.vote_rows import has_texts
from votecast.types import Probabilities, Progress

_ROWS_AT_ONCE: Final = 1024
_NAMED: Final = 5
_NO_PROMPTS: Final = "leaks are not looked for: the rows have no prompts"
_UNKNOWN: Final = "leaks are not looked for: the judge keeps no hashes of its training prompts"


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of battles.

    Args:
        probabilities: Shape (n, 3).
        notes: How they came to be.
    """

    probabilities: Probabilities
    notes: tuple[str, ...] = ()


def forecast(judge: Any, battles: Battles, progress: Progress) -> Probabilities:
    """Forecast battles a thousand at a time, shape (n, 3).

    Raises:
        DataError: If the judge reads texts and there are none.
    """
    if not (numbers_of(judge) or has_texts(battles)):
        raise DataError("the rows have no texts, and the judge forecasts by them; give prompts and answers, too")
    parts = [np.empty((0, 3))]
    for start in range(0, len(battles), _ROWS_AT_ONCE):
        progress("forecasting", start, len(battles))
        parts.append(ask(judge, battles[start : start + _ROWS_AT_ONCE], after=start).probabilities)
    return np.concatenate(parts)


def honest_forecasts(judge: Any, votes: Battles, progress: Progress) -> Forecasts:
    """Forecasts of voted rows by a judge that has not learnt from them.

    Rows with prompts that the judge was trained on take the forecast that a fold which had not seen them gave, matched
    by id and texts (cross-prediction: Zrnic and Candes 2024).

    Args:
        judge: A judge.
        votes: n rows with votes.
        progress: Told how far it is.

    Raises:
        LeakError: If rows have prompts that the judge was trained on, and it holds no such forecast of them.
    """
    rows, notes = seen(judge, votes)
    if not len(rows):
        said = notes or ("no voted prompt is among those that the judge was trained on",)
        return Forecasts(forecast(judge, votes, progress), said)
    held = _held_forecasts(judge, votes.take(rows))
    if (lost := np.flatnonzero(np.isnan(held[:, 0]))).size:
        first = ", ".join(repr(name) for name in votes.take(rows[lost[:_NAMED]]).ids)
        raise LeakError(
            f"{len(lost)} of {len(votes)} voted rows have prompts on which the judge was trained (first ids: {first}), "
            "and its folder holds no out-of-fold forecasts of them: its forecasts would look better than they are. "
            "Remove these rows, name a judge that has not seen their prompts, or rank by the votes alone"
        )
    out = np.empty((len(votes), 3))
    out[rows] = held
    others = np.setdiff1d(np.arange(len(votes)), rows)
    if len(others):
        out[others] = forecast(judge, votes.take(others), progress)
    told = f"{len(rows):,} of {len(votes):,} voted rows have prompts that the judge was trained on; for these its "
    return Forecasts(out, (*notes, told + "out-of-fold forecasts are taken, matched by id and texts"))


def seen(judge: Any, battles: Battles) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Positions of the rows with prompts that a judge was trained on, and a note where that is not known."""
    if not has_texts(battles):
        return np.zeros(0, dtype=np.int64), (_NO_PROMPTS,)
    hashes = getattr(judge, "prompt_hashes", None)
    if hashes is None:
        return np.zeros(0, dtype=np.int64), (_UNKNOWN,)
    return hashes.overlap(battles), ()


def voted_on(votes: Battles, pairs: Battles) -> NDArray[np.bool_]:
    """Which pairs are voted rows once more, in either order of the answers: their forecasts are nothing new.

    Rows without texts cannot be told from each other and are none.

    Args:
        votes: The voted rows.
        pairs: n rows to be forecast.

    Returns:
        Shape (n,).

    Example:
        >>> row = {"prompt": "p", "response_a": "x", "response_b": "y"}
        >>> other = row | {"prompt": "q"}
        >>> voted_on(Battles.from_rows([row]), Battles.from_rows([row, other]).swapped()).tolist()
        [True, False]
    """
    known = {*votes.content_hashes(), *votes.swapped().content_hashes()}
    texts = zip(*map(pairs.text, TEXT_COLUMNS), strict=True)
    again = (any(row) and key in known for row, key in zip(texts, pairs.content_hashes(), strict=True))
    return np.fromiter(again, dtype=np.bool_, count=len(pairs))


def _held_forecasts(judge: Any, battles: Battles) -> Probabilities:
    """Calibrated forecasts of rows by folds that had not seen their prompts, NaN for rows without one, shape (n, 3)."""
    out = np.full((len(battles), 3), np.nan)
    fitted = getattr(judge, "fitted", None)
    if fitted is None or not len(fitted.out_of_fold):
        return out
    if fitted.calibrator.by:
        raise DataError(
            f"judge {judge.name!r} is calibrated by {', '.join(fitted.calibrator.by)}, which its out-of-fold rows do "
            "not name; rank with the judge as it was before, or on votes whose prompts it has not seen"
        )
    held = shared_rows({judge.name: judge})
    place = {key: row for row, key in enumerate(zip(held.ids, held.content, strict=True))}
    keys = zip(battles.ids, battles.content_hashes(), strict=True)
    rows = np.array([place.get(key, -1) for key in keys], dtype=np.int64)
    out[rows >= 0] = held.predictions[0][rows[rows >= 0]]
    return out
