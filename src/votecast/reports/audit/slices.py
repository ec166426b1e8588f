"""Slices of the rows by kind, and which of them the judge predicts worse than the rest.

Called by `votecast.reports.audit.audit_judge`. `categories.yaml` holds the patterns of the kinds of tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.groups import UNKNOWN, group_values
from votecast.data.text_columns import characters
from votecast.metrics import Figure
from votecast.metrics.scores import log_losses
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import Finding
from votecast.reports.audit.style_bias import ResponseStyle
from votecast.reports.page_format import brief
from votecast.types import Bools, Ints, Probabilities

MOST_NAMES: Final = 20
"""Slices of a kind; beyond them the rarest are joined."""

RARE: Final = 10
"""Languages, sources and categories of fewer rows are joined, too."""

OTHER: Final = "other"
LANGUAGE_ROWS: Final = 5_000
"""Prompts whose language is detected where no column names it; the others are in no slice by language."""

CATEGORY_CHARACTERS: Final = 600
"""Characters of a prompt that choose its category, from its beginning."""

Masks = dict[str, Bools]


@dataclass(frozen=True)
class AuditSlice:
    """The figures of some of the rows.

    Args:
        kind: What the rows were divided by.
        name: Which of them these are.
        rows: How many.
        prompts: From how many prompts.
        log_loss: Log loss.
        accuracy: Share of votes that the top choice matches.
        harder: Log loss minus that of the rest. Above 0 where votes are less predictable, or predicted worse.
        excess: Log loss minus the entropy of the predictions: above 0 overconfident, below 0 underconfident.
        tie_gap: Predicted minus voted share of ties.
        gain: Log loss of the class prior minus that of the judge; the test is whether it is below 0.
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

    @property
    def label(self) -> str:
        """Name that is clear outside its table."""
        if self.kind == "turns":
            return f"{self.name} turn{'' if self.name == '1' else 's'}"
        name = brief(self.name)
        return f"{self.kind} {name}" if self.kind in ("language", "source") else name


def measure_slices(
    rows: AuditRows, style: ResponseStyle | None, prior: Probabilities, seed: int
) -> tuple[AuditSlice, ...]:
    """Measure the judge on slices of the rows, kind by kind, beside predictions of the class prior, shape (n, 3)."""
    gains, sums = log_losses(rows.targets, prior) - rows.losses, rows.sums
    return tuple(
        AuditSlice(
            kind=kind,
            name=name,
            rows=int(mask.sum()),
            prompts=sums.count_prompts(mask),
            log_loss=sums.mean(rows.losses, mask),
            accuracy=sums.mean(rows.hits, mask),
            harder=sums.test_against_rest(rows.losses, mask),
            excess=sums.test_mean(rows.excess, mask, noise=rows.excess_noise),
            tie_gap=(
                Finding(float("nan")) if rows.binary else sums.test_mean(rows.tie_gap, mask, noise=rows.tie_noise)
            ),
            gain=sums.test_below_zero(gains, mask),
        )
        for kind, masks in _divide_rows(rows, style, seed).items()
        if len(masks) > 1  # a single slice is all the rows
        for name, mask in masks.items()
    )


def _divide_rows(rows: AuditRows, style: ResponseStyle | None, seed: int) -> Mapping[str, Masks]:
    battles = rows.battles
    sources = _masks_by_name(group_values(battles, "source"), RARE)
    if not rows.has_texts:
        return {"source": sources}
    out = {
        "length": _quartiles(np.sum([characters(battles, name) for name in TEXT_COLUMNS], axis=0)),
        "turns": dict(sorted(_masks_by_name(group_values(battles, "turns")).items())),
        "language": _masks_by_name(_detect_languages(battles, seed), RARE),
        "category": _masks_by_name(categorise(battles), RARE),
        "source": sources,
    }
    if style is not None:
        out["repetition"] = _two_masks(style.repeats, "an answer repeats itself", "no answer repeats itself")
    if rows.cut is not None:
        out["truncation"] = _two_masks(rows.cut.cut, "truncated", "not truncated")
    return out


def _detect_languages(battles: Battles, seed: int) -> list[str | None]:
    """Return the language of each row, None for those outside the sample."""
    given = battles.column("language")
    if given.null_count <= LANGUAGE_ROWS:
        return list(group_values(battles, "language"))
    blank = np.flatnonzero(np.asarray(given.is_null().to_numpy(zero_copy_only=False)))
    sample = np.sort(np.random.default_rng(seed).choice(blank, LANGUAGE_ROWS, replace=False))
    out: list[str | None] = given.to_pylist()
    for row, name in zip(sample.tolist(), group_values(battles.take(sample), "language"), strict=True):
        out[row] = name
    return out


def _masks_by_name(names: list[str] | list[str | None], least: int = 1) -> Masks:
    """Return the rows of each name, most rows first; rare names joined, rows without one in no mask."""
    given = np.array([name or "" for name in names], dtype=object)
    counts = Counter(name for name in names if name)
    known = sorted(counts, key=lambda name: (-counts[name], name))
    kept = [name for name in known if counts[name] >= least]
    kept = known if len(known) - len(kept) == 1 else kept  # one name alone is its own slice
    kept = kept if len(kept) <= MOST_NAMES else kept[: MOST_NAMES - 1]
    out: Masks = {name: np.asarray(given == name, dtype=np.bool_) for name in kept}
    if len(kept) < len(known):
        rest = ~np.any([given == "", *out.values()], axis=0)
        out[OTHER] = out[OTHER] | rest if OTHER in out else np.asarray(rest, dtype=np.bool_)
    return {UNKNOWN if name == "und" else name: mask for name, mask in out.items()}


def _quartiles(length: Ints) -> Masks:
    ends = np.unique(np.quantile(length, [0.25, 0.5, 0.75], method="lower"))
    place, out = np.searchsorted(ends, length), {}
    for number in range(len(ends) + 1):
        above = f"{ends[number - 1] + 1:,}" if number else "0"
        name = f"{above} to {ends[number]:,} characters" if number < len(ends) else f"{above} characters and more"
        if (place == number).any():
            out[name] = place == number
    return out


def _two_masks(mask: Bools, yes: str, no: str) -> Masks:
    return {name: part for name, part in ((yes, mask), (no, ~mask)) if part.any()}


def categorise(battles: Battles) -> list[str]:
    """Return the kind of task of every row, from the beginning of its prompt.

    The patterns know ten languages; prompts in other languages, and those that no pattern matches, are "other". They
    are rough: they sort a file, not a prompt.

    Example:
        >>> asked = ["Write a Python function.", "Übersetze das bitte.", "Who wrote Faust?", "写一首诗", "Hm."]
        >>> categorise(Battles.from_rows([{"prompt": text, "response_a": "", "response_b": ""} for text in asked]))
        ['code', 'translation', 'questions of fact', 'writing', 'other']
    """
    starts = pa.array([text[:CATEGORY_CHARACTERS] for text in battles.text("prompt", "\n")], pa.large_string())
    lower, patterns = pc.utf8_lower(starts), _category_patterns()
    fits = [np.asarray(pc.match_substring_regex(lower, pattern)) for pattern in patterns.values()]
    first = np.argmax(np.stack([*fits, np.ones(len(starts), np.bool_)]), axis=0)  # (n,), the last row is OTHER
    names: list[str] = np.array([*patterns, OTHER], dtype=object)[first].tolist()
    return names


@cache
def _category_patterns() -> dict[str, str]:
    """Return one RE2 pattern for each category, in order."""
    text = (files("votecast.reports.audit") / "categories.yaml").read_text("utf-8")
    out = {}
    for name, rules in yaml.safe_load(text).items():
        parts, end = list(rules.get("anywhere", ())), r"(?:[^\p{L}]|$)"
        if words := rules.get("words"):
            parts.append(rf"(?:^|[^\p{{L}}\d])(?:{'|'.join(words)}){end}")
        if opening := rules.get("opening"):
            parts.append(rf"^[\s¿¡\"'(]*(?:{'|'.join(opening)}){end}")
        out[name] = "|".join(parts)
    return out
