"""The form of answers, answer by answer: length, layout and repetition, in units that a reader knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from votecast.data.battles import Battles
from votecast.features.styling import STYLING, answer_styling
from votecast.types import Floats

_MORE: Final = "twice as many"
UNITS: Final = {
    "length": "twice as many characters",
    "headings": _MORE,
    "lists": _MORE,
    "bold": _MORE,
    "code": _MORE,
    "links": _MORE,
    "repetition": "a tenth more of the text repeats what stood before",
}
"""What is looked at in an answer, and what one unit of it is; twice as many means of one plus their number."""

_SIDES: Final = ("response_a", "response_b")
REPEATS: Final = 0.2
"""An answer repeats itself if this share of its text stood in it before."""

_SHORTEST: Final = 15
"""Shorter sentences, such as "Yes" or a closing bracket, may come again."""


@dataclass(frozen=True)
class Form:
    """The form of both answers of every row.

    Args:
        names: What is looked at, k of `UNITS`.
        a: In answer a, shape (n, k), in units.
        b: In answer b.
    """

    names: tuple[str, ...]
    a: Floats
    b: Floats

    @property
    def gaps(self) -> Floats:
        """A minus b, shape (n, k)."""
        return self.a - self.b

    @property
    def repeats(self) -> np.ndarray:
        """Rows in which an answer repeats itself, shape (n,)."""
        column = self.names.index("repetition")
        return np.asarray(np.maximum(self.a[:, column], self.b[:, column]) / 10 >= REPEATS)


def form_of(battles: Battles) -> Form:
    r"""Look at the form of all answers.

    Example:
        >>> rows = [{"prompt": "Hi", "response_a": "# One\n- **two**\n- three", "response_b": ""}]
        >>> form = form_of(Battles.from_rows(rows))
        >>> dict(zip(form.names, np.round(form.a[0], 1).tolist()))
        {'length': 4.6, 'headings': 1.0, 'lists': 1.6, 'bold': 1.0, 'code': 0.0, 'links': 0.0, 'repetition': 0.0}
    """
    counts = np.log2(1.0 + answer_styling(battles))
    shares = [np.fromiter(map(repeated_share, battles.text(name, "\n")), np.float64, len(battles)) for name in _SIDES]
    a, b = (np.column_stack([counts[:, side], 10 * share]) for side, share in enumerate(shares))
    return Form((*STYLING, "repetition"), a, b)


def repeated_share(text: str) -> float:
    """Share of the characters of a text in sentences and lines of 15 characters and more that stood in it before.

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
