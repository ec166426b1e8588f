"""Votes looked at before any judge is trained: everything an inspection finds, and what is drawn and read on a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.encoding import damaged_rows, encoding_figures
from votecast.data.inspection import Inspection, inspect_votes
from votecast.data.outcomes import length_histogram, length_outcomes, model_matrix
from votecast.data.pairs import Bools, Ints, Pairs, known_targets, without_text
from votecast.data.profile import Figures, characters

MODELS = 20
"""Models of the matrix: those with the most battles."""
_DRAWN = 3


@dataclass(frozen=True)
class Exploration:
    """What votes look like.

    Args:
        found: The inspection of the votes.
        encoding: Rows with damaged texts by kind and column, with the first ids.
        length_outcomes: How the longer answer fares by how many times longer it is.
        histogram: Prompts and answers by their number of characters.
        matrix: Votes and win rates between the models with the most battles.
        examples: Rows worth reading: why (`reason`), position (`row`) and `id`.
    """

    found: Inspection
    encoding: Figures
    length_outcomes: list[Figures]
    histogram: Figures
    matrix: Figures
    examples: list[Figures]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; the inspection's entries stand beside the further ones."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "found"}
        return asdict(self.found) | own


def explore(votes: Battles, *, seed: int = 0) -> Exploration:
    """Look at votes: models, outcomes, lengths, languages, encoding failures, duplicates, conflicts, examples.

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
    models = [entry["model"] for entry in found.models[:MODELS]]
    return Exploration(
        found=found,
        encoding=encoding_figures(votes),
        length_outcomes=length_outcomes(votes),
        histogram=length_histogram(votes),
        matrix=model_matrix(votes, models),
        examples=_examples(votes, found, seed),
    )


def _examples(votes: Battles, found: Inspection, seed: int) -> list[Figures]:
    """Rows worth reading, each once with all reasons for it."""
    reasons: dict[int, list[str]] = {}
    for reason, row in [*_ordinary(votes), *_extreme(votes), *_doubtful(votes, found), *_drawn(votes, seed)]:
        if row is not None:
            reasons.setdefault(row, []).append(reason)
    ids = votes.column("id")
    return [{"reason": "; ".join(why), "row": row, "id": ids[row].as_py()} for row, why in reasons.items()]


def _ordinary(votes: Battles) -> list[tuple[str, int | None]]:
    targets, sizes = known_targets(votes), _sizes(votes)
    out = []
    for place, name in enumerate(("a vote for a", "a vote for b", "a tie")):
        rows = np.flatnonzero(targets[:, place] > 0.5)
        middle = np.abs(sizes[rows] - np.median(sizes[rows])) if len(rows) else None
        out.append((f"{name} of ordinary length", None if middle is None else int(rows[middle.argmin()])))
    return out


def _extreme(votes: Battles) -> list[tuple[str, int | None]]:
    if not len(votes):
        return []
    first, second = characters(votes, "response_a"), characters(votes, "response_b")
    targets = known_targets(votes)
    lost = ((targets[:, 0] > 0.5) & (first < second)) | ((targets[:, 1] > 0.5) & (second < first))
    lost &= np.minimum(first, second) > 0
    ratio = np.where(lost, np.maximum(first, second) / np.maximum(1, np.minimum(first, second)), 0.0)
    shorter = ("the much shorter answer won", int(ratio.argmax()) if lost.any() else None)
    return [shorter, ("the most text", int(_sizes(votes).argmax()))]


def _doubtful(votes: Battles, found: Inspection) -> list[tuple[str, int | None]]:
    targets = known_targets(votes)
    conflicts = found.duplicates["conflicts"]
    a_kept_up = without_text(votes, "response_a") & (targets[:, [0, 2]].max(axis=1, initial=0) > 0.5)
    b_kept_up = without_text(votes, "response_b") & (targets[:, 1:].max(axis=1, initial=0) > 0.5)
    return [
        ("the votes on this pair differ", conflicts[0]["row"] if conflicts else None),
        ("two identical answers, and yet one of them won", _first_identical(votes, targets[:, 2] < 0.5)),
        ("an answer without text, and yet it did not lose", _first(a_kept_up | b_kept_up)),
        ("a text that was damaged on its way", _first(damaged_rows(votes))),
    ]


def _first_identical(votes: Battles, rows: Bools) -> int | None:
    """The first of these voted rows whose two answers are the same text."""
    alike = characters(votes, "response_a") == characters(votes, "response_b")
    suspects = np.flatnonzero(rows & votes.labelled & alike & ~without_text(votes, "response_a"))
    same = _first(Pairs.of(votes.take(suspects)).identical)
    return None if same is None else int(suspects[same])


def _drawn(votes: Battles, seed: int) -> list[tuple[str, int | None]]:
    drawn = np.random.default_rng(seed).choice(len(votes), min(_DRAWN, len(votes)), replace=False)
    return [("drawn by chance", int(row)) for row in np.sort(drawn)]


def _first(rows: Bools) -> int | None:
    return int(rows.argmax()) if rows.any() else None


def _sizes(votes: Battles) -> Ints:
    out: Ints = np.sum([characters(votes, name) for name in TEXT_COLUMNS], axis=0)
    return out
