"""Hold texts as one array of code points with a table of character kinds, and hash runs of characters.

`extract` lays out the turns of every battle with `read_texts`; words, style and overlap read the arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.errors import DataError

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Hashes = NDArray[np.uint64]

NEWLINE = 10
TURN_END = "\n\n"

# Fixed here rather than asked of `unicodedata`, so that no version of Unicode changes a judge. Where two ranges overlap
# the later one wins.
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
"""The kinds of characters; a code point's kind is its position here."""
KIND = {name: number for number, name in enumerate(KINDS)}
ALPHABETS = ("latin", "greek", "cyrillic", "semitic", "indic", "thai", "hangul", "kana", "han")


@cache
def character_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the kind of every code point, a position in `KINDS`, and its lower case."""
    kinds = np.zeros(0x110000, dtype=np.uint8)
    for name, ranges in _RANGES.items():
        for first, last in ranges:
            kinds[first : last + 1] = KIND[name]
    lower = np.arange(0x110000, dtype=np.uint32)
    # Latin, Greek and Cyrillic letters only; curly apostrophes become straight ones.
    for first, last in ((0x41, 0x5A), (0xC0, 0xD6), (0xD8, 0xDE), (0x391, 0x3A9), (0x410, 0x42F)):
        lower[first : last + 1] += 32
    lower[0x400:0x410] += 80
    lower[0x100:0x138:2] += 1
    lower[0x2018:0x201A] = 0x27
    return kinds, lower


@dataclass(frozen=True)
class Texts:
    """n texts in one array; every turn ends with `TURN_END`, which belongs to no turn's content.

    Args:
        codes: Code points of all texts, shape (characters,).
        starts: Start of each text, and the end of the last, shape (n + 1,).
        turns: Turns of each text, shape (n,).
        written: Characters of each text before truncation, shape (n,).
        blank: Empty turns of each text, shape (n,).
        kinds: Kind of every character, a position in `KINDS`, shape (characters,).
        owner: Text of every character, shape (characters,).
        by_kind: Characters of each kind in each text, shape (n, len(KINDS)).
    """

    codes: NDArray[np.uint32]
    starts: Ints
    turns: Ints
    written: Ints
    blank: Ints
    kinds: NDArray[np.uint8]
    owner: Ints
    by_kind: Ints

    def is_kind(self, *names: str) -> Bools:
        """Mark the characters of any of these kinds, shape (characters,)."""
        wanted = np.zeros(256, dtype=np.bool_)
        wanted[[KIND[name] for name in names]] = True
        return wanted[self.kinds]

    def count(self, mask: Bools) -> Ints:
        """Count the marked characters of each text, shape (n,)."""
        return np.diff(np.searchsorted(np.flatnonzero(mask), self.starts))


def read_texts(columns: list[pa.ChunkedArray], limit: int) -> Texts:
    """Lay out the turns of text columns as one array of code points, column after column.

    Args:
        columns: Columns of lists of turns.
        limit: Characters of a turn that are read.

    Returns:
        One text for each row of each column.

    Raises:
        DataError: If a text is not valid UTF-8.
    """
    parts = [part for column in columns for part in column.chunks]
    turns = np.concatenate([np.zeros(0, np.int64), *(pc.list_value_length(part).to_numpy(False) for part in parts)])
    flat = pa.concat_arrays([part.flatten() for part in parts]) if parts else pa.array([], pa.large_string())
    written = np.asarray(pc.fill_null(pc.utf8_length(flat), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    if written.size and written.max() > limit:
        flat = pc.utf8_slice_codeunits(flat, 0, limit)
    nothing, turn_end = (pa.scalar(text, pa.large_string()) for text in ("", TURN_END))
    ended = pc.binary_join_element_wise(pc.fill_null(flat, nothing), nothing, turn_end)
    # The text of all turns lies in one buffer: decode it once instead of string by string.
    offsets = np.frombuffer(ended.buffers()[1], dtype=np.int64)[ended.offset : ended.offset + len(ended) + 1]
    raw = memoryview(ended.buffers()[2] or b"")[offsets[0] : offsets[-1]] if len(ended) else memoryview(b"")
    try:
        codes = np.frombuffer(str(raw, "utf-8").encode("utf-32-le"), dtype="<u4").astype(np.uint32, copy=False)
    except UnicodeError as error:
        raise DataError(
            f"a text is not valid UTF-8 ({error}); read the file again with votecast.read_votes, which repairs it"
        ) from error

    # Sums over the turns of each text are differences of one cumulative sum.
    rows = np.concatenate([[0], np.cumsum(turns)]).astype(np.int64)
    sizes = np.minimum(written, limit) + len(TURN_END)
    starts, total, blank = (np.concatenate([[0], np.cumsum(each)])[rows] for each in (sizes, written, written == 0))
    kinds = character_tables()[0][codes]
    owner = np.repeat(np.arange(turns.size), np.diff(starts))
    by_kind = np.bincount(owner * len(KINDS) + kinds, minlength=turns.size * len(KINDS)).reshape(-1, len(KINDS))
    return Texts(codes, starts, np.diff(rows), np.diff(total), np.diff(blank), kinds, owner, by_kind)


BUCKETS = 1024
_BUCKET_SHIFT = np.uint32(22)  # the upper 10 of 32 bits of a hash are its bucket
_BOUNDARY = 0x20
_STEP, _MIX = np.uint32(0x01000193), np.uint32(0x2C1B3C6D)
_MAX_COUNT = 255
# log(1 + count) to 12 binary digits: sums of its squares are exact in any order, on any machine.
_GROWTH = np.rint(np.log1p(np.arange(_MAX_COUNT + 1)) * 2**12) / 2**12


def hashed_runs(texts: Texts, first: int) -> NDArray[np.float16]:
    """Weigh the hashed runs of two to four characters of the texts from `first` on.

    Runs lie within words, which they may enter or leave by one boundary ("character n-grams within word boundaries",
    Cavnar & Trenkle 1994). The row of a text holds log(1 + count), divided by its norm.

    Returns:
        Matrix of shape (texts - first, BUCKETS).
    """
    start, n = int(texts.starts[first]), texts.turns.size - first
    letter = texts.is_kind("lower", "upper", "digit", *ALPHABETS)[start:]
    codes = np.full(letter.size + 3, _BOUNDARY, dtype=np.uint32)
    np.copyto(codes[1:-2], character_tables()[1][texts.codes[start:]], where=letter)
    row = ((texts.owner[start:] - first) * BUCKETS)[letter]
    counts = np.zeros(n * BUCKETS, dtype=np.int64)
    for size in (2, 3, 4):
        # The run that begins one place before each letter: FNV-1a (Fowler, Noll & Vo 1991), then a finaliser.
        hashes = codes[: letter.size] + np.uint32(size)
        for place in range(1, size):
            hashes = hashes * _STEP ^ codes[place : letter.size + place]
        hashes ^= hashes >> np.uint32(15)
        hashes *= _MIX
        hashes ^= hashes >> np.uint32(13)
        hashes *= _STEP
        keys = row + (hashes >> _BUCKET_SHIFT).astype(np.int64)[letter]
        if size == 4:  # words of one letter have no run of four
            keys = keys[np.append(letter[1:], False)[letter]]
        counts += np.bincount(keys, minlength=counts.size)
    values = _GROWTH[np.minimum(counts, _MAX_COUNT)].reshape(n, BUCKETS)
    norm = np.sqrt(np.sum(values * values, axis=1, keepdims=True))
    return np.asarray((values / np.maximum(norm, 1)).astype(np.float16))
