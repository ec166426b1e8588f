"""What is in a set of votes, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.frames import as_battles
from votecast.data.groups import group_values
from votecast.data.outcomes import outcome_slices
from votecast.data.pairs import Pairs, without_text
from votecast.data.profile import (
    Figures,
    duplicate_figures,
    label_figures,
    length_figures,
    longer_wins,
    model_figures,
    position_skew,
    prompt_figures,
    turn_figures,
)
from votecast.data.reading import read_votes

_LANGUAGE_ROWS = 10_000


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

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)


def inspect_votes(source: Any, *, similarity: float = 0.8, seed: int = 0, **reader: Any) -> Inspection:
    """Look at votes, with or without labels.

    Args:
        source: `Battles`, a frame or a list of battles, or the path of a file.
        similarity: Jaccard similarity from which two prompts count as near-duplicates.
        seed: Seed of MinHash, of a sample of the rows (`sample=0.1`, for a path), and of the sample whose languages are
            detected (above 10 000 rows).
        **reader: Options of `read_votes`, for a path.

    Returns:
        What was found.

    Raises:
        DataError: If the file cannot be read or the source is of another kind.

    Example:
        >>> row = {"prompt": "Why is the sky blue?", "response_a": "Rayleigh scattering.", "response_b": "Because."}
        >>> found = inspect_votes([row | {"winner": "a"}, row | {"winner": "b"}])
        >>> found.rows, found.duplicates["conflicting_pairs"], found.longer_wins["rate"]
        (2, 1, 0.5)
    """
    battles = read_votes(source, seed=seed, **reader) if isinstance(source, str | Path) else as_battles(source)
    pairs = Pairs.of(battles)
    read, names = _languages(battles, seed)
    return Inspection(
        rows=len(battles),
        labels=label_figures(battles),
        turns=turn_figures(battles),
        lengths=length_figures(battles),
        languages=_language_figures(battles, names),
        models=model_figures(battles),
        empty={name: int(without_text(battles, name).sum()) for name in TEXT_COLUMNS},
        identical_answers=int(pairs.identical.sum()),
        duplicates=duplicate_figures(battles, pairs),
        prompts=prompt_figures(battles, similarity=similarity, seed=seed),
        longer_wins=longer_wins(battles),
        position=position_skew(battles),
        outcomes={"language": outcome_slices(read, names)}
        | {by: outcome_slices(battles, group_values(battles, by)) for by in ("source", "turns")},
        reading=battles.report.to_dict() if battles.report is not None else None,
    )


def _languages(battles: Battles, seed: int) -> tuple[Battles, list[str]]:
    """All rows with their languages, or a sample where many would have to be detected."""
    if not _languages_given(battles) and len(battles) > _LANGUAGE_ROWS:
        drawn = np.random.default_rng(seed).choice(len(battles), _LANGUAGE_ROWS, replace=False)
        battles = battles.take(np.sort(drawn))
    return battles, group_values(battles, "language")


def _language_figures(battles: Battles, languages: list[str]) -> Figures:
    counts = Counter(languages)
    return {
        "found_by": "column" if _languages_given(battles) else "py3langid",
        "rows": len(languages),
        "counts": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    }


def _languages_given(battles: Battles) -> bool:
    return battles.column("language").null_count == 0 and len(battles) > 0
