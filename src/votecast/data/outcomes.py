"""Who wins: by model against model, by how much longer an answer is, and by what rows have in common."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.pairs import known_targets
from votecast.data.profile import characters, share
from votecast.types import CLASSES, Probabilities

Figures = dict[str, Any]

LONGER = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Where the bins of how many times longer the longer answer is begin."""


def outcome_slices(battles: Battles, groups: Sequence[str]) -> Figures:
    """Rows, votes and the shares of the outcomes in each group, largest first.

    Args:
        battles: The rows.
        groups: A name for each row.

    Example:
        >>> row = {"prompt": "Hi", "response_a": "x", "response_b": "y", "winner": "tie"}
        >>> outcome_slices(Battles.from_rows([row]), ["en"])
        {'en': {'rows': 1, 'votes': 1, 'a': 0.0, 'b': 0.0, 'tie': 1.0}}
    """
    encoded = pa.array(groups, pa.large_string()).dictionary_encode()
    names, group = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.intp)
    votes, voted = known_targets(battles), battles.labelled
    rows, counts = np.bincount(group, minlength=len(names)), np.bincount(group[voted], minlength=len(names))
    order = sorted(range(len(names)), key=lambda i: (-rows[i], names[i]))
    shares = _shares(votes, group, counts, len(names))
    return {names[i]: {"rows": int(rows[i]), "votes": int(counts[i])} | shares[i] for i in order}


def length_outcomes(battles: Battles) -> list[Figures]:
    """How the longer answer fares by how many times longer it is: its share of the decided votes, and the ties."""
    first, second = characters(battles, "response_a"), characters(battles, "response_b")
    voted = battles.labelled & (first != second)
    ratio = np.maximum(first, second) / np.maximum(1, np.minimum(first, second))
    votes = known_targets(battles)
    won = np.where(first > second, votes[:, 0], votes[:, 1]) > 0.5
    lost = np.where(first > second, votes[:, 1], votes[:, 0]) > 0.5
    edges = (1.0, *LONGER, np.inf)
    out = []
    for low, high in itertools.pairwise(edges):
        rows = voted & (ratio >= low) & (ratio < high)
        wins, decided = int((rows & won).sum()), int((rows & (won | lost)).sum())
        ties = float(votes[rows, 2].mean()) if rows.any() else None
        bounds = {"from": low, "to": None if np.isinf(high) else high}
        out.append(bounds | {"rows": int(rows.sum()), "ties": ties} | share(wins, decided))
    return out


def model_matrix(battles: Battles, models: Sequence[str]) -> Figures:
    """Votes between each two models, and how often the first of them won them (a tie counts half).

    Args:
        battles: The rows.
        models: Names of the models that are shown.

    Returns:
        `models`, `votes` and `win_rates` (row against column; None without a vote), lists of lists.
    """
    names = pa.array(models, pa.large_string())
    sides = [battles.column(name).combine_chunks() for name in ("model_a", "model_b")]
    one, two = (pc.index_in(side, value_set=names).fill_null(-1).to_numpy() for side in sides)
    rows = (one >= 0) & (two >= 0) & battles.labelled
    one, two, votes = one[rows], two[rows], known_targets(battles)[rows]
    size = len(models)
    wins, played = np.zeros((size, size)), np.zeros((size, size))
    np.add.at(wins, (one, two), votes[:, 0] + votes[:, 2] / 2)
    np.add.at(wins, (two, one), votes[:, 1] + votes[:, 2] / 2)
    np.add.at(played, (one, two), 1)
    np.add.at(played, (two, one), 1)
    np.fill_diagonal(played, 0)
    rates = [[_rate(wins[i, j], played[i, j]) for j in range(size)] for i in range(size)]
    return {"models": list(models), "votes": played.astype(int).tolist(), "win_rates": rates}


def length_histogram(battles: Battles, *, per_decade: int = 4) -> Figures:
    """Texts by their number of characters, in bins that grow by the same factor.

    Returns:
        `from`, where each bin begins, and the counts of `prompt` and `answer` (both answers of a row); a text without
        a character is in the bin that begins at 0.
    """
    prompts = characters(battles, "prompt")
    answers = np.concatenate([characters(battles, "response_a"), characters(battles, "response_b")])
    longest = max(int(prompts.max(initial=1)), int(answers.max(initial=1)), 1)
    count = int(np.floor(np.log10(longest) * per_decade)) + 1
    starts = [0, *sorted({round(10 ** (number / per_decade)) for number in range(count)})]
    edges = np.array([*starts, np.inf])
    counts = {
        name: np.histogram(sizes, edges)[0].tolist() for name, sizes in (("prompt", prompts), ("answer", answers))
    }
    return {"from": starts} | counts


def _shares(votes: Probabilities, group: NDArray[np.intp], counts: NDArray[np.int64], size: int) -> list[Figures]:
    sums = [np.bincount(group, weights=votes[:, place], minlength=size) for place in range(len(CLASSES))]
    return [
        {name: float(sums[k][i] / counts[i]) if counts[i] else None for k, name in enumerate(CLASSES)}
        for i in range(size)
    ]


def _rate(wins: float, played: float) -> float | None:
    return float(wins / played) if played else None
