"""A judge's predictions of the rows of a leaderboard, without those that it learned from.

Called by `votecast.leaderboard.rank_votes` where a judge takes part.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.text_columns import has_texts
from votecast.errors import DataError
from votecast.judges.predict_batch import predict_batch, reader_numbers, trained_prompts
from votecast.judges.shared_rows import predict_held_out
from votecast.types import Bools, Ints, Judge, Probabilities, Progress

_ROWS_AT_ONCE: Final = 1024


def predict_battles(judge: Judge, battles: Battles, progress: Progress) -> Probabilities:
    """Predict battles a thousand at a time, shape (n, 3).

    Raises:
        DataError: If the judge reads texts and there are none.
    """
    if not (reader_numbers(judge) or has_texts(battles)):
        raise DataError("the rows have no texts, and the judge predicts from them; give prompts and responses, too")
    parts = [np.empty((0, 3))]
    for start in range(0, len(battles), _ROWS_AT_ONCE):
        progress("predicting", start, len(battles))
        parts.append(predict_batch(judge, battles[start : start + _ROWS_AT_ONCE], after=start).probabilities)
    return np.concatenate(parts)


def predict_voted(judge: Judge, votes: Battles, progress: Progress) -> tuple[Probabilities, tuple[str, ...]]:
    """Predict voted rows, shape (n, 3), with notes on where the predictions come from.

    Rows with prompts that the judge was trained on get the out-of-fold prediction of their texts.

    Raises:
        LeakError: If rows have prompts that the judge was trained on, and it has no out-of-fold prediction of them.
    """
    rows, notes = seen_rows(judge, votes)
    if not len(rows):
        clean = "no voted prompt is among those that the judge was trained on"
        return predict_battles(judge, votes, progress), notes or (clean,)
    out, _, note = predict_held_out(judge, votes, rows)
    others = np.setdiff1d(np.arange(len(votes)), rows)
    if len(others):
        out[others] = predict_battles(judge, votes.take(others), progress)
    return out, (*notes, note)


def seen_rows(judge: Judge, battles: Battles) -> tuple[Ints, tuple[str, ...]]:
    """Return the rows whose prompts a judge was trained on, and notes."""
    none = np.zeros(0, dtype=np.int64)
    if not has_texts(battles):
        return none, ("leaks are not checked: the rows have no prompts",)
    hashes = trained_prompts(judge)
    if hashes is None:
        return none, ("leaks are not checked: the judge keeps no hashes of its training prompts",)
    return hashes.overlap(battles), ()


def is_voted_on(votes: Battles, pairs: Battles) -> Bools:
    """Return which pairs repeat a voted row, in either order of the responses, shape (n,).

    Example:
        >>> row = {"prompt": "p", "response_a": "x", "response_b": "y"}
        >>> other = row | {"prompt": "q"}
        >>> is_voted_on(Battles.from_rows([row]), Battles.from_rows([row, other]).swapped()).tolist()
        [True, False]
    """
    known = {*votes.content_hashes(), *votes.swapped().content_hashes()}
    texts = zip(*map(pairs.text, TEXT_COLUMNS), strict=True)
    # rows without texts cannot be distinguished, and repeat none
    again = (any(row) and key in known for row, key in zip(texts, pairs.content_hashes(), strict=True))
    return np.fromiter(again, dtype=np.bool_, count=len(pairs))
