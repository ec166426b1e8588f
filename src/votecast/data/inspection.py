"""Inspect votes, with or without labels: what is in them, and what is wrong with them.

`votecast inspect` and the report on votes print what `inspect_votes` returns; `explore` adds to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.frames import as_battles
from votecast.data.groups import group_values
from votecast.data.prompts import normalised_prompts
from votecast.data.reader import read_votes
from votecast.data.text_columns import AnswerPairs, Ints, by_appearance, characters, without_text
from votecast.metrics.intervals import wilson_interval
from votecast.types import CLASSES, Probabilities, swap_columns

Figures = dict[str, Any]

_QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
_LANGUAGE_ROWS = 10_000
_FIRST_PAIRS, _FIRST_IDS = 10, 20
_PROMPT_CHARACTERS = 200


@dataclass(frozen=True)
class Inspection:
    """What was found in a set of votes.

    Args:
        rows: Number of rows.
        labels: Rows with a vote, with a soft label, and the shares of the classes among them.
        turns: Rows by number of prompt turns, and rows whose answers have another number of turns.
        lengths: Quantiles of the number of characters of prompt, answers and rows.
        languages: Rows by language of the prompt, and how it was found.
        models: Battles, wins, ties and win rate (a tie counts half) of each model, most battles first.
        empty: Rows without visible text, by column.
        identical_answers: Rows whose two answers are the same text.
        duplicates: Exact and reversed repeats of a pair, pairs with several votes, pairs whose votes differ.
        prompts: Distinct prompts, clusters of near-duplicates and the largest of them.
        longer_wins: Among decided rows with answers of unequal length, how often the longer one won.
        position: Among decided rows, how often the first answer won.
        outcomes: Rows, votes and shares of the outcomes by language, by source and by number of turns.
        reading: What the reader found and repaired; None for battles that come from elsewhere.
    """

    rows: int
    labels: Figures
    turns: Figures
    lengths: Figures
    languages: Figures
    models: list[Figures]
    empty: dict[str, int]
    identical_answers: int
    duplicates: Figures
    prompts: Figures
    longer_wins: Figures
    position: Figures
    outcomes: Figures
    reading: Figures | None

    def to_dict(self) -> Figures:
        """Return everything as JSON-able values."""
        return asdict(self)


def inspect_votes(source: object, *, similarity: float = 0.8, seed: int = 0, **reader: Any) -> Inspection:
    """Inspect votes, with or without labels.

    Args:
        source: `Battles`, a frame or a list of battles, or the path of a file.
        similarity: Jaccard similarity from which two prompts count as near-duplicates.
        seed: Seed of MinHash, of a sample of the rows (`sample=0.1`, for a path), and of the sample whose languages are
            detected (above 10 000 rows).
        **reader: Options of `read_votes`, for a path.

    Raises:
        DataError: If the file cannot be read or the source is of another kind.

    Example:
        >>> row = {"prompt": "Why is the sky blue?", "response_a": "Rayleigh scattering.", "response_b": "Because."}
        >>> found = inspect_votes([row | {"winner": "a"}, row | {"winner": "b"}])
        >>> found.rows, found.duplicates["conflicting_pairs"], found.longer_wins["rate"]
        (2, 1, 0.5)
    """
    battles = read_votes(source, seed=seed, **reader) if isinstance(source, str | Path) else as_battles(source)
    pairs = AnswerPairs.of(battles)
    votes = battles.targets(required=False)  # (n, 3)
    has_languages = battles.column("language").null_count == 0 and len(battles) > 0
    sampled = battles
    if not has_languages and len(battles) > _LANGUAGE_ROWS:  # detection is slow
        drawn = np.random.default_rng(seed).choice(len(battles), _LANGUAGE_ROWS, replace=False)
        sampled = battles.take(np.sort(drawn))
    languages = group_values(sampled, "language")
    counts = sorted(Counter(languages).items(), key=lambda item: (-item[1], item[0]))
    a_wins, b_wins = votes[:, 0] > 0.5, votes[:, 1] > 0.5  # a soft label decides for a class with more than half of it
    longer = characters(battles, "response_a") - characters(battles, "response_b")
    longer_won = int((a_wins & (longer > 0)).sum() + (b_wins & (longer < 0)).sum())
    equal, unequal = (int(((a_wins | b_wins) & rows).sum()) for rows in (longer == 0, longer != 0))
    a, b = int(a_wins.sum()), int(b_wins.sum())
    return Inspection(
        rows=len(battles),
        labels=_label_figures(battles, votes),
        turns=_turn_figures(battles),
        lengths=_length_figures(battles),
        languages={
            "found_by": "column" if has_languages else "py3langid",
            "rows": len(languages),
            "counts": dict(counts),
        },
        models=_model_figures(battles, votes),
        empty={name: int(without_text(battles, name).sum()) for name in TEXT_COLUMNS},
        identical_answers=int(pairs.identical.sum()),
        duplicates=_duplicate_figures(battles, pairs),
        prompts=_prompt_figures(battles, similarity=similarity, seed=seed),
        longer_wins={"wins": longer_won, "equal_length": equal} | share(longer_won, unequal),
        position={"a": a, "b": b} | share(a, a + b),
        outcomes={"language": outcome_slices(sampled, languages)}
        | {by: outcome_slices(battles, group_values(battles, by)) for by in ("source", "turns")},
        reading=battles.report.to_dict() if battles.report is not None else None,
    )


def share(count: int, of: int) -> Figures:
    """Return a rate with its 95 % interval (Wilson, 1927); None where there is nothing to count."""
    if of == 0:
        return {"of": 0, "rate": None, "low": None, "high": None}
    rate = count / of
    low, high = wilson_interval(rate, of)
    return {"of": of, "rate": rate, "low": float(low), "high": float(high)}


def outcome_slices(battles: Battles, groups: Sequence[str]) -> Figures:
    """Count rows, votes and the shares of the outcomes in each group of rows, largest first."""
    encoded = pa.array(groups, pa.large_string()).dictionary_encode()
    names, group = encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.intp)
    rows = np.bincount(group, minlength=len(names))
    counts = np.bincount(group[battles.labelled], minlength=len(names))
    sums = [np.bincount(group, weights=column, minlength=len(names)) for column in battles.targets(required=False).T]
    return {
        names[i]: {"rows": int(rows[i]), "votes": int(counts[i])}
        | {name: float(total[i] / counts[i]) if counts[i] else None for name, total in zip(CLASSES, sums, strict=True)}
        for i in sorted(range(len(names)), key=lambda i: (-rows[i], names[i]))
    }


def conflicts(battles: Battles, pairs: AnswerPairs, *, first: int = _FIRST_PAIRS) -> list[Figures]:
    """Find the pairs on which the votes differ most, each as its first row shows it.

    Returns:
        For each of the `first` pairs its votes for `a`, `b` and `tie`, how many `rows` it has, the `ids` of the first
        of them, and the position of the very first, `row`.
    """
    rows, group, votes = _votes_by_pair(battles, pairs)
    disputed = _disputed(group, votes)
    counts = np.stack([np.bincount(group, column) for column in votes.T], axis=1)
    # The more votes the second class has, the less the votes agree.
    second = np.sort(counts[disputed], axis=1)[:, -2]  # (disputed,)
    largest = disputed[np.lexsort((disputed, -second))][:first].tolist()
    ids = battles.ids if largest else []
    members = {g: rows[group == g].tolist() for g in largest}
    return [
        dict(zip(CLASSES, counts[g].tolist(), strict=True))
        | {"rows": len(members[g]), "ids": [ids[row] for row in members[g][:_FIRST_IDS]], "row": members[g][0]}
        for g in largest
    ]


def _disputed(group: Ints, votes: Probabilities) -> Ints:
    kinds = np.unique(np.column_stack([group, votes]), axis=0)[:, 0].astype(np.int64)  # one entry a different vote
    return np.flatnonzero(np.bincount(kinds) > 1) if len(kinds) else kinds


def agreement(battles: Battles, pairs: AnswerPairs) -> Figures:
    """Compute how often two votes on one pair agree, which no judge can beat by much.

    Every two votes on a pair are compared; each pair counts as much as it has votes beyond the first. Soft labels are
    left out, for they are several votes already.

    Returns:
        `pairs` with several votes, `votes` on them, and the `rate`; None where no pair has two votes.
    """
    _, group, votes = _votes_by_pair(battles, pairs)
    single = votes.max(axis=1, initial=0) == 1
    counts = np.stack([np.bincount(group[single], weights=column) for column in votes[single].T], axis=1)  # (pairs, 3)
    size = counts.sum(axis=1)
    counts, size = counts[size > 1], size[size > 1]
    if not len(size):
        return {"pairs": 0, "votes": 0, "rate": None}
    # Of size (size - 1) ordered pairs of votes, count (count - 1) agree in each class.
    same = (counts * (counts - 1)).sum(axis=1) / (size * (size - 1))
    return {"pairs": len(size), "votes": int(size.sum()), "rate": float(np.average(same, weights=size - 1))}


def _votes_by_pair(battles: Battles, pairs: AnswerPairs) -> tuple[Ints, Ints, Probabilities]:
    """Return the rows with votes, their pair, and their votes in the order in which the pair was first shown."""
    rows = np.flatnonzero(battles.labelled)
    votes = battles.targets(required=False)[rows]
    swapped = pairs.reversed[rows]
    votes[swapped] = swap_columns(votes[swapped])
    return rows, pairs.numbers(ordered=False)[rows], votes


def _label_figures(battles: Battles, votes: Probabilities) -> Figures:
    labelled, counts = int(battles.labelled.sum()), votes.sum(axis=0)
    return {
        "labelled": labelled,
        "soft": len(battles) - battles.column("probabilities").null_count,
        "unlabelled": len(battles) - labelled,
        "counts": dict(zip(CLASSES, counts.tolist(), strict=True)),
        "shares": dict(zip(CLASSES, (counts / max(labelled, 1)).tolist(), strict=True)),
    }


def _turn_figures(battles: Battles) -> Figures:
    turns = [pc.list_value_length(battles.column(name)).to_numpy() for name in TEXT_COLUMNS]
    numbers, counts = np.unique(turns[0], return_counts=True)
    unequal = (turns[0] != turns[1]) | (turns[0] != turns[2])
    return {
        "histogram": {str(number): int(count) for number, count in zip(numbers, counts, strict=True)},
        "unequal": int(unequal.sum()),
    }


def _length_figures(battles: Battles) -> Figures:
    lengths = {name: characters(battles, name) for name in TEXT_COLUMNS}
    lengths["row"] = np.sum(list(lengths.values()), axis=0)
    if not len(battles):
        return {name: dict.fromkeys([*_QUANTILES, "mean"]) for name in lengths}
    return {
        name: dict(zip(_QUANTILES, np.quantile(values, list(_QUANTILES.values())).tolist(), strict=True))
        | {"mean": float(values.mean())}
        for name, values in lengths.items()
    }


def _model_figures(battles: Battles, votes: Probabilities) -> list[Figures]:
    """Count battles, votes, wins, ties and win rate (a tie counts half, a soft label by its parts) of each model."""
    sides = [battles.column(name).combine_chunks() for name in ("model_a", "model_b")]
    encoded = pa.concat_arrays(sides).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy()  # (2n,): first models, then second models
    names = encoded.dictionary.to_pylist()
    sums = []
    voted = battles.labelled.astype(np.float64)
    for first, second in ((np.ones(len(battles)),) * 2, (voted, voted), (votes[:, 0], votes[:, 1]), (votes[:, 2],) * 2):
        weights = np.concatenate([first, second])[codes >= 0]
        sums.append(np.bincount(codes[codes >= 0], weights=weights, minlength=len(names)).astype(np.float64))
    found = [
        {
            "model": name,
            "battles": int(played),
            "votes": int(votes_on),
            "wins": float(wins),
            "ties": float(ties),
            "win_rate": float((wins + ties / 2) / votes_on) if votes_on else None,
        }
        for name, played, votes_on, wins, ties in zip(names, *sums, strict=True)
    ]
    return sorted(found, key=lambda entry: (-entry["battles"], entry["model"]))


def _duplicate_figures(battles: Battles, pairs: AnswerPairs) -> Figures:
    """Count repeats of a pair (same prompt, same two answers), what the votes on it are and how far they agree."""
    ordered, either = pairs.numbers(ordered=True), pairs.numbers(ordered=False)
    distinct, distinct_ordered = int(either.max(initial=-1)) + 1, int(ordered.max(initial=-1)) + 1
    sizes = np.bincount(either, minlength=distinct)
    _, group, votes = _votes_by_pair(battles, pairs)
    return {
        "pairs": distinct,
        "exact": len(battles) - distinct_ordered,
        "reversed": int((pairs.reversed & ~pairs.identical).sum()),
        "repeated_pairs": int((sizes > 1).sum()),
        "conflicting_pairs": len(_disputed(group, votes)),
        "conflicts": conflicts(battles, pairs),
        "agreement": agreement(battles, pairs),
    }


def _prompt_figures(battles: Battles, *, similarity: float, seed: int) -> Figures:
    """Count distinct prompts after normalisation, clusters of similar ones, and the most frequent ones."""
    prompts = normalised_prompts(battles)
    rows = np.flatnonzero([bool(prompt) for prompt in prompts])
    clusters = prompt_clusters(battles, similarity=similarity, seed=seed, first_turn=False)
    cluster = by_appearance(clusters[rows])  # (m,): of the rows that have a prompt
    exact, first = np.unique(np.array(prompts, dtype=object)[rows], return_index=True)
    variants = np.bincount(cluster[first], minlength=int(cluster.max(initial=-1)) + 1)
    _, place, sizes = np.unique(cluster, return_index=True, return_counts=True)
    largest = sorted(np.flatnonzero(sizes > 1).tolist(), key=lambda c: (-sizes[c], place[c]))[:_FIRST_PAIRS]
    shown = battles.take(rows[place[largest]]) if largest else battles[:0]
    return {
        "distinct": len(exact),
        "clusters": len(variants),
        "near_duplicates": int(variants[variants > 1].sum()),
        "rows_in_near_duplicates": int((variants[cluster] > 1).sum()),
        "largest_cluster_rows": int(sizes.max(initial=0)),
        "similarity": similarity,
        "frequent": [
            {"rows": int(sizes[c]), "id": name, "prompt": text[:_PROMPT_CHARACTERS]}
            for c, name, text in zip(largest, shown.ids, shown.text("prompt"), strict=True)
        ],
    }
