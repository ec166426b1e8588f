"""From battles to games: which rows count, between whom, and which of them share a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.answer_pairs import by_appearance
from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.formats.textless import Names
from votecast.data.labels import BOTH_BAD
from votecast.data.prompts import normalise_prompt
from votecast.errors import ConfigError, DataError
from votecast.leaderboard.connectivity import names_of

CLUSTERS: Final = ("auto", "near", "identical")
MANY_ROWS: Final = 100_000
"""From this many rows on, "auto" no longer looks for prompts that are nearly the same, which takes minutes."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Named:
    """Battles whose models are known, with the two models of every row as numbers.

    Args:
        battles: n rows.
        models: Names of the models, sorted.
        a: The model that wrote the first answer, shape (n,).
        b: The model that wrote the second answer, shape (n,).
        notes: What was left out.
    """

    battles: Battles
    models: tuple[str, ...]
    a: Ints
    b: Ints
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.a)

    def where(self, rows: Bools, *notes: str) -> Named:
        """These rows alone; the models stay numbered as they are."""
        kept = (
            self
            if rows.all()
            else replace(self, battles=self.battles.take(np.flatnonzero(rows)), a=self.a[rows], b=self.b[rows])
        )
        return replace(kept, notes=(*self.notes, *notes))

    def among(self, models: Sequence[str], *notes: str) -> Named:
        """The rows between two of these models, numbered by their place among them."""
        place = {name: number for number, name in enumerate(models)}
        numbers = np.array([place.get(name, -1) for name in self.models], dtype=np.int64)
        kept = self.where((numbers[self.a] >= 0) & (numbers[self.b] >= 0), *notes)
        return replace(kept, models=tuple(models), a=numbers[kept.a], b=numbers[kept.b])


def named(battles: Battles, what: str) -> Named:
    """The rows that name two different models.

    Args:
        battles: The rows.
        what: What they are, for messages.

    Raises:
        DataError: If no row does.

    Example:
        >>> row = {"prompt": "p", "response_a": "x", "response_b": "y"}
        >>> found = named(Battles.from_rows([row, row | {"model_a": "new", "model_b": "old"}]), "votes")
        >>> found.models, found.notes
        (('new', 'old'), ('1 of 2 votes name no model and are left out',))
    """
    sides = [battles.column(name).combine_chunks() for name in ("model_a", "model_b")]
    known = pc.and_(pc.is_valid(sides[0]), pc.is_valid(sides[1])).to_numpy(zero_copy_only=False)
    if not known.any():
        raise DataError(f"none of the {len(battles)} {what} names its models{_nameless(battles)}")
    encoded = pa.concat_arrays([side.filter(pa.array(known)) for side in sides]).dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    number = np.empty(len(names), dtype=np.int64)
    number[order] = np.arange(len(names))
    codes = number[encoded.indices.to_numpy()]
    rows = battles if known.all() else battles.take(np.flatnonzero(known))
    a, b = codes[: len(rows)], codes[len(rows) :]
    lost, itself = int((~known).sum()), a == b
    notes = [f"{lost:,} of {len(battles):,} {what} name no model and are left out"] * bool(lost)
    notes += [f"{int(itself.sum()):,} {what} of a model against itself are left out"] * bool(itself.any())
    found = Named(rows, tuple(names[i] for i in order), a, b).where(~itself, *notes)
    present = np.unique(np.concatenate([found.a, found.b]))
    if len(present) < 2:
        raise DataError(
            f"all {len(battles)} {what} are of {', '.join(map(repr, found.models)) or 'no model'} alone; a leaderboard "
            "needs at least two models"
        )
    return found.among([found.models[i] for i in present])


def _nameless(battles: Battles) -> str:
    """Why no row names both models, as far as is known, and what to do."""
    report = battles.report
    if report is None or report.format != Names.name:
        why = (
            "; a leaderboard needs the columns model_a and model_b (chosen_model and rejected_model in files of "
            "pairs): add them, or fill them where they are empty"
        )
    else:
        why = ": in each the cell of model_a or of model_b is empty; fill them"
    if report is None or not report.quarantined:
        return why
    return f"{why} ({report.quarantined:,} other rows were set aside as unreadable, in {report.quarantine})"


def with_battles(rows: Named, least: int) -> Named:
    """The rows between models that take part in at least so many of all rows.

    Raises:
        DataError: If fewer than two models do.
    """
    counts = np.bincount(np.concatenate([rows.a, rows.b]), minlength=len(rows.models))
    few = [name for name, count in zip(rows.models, counts.tolist(), strict=True) if count < least]
    kept = [name for name in rows.models if name not in set(few)]
    if len(kept) < 2:
        raise DataError(
            f"{len(kept)} of {len(rows.models)} models have {least} battles; the most that one has is "
            f"{int(counts.max())}: lower --min-battles (min_battles)"
        )
    told = f"{len(few)} models with fewer than {least} battles, and their votes, are left out: {names_of(few)}"
    return rows.among(kept, told) if few else rows


def clusters_of(battles: Battles, how: str, seed: int) -> tuple[Ints, str]:
    """Which rows share a prompt, and a remark on how that was found.

    Args:
        battles: The rows.
        how: "near" joins prompts that are nearly the same, "identical" those that are the same once case, spacing and
            punctuation are ignored; "auto" is near below `MANY_ROWS`.
        seed: Seed of the search.

    Raises:
        ConfigError: If `how` is none of these.
    """
    if how not in CLUSTERS:
        raise ConfigError(f"clusters is {how!r}; allowed are {', '.join(CLUSTERS)}")
    if not has_texts(battles):
        return np.arange(len(battles)), "the rows have no prompts: every row counts by itself"
    if how == "near" or (how == "auto" and len(battles) < MANY_ROWS):
        return prompt_clusters(battles, seed=seed), "rows whose prompts are the same or nearly so count as one unit"
    told = f" (for {MANY_ROWS:,} rows or more; --clusters near looks for similar ones, too)" * (how == "auto")
    return _identical(battles), f"rows with the same prompt count as one unit{told}"


def has_texts(battles: Battles) -> bool:
    """Whether any row has a text."""
    return any(pc.sum(pc.list_value_length(battles.column(name))).as_py() for name in TEXT_COLUMNS)


def both_bad_of(battles: Battles) -> Bools:
    """Which rows are votes against both answers, shape (n,)."""
    if BOTH_BAD not in battles.table.column_names:
        return np.zeros(len(battles), dtype=bool)
    return np.asarray(battles.column(BOTH_BAD).to_numpy(), dtype=bool)


def _identical(battles: Battles) -> Ints:
    """A number for each normalised prompt; a row without one stays by itself."""
    encoded = pa.array(battles.text("prompt", "\n"), pa.large_string()).dictionary_encode()
    distinct = [normalise_prompt(text) for text in encoded.dictionary.to_pylist()]
    place = {text: number for number, text in enumerate(dict.fromkeys(distinct))}
    numbers = np.array([place[text] for text in distinct], dtype=np.int64)[encoded.indices.to_numpy()]
    empty = np.flatnonzero(np.array([not text for text in distinct], dtype=bool)[encoded.indices.to_numpy()])
    numbers[empty] = len(place) + np.arange(len(empty))
    return by_appearance(numbers)
