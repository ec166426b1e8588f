"""Texts that were damaged on their way: what could not be encoded, and what was decoded wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.pairs import turns_of

Figures = dict[str, Any]

KINDS = {
    "character that could not be encoded (U+FFFD)": r"\x{FFFD}",
    "control character": r"[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x{9F}]",
    "order to turn the direction of writing": r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]",
    "UTF-8 read as another encoding": r"Ã[\x{80}-\x{BF}]|Â[\x{A0}-\x{BF}]|â€[\x{80}-\x{BF}\x{201C}\x{201D}\x{2122}œ˜]",
}
"""What is looked for in the texts, and the regular expression (RE2) by which it is found."""

MISSING_TURN = "turn without a text (null)"
_FIRST = 5


def encoding_figures(battles: Battles) -> Figures:
    r"""Rows with damaged texts, by kind and column, with the ids of the first of them.

    Args:
        battles: The rows.

    Returns:
        `rows`, how many have damage of any kind, and `kinds`: for each kind that occurs, its rows, its rows by column
        and the first ids.

    Example:
        >>> row = {"id": "7", "prompt": "Caf\u00c3\u00a9?", "response_a": "yes \ufffd", "response_b": "no"}
        >>> found = encoding_figures(Battles.from_rows([row]))
        >>> found["rows"], [(kind["kind"], kind["rows"]) for kind in found["kinds"]][1]
        (1, ('UTF-8 read as another encoding', 1))
    """
    masks = {name: _damage(battles.column(name)) for name in TEXT_COLUMNS}
    damaged, kinds = np.zeros(len(battles), dtype=bool), []
    for kind in (*KINDS, MISSING_TURN):
        rows = np.any([masks[name][kind] for name in TEXT_COLUMNS], axis=0)
        if rows.any():
            counts = {name: int(masks[name][kind].sum()) for name in TEXT_COLUMNS}
            first = battles.column("id").take(pa.array(np.flatnonzero(rows)[:_FIRST])).to_pylist()
            kinds.append({"kind": kind, "rows": int(rows.sum())} | counts | {"ids": first})
        if kind != MISSING_TURN:
            damaged |= rows
    return {"rows": int(damaged.sum()), "kinds": kinds}


def damaged_rows(battles: Battles) -> NDArray[np.bool_]:
    """Rows in which a text holds damage of one of `KINDS`, shape (n,)."""
    found = [_damage(battles.column(name)) for name in TEXT_COLUMNS]
    out: NDArray[np.bool_] = np.any([masks[kind] for masks in found for kind in KINDS], axis=0)
    return out


def _damage(column: pa.ChunkedArray) -> dict[str, NDArray[np.bool_]]:
    """For every kind the rows of a text column in which it occurs, shape (n,)."""
    parts: dict[str, list[NDArray[np.bool_]]] = {kind: [np.zeros(0, dtype=bool)] for kind in (*KINDS, MISSING_TURN)}
    for chunk in column.chunks:
        bounds, turns = turns_of(chunk)
        any_kind = np.flatnonzero(_matches(turns, "|".join(KINDS.values())))
        suspects = turns.take(pa.array(any_kind))
        for kind, pattern in KINDS.items():
            hit = np.zeros(len(turns), dtype=bool)
            hit[any_kind[_matches(suspects, pattern)]] = True
            parts[kind].append(_by_row(hit, bounds))
        raw = chunk.values.slice(chunk.offsets[0].as_py(), len(turns))
        parts[MISSING_TURN].append(_by_row(raw.is_null().to_numpy(zero_copy_only=False), bounds))
    return {kind: np.concatenate(masks) for kind, masks in parts.items()}


def _matches(turns: pa.Array, pattern: str) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.match_substring_regex(turns, pattern).to_numpy(zero_copy_only=False).astype(bool)
    return found


def _by_row(hit: NDArray[np.bool_], bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rows have at least one turn that was hit."""
    total = np.concatenate([[0], np.cumsum(hit)])
    out: NDArray[np.bool_] = total[bounds[1:]] > total[bounds[:-1]]
    return out
