"""The whole of a sequence tokenized as one string and then cut, as systems 3 to 5 do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from votecast.text.assembly import Slot, assemble
from votecast.text.pieces import Counts
from votecast.text.sequences import Sequences, offsets_of
from votecast.text.settings import TextSettings
from votecast.text.templates import Layout
from votecast.text.tokenizer import Tokenizer
from votecast.text.tokenizing import Keep, Reading, Tokenized, tokenize_texts


def encode_whole(
    texts: Sequence[Sequence[str]], layout: Layout, tokenizer: Tokenizer, settings: TextSettings
) -> tuple[Sequences, Counts, Counts]:
    """Join, tokenize, cut.

    Special tokens spelled out in a text count as such, since that is how the systems tokenize.

    Args:
        texts: The texts of each part, one a row.
        layout: What stands around them.
        tokenizer: The tokenizer.
        settings: Cut and budget.

    Returns:
        The sequences, and tokens of each part kept and before the cut, shape (n, parts). A token belongs to the part
        in which it ends. Of a part that was not read to its end the number of tokens is an estimate.
    """
    room = settings.max_length - len(layout.opening) - len(layout.closing)
    joined = [layout.joined(row) for row in zip(*texts, strict=True)]
    keep: Keep = "tail" if settings.cut == "left" else "head"
    found = tokenize_texts(tokenizer, [text for text, _ in joined], Reading(keep, room, spans=True, specials=True))
    edges = np.array([edge for _, edge in joined], np.int64).reshape(-1, 2 * len(texts))
    n = len(joined)
    kept = _inside(found, edges)
    body = Sequences(found.ids, offsets_of(found.lengths))
    slots = [Slot(layout.opening), Slot(body), Slot(layout.closing)]
    return assemble(slots, n, types=tokenizer.has_types), kept, kept + _unseen(found, edges, keep)


def _inside(found: Tokenized, edges: Counts) -> Counts:
    """Tokens held that end inside each part, shape (n, parts)."""
    row = np.repeat(np.arange(len(found.lengths)), found.lengths)
    assert found.ends is not None
    columns = []
    for start, stop in zip(edges[:, 0::2].T, edges[:, 1::2].T, strict=True):
        inside = (found.ends > start[row]) & (found.ends <= stop[row])
        columns.append(np.bincount(row[inside], minlength=len(found.lengths)))
    return np.stack(columns, axis=1).astype(np.int64)


def _unseen(found: Tokenized, edges: Counts, keep: Keep) -> Counts:
    """Tokens that are not held, given to the parts by the characters of each that were not kept."""
    assert found.ends is not None
    offsets = offsets_of(found.lengths)
    ends = np.concatenate([found.ends.astype(np.int64), [0]])
    place = np.maximum(offsets[1:] - 1, 0) if keep == "head" else np.minimum(offsets[:-1], len(ends) - 1)
    edge = np.where(found.lengths > 0, ends[place], 0)[:, None]
    start, stop = edges[:, 0::2], edges[:, 1::2]
    gone = stop - np.clip(edge, start, stop) if keep == "head" else np.clip(edge, start, stop) - start
    shares = gone / np.maximum(gone.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.ceil(shares * found.hidden[:, None] - 1e-9), np.int64)
