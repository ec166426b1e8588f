"""From battles to the rows of a leaderboard: which models met, which rows share a prompt, votes against both, style.

Called by `votecast.leaderboard.rank_votes`, which turns the rows into `Games`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.formats.plain import Names
from votecast.data.labels import BOTH_BAD
from votecast.data.prompts import normalise_prompt, normalised_prompts
from votecast.data.row_checks import ReadReport
from votecast.data.text_columns import by_appearance, has_texts
from votecast.errors import DataError
from votecast.features.arena_style import STYLING, styling_gap
from votecast.leaderboard.connectivity import join_names
from votecast.metrics.intervals import wilson_interval
from votecast.types import Bools, Floats, Ints, Probabilities

MANY_ROWS: Final = 100_000
"""From this many rows on, "auto" does not look for near-identical prompts, which takes minutes."""

LEAST_DIFFERING: Final = 30
"""Rows that must differ in a feature of style for its effect to be fitted."""


@dataclass(frozen=True)
class BattleRows:
    """Battles whose models are known, with the two models of every row as numbers."""

    battles: Battles
    # sorted names
    models: tuple[str, ...]
    # the models that wrote responses a and b, (n,)
    a: Ints
    b: Ints
    # what was left out
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.a)

    @cached_property
    def style(self) -> Floats:
        """Differences in style, a against b, one column for each feature of `STYLING`, shape (n, k)."""
        return styling_gap(self.battles)

    def where(self, rows: Bools, *notes: str) -> BattleRows:
        """Return some of the rows; the models keep their numbers."""
        if rows.all():
            return replace(self, notes=(*self.notes, *notes))
        battles = self.battles.take(np.flatnonzero(rows))
        return replace(self, battles=battles, a=self.a[rows], b=self.b[rows], notes=(*self.notes, *notes))

    def among(self, models: Sequence[str], *notes: str) -> BattleRows:
        """Return the rows between two of these models, numbered by their place among them."""
        place = {name: number for number, name in enumerate(models)}
        numbers = np.array([place.get(name, -1) for name in self.models], dtype=np.int64)
        kept = self.where((numbers[self.a] >= 0) & (numbers[self.b] >= 0), *notes)
        return replace(kept, models=tuple(models), a=numbers[kept.a], b=numbers[kept.b])


def name_models(battles: Battles, what: str) -> BattleRows:
    """Return the rows that name two different models; messages call them `what`.

    Raises:
        DataError: If no row does.

    Example:
        >>> row = {"prompt": "p", "response_a": "x", "response_b": "y"}
        >>> found = name_models(Battles.from_rows([row, row | {"model_a": "new", "model_b": "old"}]), "votes")
        >>> found.models, found.notes
        (('new', 'old'), ('1 of 2 votes name no model and are left out',))
    """
    sides = [battles.column(name).combine_chunks() for name in ("model_a", "model_b")]
    known = pc.and_(pc.is_valid(sides[0]), pc.is_valid(sides[1])).to_numpy(zero_copy_only=False)
    if not known.any():
        raise DataError(f"none of the {len(battles)} {what} names its models{_why_no_models(battles.report)}")
    encoded = pa.concat_arrays([side.filter(pa.array(known)) for side in sides]).dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names)
    codes = np.argsort(order)[encoded.indices.to_numpy()]  # numbers by sorted name, (2 n,)
    rows = battles if known.all() else battles.take(np.flatnonzero(known))
    a, b = codes[: len(rows)], codes[len(rows) :]
    lost, itself = int((~known).sum()), a == b
    notes = [f"{lost:,} of {len(battles):,} {what} name no model and are left out"] * bool(lost)
    notes += [f"{int(itself.sum()):,} {what} of a model against itself are left out"] * bool(itself.any())
    found = BattleRows(rows, tuple(names[order].tolist()), a, b).where(~itself, *notes)
    present = np.unique(np.concatenate([found.a, found.b]))
    if len(present) < 2:
        raise DataError(
            f"all {len(battles)} {what} are of {', '.join(map(repr, found.models)) or 'no model'} alone; a leaderboard "
            "needs at least two models"
        )
    return found.among([found.models[i] for i in present])


def _why_no_models(report: ReadReport | None) -> str:
    why = (
        "; a leaderboard needs the columns model_a and model_b (chosen_model and rejected_model in files of pairs): "
        "add them, or fill them where they are empty"
    )
    if report is not None and report.format == Names.name:
        why = ": in each the cell of model_a or of model_b is empty; fill them"
    if report is not None and report.quarantined:
        why += f" ({report.quarantined:,} other rows were quarantined as unreadable, in {report.quarantine})"
    return why


def drop_rare_models(rows: BattleRows, least: int) -> BattleRows:
    """Drop models with few battles, and their rows.

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
    note = f"{len(few)} models with fewer than {least} battles, and their votes, are left out: {join_names(few)}"
    return rows.among(kept, note) if few else rows


def clusters_of(battles: Battles, how: str, seed: int) -> tuple[Ints, str]:
    """Return which rows share a prompt, and a note on how that was found.

    Identical prompts are the same up to case, spacing and punctuation; "auto" looks for near ones below `MANY_ROWS`.
    """
    if not has_texts(battles):
        return np.arange(len(battles)), "the rows have no prompts: every row counts by itself"
    if not any(normalised_prompts(battles)):
        note = "no row has a prompt: rows with the same two answers count as one unit"
        return prompt_clusters(battles, seed=seed), note
    if how == "near" or (how == "auto" and len(battles) < MANY_ROWS):
        return prompt_clusters(battles, seed=seed), "rows whose prompts are the same or nearly so count as one unit"
    auto = f" (for {MANY_ROWS:,} rows or more; --clusters near looks for similar ones, too)" * (how == "auto")
    return _identical_prompts(battles), f"rows with the same prompt count as one unit{auto}"


def is_both_bad(battles: Battles) -> Bools:
    """Return which rows are votes against both responses, shape (n,)."""
    if BOTH_BAD not in battles.table.column_names:
        return np.zeros(len(battles), dtype=bool)
    return np.asarray(battles.column(BOTH_BAD).to_numpy(), dtype=bool)


def _identical_prompts(battles: Battles) -> Ints:
    """Number the normalised prompts; a row without one stays by itself."""
    encoded = pa.array(battles.text("prompt", "\n"), pa.large_string()).dictionary_encode()
    distinct = [normalise_prompt(text) for text in encoded.dictionary.to_pylist()]
    place = {text: number for number, text in enumerate(dict.fromkeys(distinct))}
    numbers = np.array([place[text] for text in distinct], dtype=np.int64)[encoded.indices.to_numpy()]
    empty = np.flatnonzero(np.array([not text for text in distinct], dtype=bool)[encoded.indices.to_numpy()])
    numbers[empty] = len(place) + np.arange(len(empty))
    return by_appearance(numbers)


class BothBad(NamedTuple):
    """Votes against both responses, model by model, shape (m,) each: weight, share of all votes, 95 % interval."""

    votes: Floats
    share: Floats
    low: Floats
    high: Floats


def both_bad_shares(models: int, a: Ints, b: Ints, bad: Bools, weights: Floats, clusters: Ints) -> BothBad:
    """Return shares of votes against both, with Wilson's interval, from arrays of shape (n,).

    Example:
        >>> two = np.array([0, 0]), np.array([1, 2])
        >>> shares = both_bad_shares(3, *two, np.array([True, False]), np.ones(2), np.arange(2))
        >>> shares.share.tolist(), shares.votes.tolist()
        ([0.5, 1.0, 0.0], [1.0, 1.0, 0.0])
    """
    # every vote counts for both models of its row: arrays of 2n
    side = np.concatenate([a, b])
    weight, flag, cluster = (np.tile(values, 2) for values in (weights, bad.astype(np.float64), clusters))
    total = np.bincount(side, weight, models)
    votes: Floats = np.bincount(side, weight * flag, models).astype(np.float64)
    share: Floats = np.divide(votes, total, out=np.full(models, np.nan), where=total > 0)
    # variance of each share from the sums of its clusters, times G / (G - 1)
    size = int(clusters.max(initial=0)) + 1
    keys, unit = np.unique(side * size + cluster, return_inverse=True)
    owner = keys // size
    units = np.bincount(owner, minlength=models).astype(np.float64)
    off = np.bincount(unit.reshape(-1), weight * (flag - share[side]))
    scaled = np.divide(units, units - 1, out=np.ones(models), where=units > 1)
    spread = scaled * np.bincount(owner, off**2, models) / np.maximum(total, 1e-300) ** 2
    # the number of independent votes whose share would scatter as much (Kish 1965, effective size)
    sure = np.divide(share * (1 - share), spread, out=units.copy(), where=spread > 0)
    low, high = wilson_interval(share, np.minimum(sure, np.maximum(total, 1e-300)))
    return BothBad(votes, share, low, high)


def choose_style(rows: BattleRows) -> tuple[str, ...]:
    """Return the features of `STYLING` in which enough rows differ.

    Raises:
        DataError: If the rows have no texts, or too few responses differ in any feature.
    """
    if not has_texts(rows.battles):
        raise DataError("the rows have no texts, and style is read from them; leave out --style-control")
    targets = rows.battles.targets() if rows.battles.labelled.all() else None
    used = tuple(name for name, gap in zip(STYLING, rows.style.T, strict=True) if _has_effect(gap, targets))
    if not used:
        raise DataError(
            f"no feature of style differs in {LEAST_DIFFERING} rows with votes both for more and for less of it; "
            "leave out --style-control"
        )
    return used


def _has_effect(gap: Floats, targets: Probabilities | None) -> bool:
    """Return whether enough rows differ, with votes both ways: an effect would otherwise be infinite."""
    differ = np.flatnonzero(gap)
    if len(differ) < LEAST_DIFFERING or targets is None:
        return len(differ) >= LEAST_DIFFERING
    more = np.where(gap[differ] > 0, targets[differ, 0], targets[differ, 1]) + targets[differ, 2] / 2
    return bool(0 < more.sum() < len(differ))
