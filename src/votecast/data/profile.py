"""The figures of an inspection: each looks at battles and returns JSON-able values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import normalised_prompts, prompt_clusters
from votecast.data.pairs import Ints, Pairs, by_appearance, known_targets, turns_of
from votecast.data.repeats import agreement, conflicts, frequent_prompts
from votecast.metrics.intervals import wilson_interval
from votecast.types import CLASSES, swap_columns

Figures = dict[str, Any]

_QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


def label_figures(battles: Battles) -> Figures:
    """Rows with a vote, with a soft label, without; counts and shares of the classes (soft labels by their parts)."""
    labelled, counts = int(battles.labelled.sum()), known_targets(battles).sum(axis=0)
    return {
        "labelled": labelled,
        "soft": len(battles) - battles.column("probabilities").null_count,
        "unlabelled": len(battles) - labelled,
        "counts": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "shares": dict(zip(CLASSES, (counts / max(labelled, 1)).tolist(), strict=True)),
    }


def turn_figures(battles: Battles) -> Figures:
    """Rows by number of prompt turns, and rows whose three texts do not have equally many."""
    turns = [pc.list_value_length(battles.column(name)).to_numpy() for name in TEXT_COLUMNS]
    numbers, counts = np.unique(turns[0], return_counts=True)
    unequal = (turns[0] != turns[1]) | (turns[0] != turns[2])
    return {
        "histogram": {str(number): int(count) for number, count in zip(numbers, counts, strict=True)},
        "unequal": int(unequal.sum()),
    }


def length_figures(battles: Battles) -> Figures:
    """Quantiles and mean of the number of characters of prompt, answers and whole rows."""
    lengths = {name: characters(battles, name) for name in TEXT_COLUMNS}
    lengths["row"] = np.sum(list(lengths.values()), axis=0)
    return {name: _quantiles(values) for name, values in lengths.items()}


def characters(battles: Battles, column: str) -> Ints:
    """Characters of a text column, all turns together, shape (n,)."""
    parts = [np.zeros(0, dtype=np.int64)]
    for chunk in battles.column(column).chunks:
        bounds, turns = turns_of(chunk)
        sums = np.concatenate([[0], np.cumsum(pc.utf8_length(turns).to_numpy())])
        parts.append(np.diff(sums[bounds]).astype(np.int64))
    return np.concatenate(parts)


def model_figures(battles: Battles) -> list[Figures]:
    """Battles, votes, wins, ties and win rate (a tie counts half, a soft label by its parts) of each named model."""
    labelled, votes = battles.labelled, known_targets(battles)
    sides = [battles.column(name).combine_chunks() for name in ("model_a", "model_b")]
    encoded = pa.concat_arrays(sides).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy()
    named = codes >= 0

    def total(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the rows in which a model is first and those in which it is second."""
        weights = np.concatenate([first, second])[named]
        return np.bincount(codes[named], weights=weights, minlength=len(encoded.dictionary)).astype(np.float64)

    present, voting = np.ones(len(battles)), labelled.astype(np.float64)
    played, voted = total(present, present), total(voting, voting)
    wins, ties = total(votes[:, 0], votes[:, 1]), total(votes[:, 2], votes[:, 2])
    rate = np.divide(wins + ties / 2, voted, out=np.full(len(voted), np.nan), where=voted > 0)
    names = encoded.dictionary.to_pylist()
    return [
        {
            "model": names[i],
            "battles": int(played[i]),
            "votes": int(voted[i]),
            "wins": float(wins[i]),
            "ties": float(ties[i]),
            "win_rate": None if math.isnan(rate[i]) else float(rate[i]),
        }
        for i in sorted(range(len(names)), key=lambda i: (-played[i], names[i]))
    ]


def duplicate_figures(battles: Battles, pairs: Pairs) -> Figures:
    """Repeats of a pair (same prompt, same two answers), what the votes on it say and how far they agree."""
    ordered, either = pairs.numbers(ordered=True), pairs.numbers(ordered=False)
    distinct, distinct_ordered = int(either.max(initial=-1)) + 1, int(ordered.max(initial=-1)) + 1
    sizes = np.bincount(either, minlength=distinct)
    return {
        "pairs": distinct,
        "exact": len(battles) - distinct_ordered,
        "reversed": int((pairs.reversed & ~pairs.identical).sum()),
        "repeated_pairs": int((sizes > 1).sum()),
        "conflicting_pairs": _conflicts(battles, pairs, either),
        "conflicts": conflicts(battles, pairs),
        "agreement": agreement(battles, pairs),
    }


def prompt_figures(battles: Battles, *, similarity: float, seed: int) -> Figures:
    """Distinct prompts after normalisation, the clusters of similar ones among them, and the most frequent ones."""
    prompts = normalised_prompts(battles)
    shown = np.array([bool(prompt) for prompt in prompts], dtype=bool)
    clusters = prompt_clusters(battles, similarity=similarity, seed=seed, first_turn=False, prompts=prompts)
    cluster = by_appearance(clusters[shown])
    exact, first = np.unique(np.array(prompts, dtype=object)[shown], return_index=True)
    variants = np.bincount(cluster[first], minlength=int(cluster.max(initial=-1)) + 1)
    return {
        "distinct": len(exact),
        "clusters": len(variants),
        "near_duplicates": int(variants[variants > 1].sum()),
        "rows_in_near_duplicates": int((variants[cluster] > 1).sum()),
        "largest_cluster_rows": int(np.bincount(cluster).max(initial=0)),
        "similarity": similarity,
        "frequent": frequent_prompts(battles, np.flatnonzero(shown), cluster),
    }


def longer_wins(battles: Battles) -> Figures:
    """Among decided rows whose answers differ in length, how often the longer answer won."""
    a_wins, b_wins = _decided(battles)
    difference = characters(battles, "response_a") - characters(battles, "response_b")
    wins = int((a_wins & (difference > 0)).sum() + (b_wins & (difference < 0)).sum())
    decided = int(((a_wins | b_wins) & (difference != 0)).sum())
    return {"wins": wins, "equal_length": int(((a_wins | b_wins) & (difference == 0)).sum())} | share(wins, decided)


def position_skew(battles: Battles) -> Figures:
    """Among decided rows, how often the first answer won; 0.5 lies outside the interval where the side matters."""
    a_wins, b_wins = _decided(battles)
    a, b = int(a_wins.sum()), int(b_wins.sum())
    return {"a": a, "b": b} | share(a, a + b)


def share(count: int, of: int) -> Figures:
    """A rate with its 95 % interval (Wilson, 1927); None where there is nothing to count.

    Example:
        >>> {name: value and round(value, 3) for name, value in share(5, 10).items()}
        {'of': 10, 'rate': 0.5, 'low': 0.237, 'high': 0.763}
    """
    if of == 0:
        return {"of": 0, "rate": None, "low": None, "high": None}
    rate = count / of
    low, high = wilson_interval(rate, of)
    return {"of": of, "rate": rate, "low": float(low), "high": float(high)}


def _conflicts(battles: Battles, pairs: Pairs, either: Ints) -> int:
    """Pairs on which not all votes say the same, once rows in the other order are exchanged."""
    rows = np.flatnonzero(battles.labelled)
    votes = known_targets(battles)[rows]
    turned = pairs.reversed[rows]
    votes[turned] = swap_columns(votes[turned])
    kinds = np.unique(np.column_stack([either[rows], votes]), axis=0)
    return int((np.unique(kinds[:, 0], return_counts=True)[1] > 1).sum())


def _decided(battles: Battles) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows that a won, and rows that b won; a soft label decides for the class with more than half of it."""
    votes = known_targets(battles)
    return votes[:, 0] > 0.5, votes[:, 1] > 0.5


def _quantiles(values: Ints) -> Figures:
    if not len(values):
        return dict.fromkeys([*_QUANTILES, "mean"])
    found = np.quantile(values, list(_QUANTILES.values())).tolist()
    return dict(zip(_QUANTILES, found, strict=True)) | {"mean": float(values.mean())}
