"""The length and layout of responses, what the judge makes of them, and what people do.

Called by `votecast.reports.audit.audit_judge`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from votecast.calibration.base import log_probabilities
from votecast.data.battles import Battles
from votecast.features.arena_style import STYLING, answer_styling
from votecast.metrics import Figure
from votecast.reports.audit.audit_rows import AuditRows
from votecast.reports.audit.findings import Finding
from votecast.reports.audit.tilt import Tilt
from votecast.types import Bools, Floats, Probabilities

UNITS: Final = (
    {"length": "twice as many characters"}
    | dict.fromkeys(("headings", "lists", "bold", "code", "links"), "twice as many")
    | {"repetition": "a tenth more of the text repeats what stood before"}
)
"""Traits of a response, and what one unit of each is; twice as many means of one plus their number."""

REPEATS: Final = 0.2
"""A response repeats itself if this share of its text stood in it before."""

_SHORTEST: Final = 15
"""Shorter sentences, such as "Yes" or a closing bracket, may come again."""


@dataclass(frozen=True)
class ResponseStyle:
    """The style of both responses of every row."""

    # k of `UNITS`, and in these units the traits of each response, (n, k)
    names: tuple[str, ...]
    a: Floats
    b: Floats

    @classmethod
    def of(cls, battles: Battles) -> ResponseStyle:
        r"""Measure the style of all responses.

        Example:
            >>> rows = [{"prompt": "Hi", "response_a": "# One\n- **two**\n- three", "response_b": ""}]
            >>> style = ResponseStyle.of(Battles.from_rows(rows))
            >>> dict(zip(style.names, np.round(style.a[0], 1).tolist()))
            {'length': 4.6, 'headings': 1.0, 'lists': 1.6, 'bold': 1.0, 'code': 0.0, 'links': 0.0, 'repetition': 0.0}
        """
        counts = np.log2(1.0 + answer_styling(battles))  # (n, 2, k - 1)
        repeats = [
            10 * np.array([repeated_share(text) for text in battles.text(name, "\n")])
            for name in ("response_a", "response_b")
        ]
        a, b = (np.column_stack([counts[:, side], repeats[side]]) for side in (0, 1))
        return cls((*STYLING, "repetition"), a, b)

    @property
    def gaps(self) -> Floats:
        """A minus b, shape (n, k)."""
        return self.a - self.b

    @property
    def repeats(self) -> Bools:
        """Rows in which a response repeats itself, shape (n,)."""
        column = self.names.index("repetition")
        return np.asarray(np.maximum(self.a[:, column], self.b[:, column]) / 10 >= REPEATS)


@dataclass(frozen=True)
class Trait:
    """One trait of the style of responses; all coefficients are log odds for one unit more of it.

    Args:
        name: A name in `UNITS`.
        unit: What one unit is.
        rows: Rows whose responses differ in it.
        people: Its effect on the votes, the other traits being equal.
        judge: Its effect on the predictions, the other traits being equal.
        overrated: How much more the judge makes of it than people do: above 0 it gives it too much, below 0 too little.
        unused: Its effect on the votes at equal predictions: what the judge does not use yet.
    """

    name: str
    unit: str
    rows: int
    people: Figure
    judge: Figure
    overrated: Finding
    unused: Finding


@dataclass(frozen=True)
class StyleBias:
    """What style is worth to people and to the judge.

    Args:
        traits: Those in which any responses differ.
        slope: What the judge's own log odds still add in that regression: above 0 its preferences should be stronger,
            below 0 weaker; -1 if they add nothing to length and layout.
    """

    traits: tuple[Trait, ...]
    slope: Finding

    @classmethod
    def of(cls, rows: AuditRows, style: ResponseStyle) -> StyleBias | None:
        """Measure the effects of style; None where no two responses of a row differ in it."""
        kept = np.flatnonzero((style.gaps != 0).any(axis=0))
        if not len(kept):
            return None
        gaps, base = style.gaps[:, kept], log_probabilities(rows.p)
        level = log_probabilities(np.tile([1 / 3, 1 / 3, 0 if rows.binary else 1 / 3], (len(rows), 1)))

        def _effects(start: Floats, columns: Floats, targets: Probabilities) -> list[Finding]:
            return Tilt(start, columns, targets, rows.sums.weights).tested(rows.sums.clusters)

        # effects on votes and predictions are Davidson models (1970) of both by all traits at once; what is overrated
        # is the tilt by the traits that would take the predictions to the votes, with its sign changed; what is unused
        # comes from the votes regressed on the prediction, its log odds and the traits, as arenas with style control do
        # (Li et al. 2024, "Does style matter?")
        people, judge = _effects(level, gaps, rows.targets), _effects(level, gaps, rows.p)
        missed = _effects(base, gaps, rows.targets)
        slope, *unused = _effects(base, np.column_stack([base[:, 0] - base[:, 1], gaps]), rows.targets)
        overrated = [replace(each, value=-each.value, low=-each.high, high=-each.low) for each in missed]
        names = [style.names[column] for column in kept]
        differ = [int((gap != 0).sum()) for gap in gaps.T]
        traits = tuple(
            Trait(name, UNITS[name], differ[k], people[k].figure, judge[k].figure, overrated[k], unused[k])
            for k, name in enumerate(names)
        )
        return cls(traits, slope)


def repeated_share(text: str) -> float:
    """Return the share of characters in sentences that stood in the text before.

    Sentences and lines of less than 15 characters do not count.

    Example:
        >>> repeated_share("It is a sunny day. It is a sunny day. It is a sunny day.")
        0.66...
    """
    if not text.isascii():
        text = text.replace("。", "。\n").replace("！", "！\n").replace("？", "？\n")
    pieces = text.replace(". ", ".\n").split("\n")
    if len(set(pieces)) == len(pieces) - max(pieces.count("") - 1, 0):
        return 0.0
    pieces = [piece.strip(" .") for piece in pieces]
    seen: set[str] = set()
    again = total = 0
    for piece in pieces:
        total += len(piece)
        again += len(piece) if piece in seen and len(piece) >= _SHORTEST else 0
        seen.add(piece)
    return again / max(total, 1)
