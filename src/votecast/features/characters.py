"""Hold texts as one array of code points with a table of character kinds, and hash runs of characters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.errors import DataError

NEWLINE = 10
TURN_END = "\n\n"
_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "newline": ((0x0A, 0x0A), (0x0D, 0x0D)),
    "space": ((0x00, 0x09), (0x0B, 0x0C), (0x0E, 0x20), (0xA0, 0xA0), (0x2000, 0x200B), (0x3000, 0x3000)),
    "lower": ((0x61, 0x7A),),
    "upper": ((0x41, 0x5A),),
    "digit": ((0x30, 0x39),),
    "stop": ((0x2E, 0x2E), (0x3002, 0x3002), (0x0964, 0x0964), (0xFF0E, 0xFF0E)),
    "question": ((0x3F, 0x3F), (0xFF1F, 0xFF1F), (0x061F, 0x061F)),
    "exclamation": ((0x21, 0x21), (0xFF01, 0xFF01)),
    "comma": ((0x2C, 0x2C), (0x3001, 0x3001), (0xFF0C, 0xFF0C), (0x060C, 0x060C)),
    "colon": ((0x3A, 0x3B), (0xFF1A, 0xFF1B)),
    "bracket": ((0x28, 0x29), (0x5B, 0x5D), (0x7B, 0x7B), (0x7D, 0x7D), (0xFF08, 0xFF09)),
    "quote": ((0x22, 0x22), (0xAB, 0xAB), (0xBB, 0xBB), (0x201C, 0x201D), (0x300C, 0x300D)),
    "apostrophe": ((0x27, 0x27), (0x2018, 0x2019)),
    "markup": ((0x23, 0x23), (0x2A, 0x2A), (0x5F, 0x60), (0x7C, 0x7C), (0x7E, 0x7E), (0x3E, 0x3E)),
    "operator": ((0x2B, 0x2B), (0x2F, 0x2F), (0x3C, 0x3D), (0x5E, 0x5E), (0x25, 0x25), (0x2200, 0x22FF), (0xD7, 0xD7)),
    "hyphen": ((0x2D, 0x2D), (0x2010, 0x2015)),
    "latin": ((0xAA, 0xAA), (0xB5, 0xB5), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F), (0x1E00, 0x1EFF)),
    "greek": ((0x300, 0x3FF),),
    "cyrillic": ((0x400, 0x52F),),
    "semitic": ((0x590, 0x60B), (0x60D, 0x61E), (0x620, 0x7BF)),
    "indic": ((0x900, 0x963), (0x965, 0xDFF)),
    "thai": ((0xE00, 0xFFF),),
    "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "kana": ((0x3040, 0x30FF),),
    "han": ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFF)),
    "emoji": ((0x2600, 0x27BF), (0x1F300, 0x1FAFF)),
}
KINDS = ("other", *_RANGES)
"""The kinds of character; a code point's kind is its position here."""
KIND = {name: number for number, name in enumerate(KINDS)}
ALPHABETS = ("latin", "greek", "cyrillic", "semitic", "indic", "thai", "hangul", "kana", "han")


@dataclass(frozen=True)
class Texts:
    """Many texts in one array; each ends with line breaks that belong to no text's content.

    Args:
        codes: Code points of all texts, uint32.
        starts: Where each text starts, and the end of the last, int64 of shape (n + 1,).
        turns: How many turns each text has, int64 of shape (n,).
        written: Characters of each text as written, before it was cut, int64 of shape (n,).
        blank: How many of its turns hold nothing, int64 of shape (n,).
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    turns: NDArray[np.int64]
    written: NDArray[np.int64]
    blank: NDArray[np.int64]

    def __len__(self) -> int:
        return self.turns.size

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Kind of every character, a position in `KINDS`."""
        return kind_table()[self.codes]

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """Which text every character belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def by_kind(self) -> NDArray[np.int64]:
        """How many characters of each kind each text has, shape (n, len(KINDS))."""
        size = len(self) * len(KINDS)
        return np.bincount(self.owner * len(KINDS) + self.kinds, minlength=size).reshape(len(self), len(KINDS))

    def count(self, at: NDArray[np.bool_] | NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of these positions (a mask, or sorted indices) lie in each text."""
        positions = np.flatnonzero(at) if at.dtype == np.bool_ else at
        return np.diff(np.searchsorted(positions, self.starts))

    def is_kind(self, *names: str) -> NDArray[np.bool_]:
        """Which characters are of one of these kinds."""
        wanted = np.zeros(256, dtype=np.bool_)
        wanted[[KIND[name] for name in names]] = True
        return wanted[self.kinds]


def texts_of(columns: list[pa.ChunkedArray], limit: int) -> Texts:
    """Lay the turns of some text columns out as one array of code points, column after column.

    Args:
        columns: Columns of lists of turns.
        limit: Characters of a turn that are looked at.

    Returns:
        As many texts as there are rows in all columns together.

    Raises:
        DataError: If a text is not valid UTF-8.
    """
    parts = [part for column in columns for part in column.chunks]
    turns = np.concatenate(
        [np.asarray(pc.list_value_length(part).to_numpy(zero_copy_only=False)) for part in parts]
        or [np.zeros(0, np.int64)]
    )
    values = [part.flatten() for part in parts]
    flat = pa.concat_arrays(values) if values else pa.array([], pa.large_string())
    written = np.asarray(pc.fill_null(pc.utf8_length(flat), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    if written.size and written.max() > limit:
        flat = pc.utf8_slice_codeunits(flat, 0, limit)
    blank, turn_end = (pa.scalar(text, pa.large_string()) for text in ("", TURN_END))
    ended = pc.binary_join_element_wise(pc.fill_null(flat, blank), blank, turn_end)
    sizes = np.minimum(written, limit) + len(TURN_END)
    before = np.concatenate([[0], np.cumsum(sizes)])
    rows = np.concatenate([[0], np.cumsum(turns)]).astype(np.int64)
    total, blank = (np.concatenate([[0], np.cumsum(each)])[rows] for each in (written, written == 0))
    return Texts(_decode(ended), before[rows], np.diff(rows), np.diff(total), np.diff(blank))


def _decode(array: pa.Array) -> NDArray[np.uint32]:
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = array.buffers()[2]
    if len(array) == 0 or data is None:
        return np.zeros(0, dtype=np.uint32)
    raw = memoryview(data)[offsets[0] : offsets[-1]]
    try:
        return np.frombuffer(str(raw, "utf-8").encode("utf-32-le"), dtype="<u4").astype(np.uint32, copy=False)
    except UnicodeError as error:
        raise DataError(
            f"a text is not valid UTF-8 ({error}); read the file again with votecast.read_votes, which repairs it"
        ) from error


@cache
def kind_table() -> NDArray[np.uint8]:
    """Kind of every code point, as a position in `KINDS`; fixed here, so that no version of Unicode changes a judge."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for name, ranges in _RANGES.items():
        for first, last in ranges:
            table[first : last + 1] = KIND[name]
    return table


@cache
def lower_table() -> NDArray[np.uint32]:
    """Lower case of every code point of the Latin, Greek and Cyrillic alphabets; curly apostrophes made straight."""
    table = np.arange(0x110000, dtype=np.uint32)
    for first, last in ((0x41, 0x5A), (0xC0, 0xD6), (0xD8, 0xDE), (0x391, 0x3A9), (0x410, 0x42F)):
        table[first : last + 1] += 32
    table[0x400:0x410] += 80
    table[0x100:0x138:2] += 1
    table[0x2018:0x201A] = 0x27
    return table


BUCKETS = 1024
_BITS = 22  # 32 bits of hash less these are a bucket
_BOUNDARY = 0x20
_STEP, _MIX = np.uint32(0x01000193), np.uint32(0x2C1B3C6D)
_MOST = 255
_GROWTH = np.rint(np.log1p(np.arange(_MOST + 1)) * 2**12) / 2**12


def hashed_runs(texts: Texts, first: int, last: int) -> NDArray[np.float16]:
    """Weigh the hashed runs of characters of texts `first` to `last`.

    Runs lie within words, which they may enter or leave by one boundary, as "character n-grams within word boundaries"
    do (Cavnar & Trenkle 1994). Each text's row holds log(1 + count), divided by the row's length.

    Args:
        texts: Many texts.
        first: The first text wanted.
        last: One past the last.

    Returns:
        Matrix of shape (last - first, BUCKETS).
    """
    span = slice(texts.starts[first], texts.starts[last])
    letter = texts.is_kind("lower", "upper", "digit", *ALPHABETS)[span]
    codes = np.full(letter.size + 3, _BOUNDARY, dtype=np.uint32)
    np.copyto(codes[1:-2], lower_table()[texts.codes[span]], where=letter)
    row = ((texts.owner[span] - first) * BUCKETS)[letter]
    counts = np.zeros((last - first) * BUCKETS, dtype=np.int64)
    for size in (2, 3, 4):
        keys = row + _buckets(codes, size, letter.size)[letter]
        if size == 4:
            keys = keys[np.append(letter[1:], False)[letter]]
        counts += np.bincount(keys, minlength=counts.size)
    values = _GROWTH[np.minimum(counts, _MOST)].reshape(last - first, BUCKETS)
    length = np.sqrt(np.sum(values * values, axis=1, keepdims=True))  # sums of multiples of 2^-24 are exact
    return np.asarray((values / np.maximum(length, 1)).astype(np.float16))


def _buckets(codes: NDArray[np.uint32], size: int, n: int) -> NDArray[np.int64]:
    """Bucket of the run of `size` characters that starts at each of n places."""
    hashes = codes[:n] + np.uint32(size)
    for place in range(1, size):
        hashes = hashes * _STEP ^ codes[place : n + place]
    hashes ^= hashes >> np.uint32(15)
    hashes *= _MIX
    hashes ^= hashes >> np.uint32(13)
    hashes *= _STEP
    return (hashes >> np.uint32(_BITS)).astype(np.int64)
