"""Explore votes before any judge is trained: the inspection, and what the page of votes plots and shows.

`votecast inspect --json` and `votecast report --votes` call `explore`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.inspection import Figures, Inspection, inspect_votes, share
from votecast.data.text_columns import AnswerPairs, Bools, Ints, characters, turns_of, without_text

MODELS = 20
"""Models of the matrix: those with the most battles."""

LONGER = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
"""Where the bins of how many times longer the longer answer is begin."""

KINDS = {
    "character that could not be encoded (U+FFFD)": r"\x{FFFD}",
    "control character": r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]",
    "order to turn the direction of writing": r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]",
    "UTF-8 read as another encoding": r"Ã[\x{80}-\x{BF}]|Â[\x{A0}-\x{BF}]|â€[\x{80}-\x{BF}\x{201C}\x{201D}\x{2122}œ˜]",
}
"""Kinds of damage in texts, and the regular expression (RE2) that finds each."""

MISSING_TURN = "turn without a text (null)"
_FIRST_IDS = 5
_DRAWN = 3

Damage = Mapping[str, Mapping[str, Bools]]
"""For every kind and text column, the rows in which it occurs, shape (n,)."""


@dataclass(frozen=True)
class Exploration:
    """What votes look like."""

    found: Inspection
    encoding: Figures  # of `encoding_figures`
    length_outcomes: list[Figures]  # of the function of this name
    histogram: Figures  # of `length_histogram`
    matrix: Figures  # of `model_matrix`, for the models with the most battles
    examples: list[Figures]  # rows worth reading: why (`reason`), position (`row`) and `id`

    def to_dict(self) -> Figures:
        """Return everything as JSON-able values; the inspection's entries stand beside the further ones."""
        return asdict(self.found) | {name: value for name, value in vars(self).items() if name != "found"}


def explore(votes: Battles, *, seed: int = 0) -> Exploration:
    """Explore votes: models, outcomes, lengths, languages, encoding failures, duplicates, conflicts, examples.

    Args:
        votes: The rows, with or without votes.
        seed: Seed of MinHash, of the sample whose languages are detected, and of the examples drawn by chance.

    Example:
        >>> row = {"prompt": "Why is the sky blue?", "response_a": "Rayleigh scattering.", "response_b": "Because."}
        >>> found = explore(Battles.from_rows([row | {"id": "7", "winner": "a"}]))
        >>> found.examples
        [{'reason': 'a vote for a of ordinary length; the most text; drawn by chance', 'row': 0, 'id': '7'}]
    """
    found = inspect_votes(votes, seed=seed)
    damage = find_damage(votes)
    return Exploration(
        found=found,
        encoding=encoding_figures(votes, damage),
        length_outcomes=length_outcomes(votes),
        histogram=length_histogram(votes),
        matrix=model_matrix(votes, [entry["model"] for entry in found.models[:MODELS]]),
        examples=_pick_examples(votes, found, _damaged_rows(damage), seed),
    )


def encoding_figures(battles: Battles, damage: Damage | None = None) -> Figures:
    r"""Count rows with damaged texts, by kind and column, with the ids of the first of them.

    Args:
        battles: The rows.
        damage: What `find_damage` returned for them, where it is known.

    Returns:
        `rows`, how many have damage of any kind, and `kinds`: for each kind that occurs, its rows, its rows by column
        and the first ids.
    """
    damage = find_damage(battles) if damage is None else damage
    kinds = []
    for kind, masks in damage.items():
        rows = np.any(list(masks.values()), axis=0)
        if rows.any():
            counts = {name: int(mask.sum()) for name, mask in masks.items()}
            first = battles.column("id").take(pa.array(np.flatnonzero(rows)[:_FIRST_IDS])).to_pylist()
            kinds.append({"kind": kind, "rows": int(rows.sum())} | counts | {"ids": first})
    return {"rows": int(_damaged_rows(damage).sum()), "kinds": kinds}


def find_damage(battles: Battles) -> Damage:
    """Find damaged texts."""
    damage: dict[str, dict[str, Bools]] = {kind: {} for kind in (*KINDS, MISSING_TURN)}
    for name in TEXT_COLUMNS:
        parts = {kind: [np.zeros(0, dtype=bool)] for kind in damage}
        for chunk in battles.column(name).chunks:
            bounds, turns = turns_of(chunk)
            # One pass with all patterns, then one pass a kind over the few turns that match any.
            suspects = np.flatnonzero(_matches(turns, "|".join(KINDS.values())))
            hits = {kind: np.zeros(len(turns), dtype=bool) for kind in KINDS}
            for kind, pattern in KINDS.items():
                hits[kind][suspects[_matches(turns.take(pa.array(suspects)), pattern)]] = True
            raw = chunk.values.slice(chunk.offsets[0].as_py(), len(turns))
            hits[MISSING_TURN] = raw.is_null().to_numpy(zero_copy_only=False)
            for kind, hit in hits.items():
                total = np.concatenate([[0], np.cumsum(hit)])
                parts[kind].append(total[bounds[1:]] > total[bounds[:-1]])
        for kind, masks in parts.items():
            damage[kind][name] = np.concatenate(masks)
    return damage


def _damaged_rows(damage: Damage) -> Bools:
    return np.asarray(np.any([mask for kind in KINDS for mask in damage[kind].values()], axis=0), dtype=bool)


def _matches(turns: pa.Array, pattern: str) -> Bools:
    return np.asarray(pc.match_substring_regex(turns, pattern).to_numpy(zero_copy_only=False), dtype=bool)


def length_outcomes(battles: Battles) -> list[Figures]:
    """Count wins of the longer answer by how many times longer it is: its share of decided votes, and the ties."""
    first, second = characters(battles, "response_a"), characters(battles, "response_b")
    voted = battles.labelled & (first != second)
    ratio = np.maximum(first, second) / np.maximum(1, np.minimum(first, second))
    votes = battles.targets(required=False)
    won = np.where(first > second, votes[:, 0], votes[:, 1]) > 0.5
    lost = np.where(first > second, votes[:, 1], votes[:, 0]) > 0.5
    out = []
    for low, high in itertools.pairwise((1.0, *LONGER, np.inf)):
        rows = voted & (ratio >= low) & (ratio < high)
        wins, decided = int((rows & won).sum()), int((rows & (won | lost)).sum())
        ties = float(votes[rows, 2].mean()) if rows.any() else None
        bounds = {"from": low, "to": None if np.isinf(high) else high}
        out.append(bounds | {"rows": int(rows.sum()), "ties": ties} | share(wins, decided))
    return out


def length_histogram(battles: Battles, *, per_decade: int = 4) -> Figures:
    """Count texts by their number of characters, in bins that grow by the same factor.

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
    return {
        "from": starts,
        "prompt": np.histogram(prompts, edges)[0].tolist(),
        "answer": np.histogram(answers, edges)[0].tolist(),
    }


def model_matrix(battles: Battles, models: Sequence[str]) -> Figures:
    """Count votes between each two models, and how often the first of them won (a tie counts half).

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
    one, two, votes = one[rows], two[rows], battles.targets(required=False)[rows]
    # Row i, column j: model i against model j. `np.add.at` counts repeated places, plain indexing would not.
    wins, played = np.zeros((2, len(models), len(models)))
    np.add.at(wins, (one, two), votes[:, 0] + votes[:, 2] / 2)
    np.add.at(wins, (two, one), votes[:, 1] + votes[:, 2] / 2)
    np.add.at(played, (one, two), 1)
    np.add.at(played, (two, one), 1)
    np.fill_diagonal(played, 0)  # a model against itself says nothing
    rates = [
        [float(won / count) if count else None for won, count in zip(*row, strict=True)]
        for row in zip(wins, played, strict=True)
    ]
    return {"models": list(models), "votes": played.astype(int).tolist(), "win_rates": rates}


def _pick_examples(votes: Battles, found: Inspection, damaged: Bools, seed: int) -> list[Figures]:
    """Pick rows worth reading, each once with all reasons for it."""
    if not len(votes):
        return []
    targets = votes.targets(required=False)
    first, second = characters(votes, "response_a"), characters(votes, "response_b")
    sizes = characters(votes, "prompt") + first + second
    reasons: dict[int, list[str]] = {}

    def _add(reason: str, rows: Bools, key: NDArray[np.float64] | Ints | None = None) -> None:
        """Add the first of these rows, or the one with the largest key."""
        if rows.any():
            row = int(rows.argmax() if key is None else np.where(rows, key, -np.inf).argmax())
            reasons.setdefault(row, []).append(reason)

    for place, name in enumerate(("a vote for a", "a vote for b", "a tie")):
        rows = targets[:, place] > 0.5
        middle = np.median(sizes[rows]) if rows.any() else 0.0
        _add(f"{name} of ordinary length", rows, -np.abs(sizes - middle))
    lost = ((targets[:, 0] > 0.5) & (first < second)) | ((targets[:, 1] > 0.5) & (second < first))
    ratio = np.maximum(first, second) / np.maximum(1, np.minimum(first, second))
    _add("the much shorter answer won", lost & (np.minimum(first, second) > 0), ratio)
    _add("the most text", np.ones(len(votes), dtype=bool), sizes)
    if conflicts := found.duplicates["conflicts"]:
        reasons.setdefault(conflicts[0]["row"], []).append("the votes on this pair differ")
    blank_a, blank_b = without_text(votes, "response_a"), without_text(votes, "response_b")
    identical = (targets[:, 2] < 0.5) & votes.labelled & (first == second) & ~blank_a
    suspects = np.flatnonzero(identical)  # few rows: only their texts are compared
    identical[suspects] = AnswerPairs.of(votes.take(suspects)).identical
    _add("two identical answers, and yet one of them won", identical)
    undefeated = (blank_a & (targets[:, [0, 2]].max(axis=1) > 0.5)) | (blank_b & (targets[:, 1:].max(axis=1) > 0.5))
    _add("an answer without text, and yet it did not lose", undefeated)
    _add("a text that was damaged on its way", damaged)
    drawn = np.random.default_rng(seed).choice(len(votes), min(_DRAWN, len(votes)), replace=False)
    for row in np.sort(drawn).tolist():
        reasons.setdefault(row, []).append("drawn by chance")
    ids = votes.column("id")
    return [{"reason": "; ".join(why), "row": row, "id": ids[row].as_py()} for row, why in reasons.items()]
