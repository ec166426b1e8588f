"""Parts of the rows, and which of them the judge serves worse than the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.groups import UNKNOWN, group_values
from votecast.data.text_columns import characters
from votecast.metrics.result import Figure
from votecast.metrics.rows import Floats, log_losses
from votecast.reports.audit.categories import categories
from votecast.reports.audit.correction import Finding
from votecast.reports.audit.form import Form
from votecast.reports.audit.rows import Rows
from votecast.types import Probabilities

MOST: Final = 20
"""Values of a kind; beyond them the rarest are put together."""

RARE: Final = 10
"""Languages, sources and categories of fewer rows say nothing alone; they are put together, too."""

OTHER: Final = "other"
LANGUAGE_ROWS: Final = 5_000
"""Prompts whose language is looked for, where no column says it; the others are in no slice by language."""

Masks = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Part:
    """The figures of some of the rows.

    Args:
        kind: What the rows were divided by.
        name: Which of them these are.
        rows: How many.
        prompts: From how many prompts.
        log_loss: Log loss.
        accuracy: Share of votes that the decision meets.
        harder: Log loss minus that of the rest. Above 0 where votes are harder to foresee, or foreseen worse.
        excess: Log loss minus what the forecasts themselves expect: above 0 overconfident, below 0 underconfident.
        tie_gap: Forecast minus voted share of ties.
        gain: Log loss of the class prior minus that of the judge: below 0 the judge does harm,
            which is what the test is for.
    """

    kind: str
    name: str
    rows: int
    prompts: int
    log_loss: Figure
    accuracy: Figure
    harder: Finding
    excess: Finding
    tie_gap: Finding
    gain: Finding


def slices(rows: Rows, form: Form | None, prior: Probabilities, seed: int) -> tuple[Part, ...]:
    """Measure the judge on parts of the rows; a kind that does not divide them is left out.

    Args:
        rows: Votes and forecasts.
        form: The form of the answers; None without texts.
        prior: Forecasts of the class prior, shape (n, 3).
        seed: Seed of the sample whose languages are looked for.
    """
    gains = log_losses(rows.targets, prior) - rows.losses
    found = []
    for kind, masks in _kinds(rows, form, seed).items():
        if len(masks) > 1:
            found += [_part(rows, kind, name, mask, gains) for name, mask in masks.items()]
    return tuple(found)


def _part(rows: Rows, kind: str, name: str, mask: NDArray[np.bool_], gains: Floats) -> Part:
    sums = rows.sums
    return Part(
        kind=kind,
        name=name,
        rows=int(mask.sum()),
        prompts=sums.prompts(mask),
        log_loss=sums.mean(rows.losses, mask),
        accuracy=sums.mean(rows.hits, mask),
        harder=sums.against_rest(rows.losses, mask),
        excess=sums.tested(rows.excess, mask, noise=rows.excess_noise),
        tie_gap=Finding(float("nan")) if rows.binary else sums.tested(rows.tie_gap, mask, noise=rows.tie_noise),
        gain=sums.below(gains, mask),
    )


def _kinds(rows: Rows, form: Form | None, seed: int) -> Mapping[str, Masks]:
    battles = rows.battles
    out = {"source": _masks(group_values(battles, "source"), RARE)}
    if not rows.has_texts:
        return out
    out = {
        "length": _quartiles(np.sum([characters(battles, name) for name in TEXT_COLUMNS], axis=0)),
        "turns": dict(sorted(_masks(group_values(battles, "turns")).items())),
        "language": _masks(_languages(battles, seed), RARE),
        "category": _masks(categories(battles), RARE),
    } | out
    if form is not None:
        out["repetition"] = _two(form.repeats, "an answer repeats itself", "no answer repeats itself")
    if rows.cut is not None:
        out["truncation"] = _two(rows.cut.cut, "cut before the judge read it", "read whole")
    return out


def _languages(battles: Battles, seed: int) -> list[str | None]:
    """Language of each row; None for those that were not looked at."""
    given = battles.column("language")
    if given.null_count <= LANGUAGE_ROWS:
        return list(group_values(battles, "language"))
    blank = np.flatnonzero(np.asarray(given.is_null().to_numpy(zero_copy_only=False)))
    looked = np.sort(np.random.default_rng(seed).choice(blank, LANGUAGE_ROWS, replace=False))
    out: list[Any] = given.to_pylist()
    for row, name in zip(looked.tolist(), group_values(battles.take(looked), "language"), strict=True):
        out[row] = name
    return out


def _masks(names: list[str] | list[str | None], least: int = 1) -> Masks:
    """Which rows have each name, most rows first; names of fewer rows together, rows without one nowhere."""
    given = np.array([name or "" for name in names], dtype=object)
    counts = Counter(name for name in names if name)
    known = sorted(counts, key=lambda name: (-counts[name], name))
    kept = [name for name in known if counts[name] >= least]
    kept = known if len(known) - len(kept) == 1 else kept  # one name alone is its own slice
    kept = kept if len(kept) <= MOST else kept[: MOST - 1]
    out: Masks = {name: np.asarray(given == name, dtype=np.bool_) for name in kept}
    if len(kept) < len(known):
        rest = ~np.any([given == "", *out.values()], axis=0)
        out[OTHER] = out[OTHER] | rest if OTHER in out else np.asarray(rest, dtype=np.bool_)
    return {UNKNOWN if name == "und" else name: mask for name, mask in out.items()}


def _quartiles(length: NDArray[np.int64]) -> Masks:
    ends = np.unique(np.quantile(length, [0.25, 0.5, 0.75], method="lower"))
    place, out = np.searchsorted(ends, length), {}
    for number in range(len(ends) + 1):
        above = f"{ends[number - 1] + 1:,}" if number else "0"
        name = f"{above} to {ends[number]:,} characters" if number < len(ends) else f"{above} characters and more"
        if (place == number).any():
            out[name] = place == number
    return out


def _two(mask: NDArray[np.bool_], yes: str, no: str) -> Masks:
    return {name: part for name, part in ((yes, mask), (no, ~mask)) if part.any()}
