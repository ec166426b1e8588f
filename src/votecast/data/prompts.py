"""Normalise prompts, so that equal prompts are equal texts, and hash their shingles, to find similar ones.

Clusters of duplicates, folds and the leak check call these.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import rows_of

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"  # CJK
)
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_FORMAT = "Cf"
_BLOCK_CHARACTERS = 1 << 22


class _Folding(dict[int, str | int | None]):
    """Maps punctuation, spaces and control characters to a space, and invisible format characters to nothing."""

    def __missing__(self, code: int) -> str | int | None:
        kind = unicodedata.category(chr(code))
        folded = None if kind == _FORMAT else " " if kind[0] in "PZ" or kind == "Cc" else code
        self[code] = folded
        return folded


_FOLDING = _Folding()


def normalise_prompt(text: str) -> str:
    r"""Reduce a prompt to what makes it the same prompt for a reader.

    Compatibility forms are unified (NFKC), case is folded, every run of white space, control characters and punctuation
    becomes one space, invisible format characters disappear. Letters, digits, accents and symbols (`+`, `=`, `$`,
    emoji) stay, so that "C++" is not "C". A prompt of nothing but punctuation keeps it. The
    text is empty only where the prompt holds no visible character.

    Example:
        >>> normalise_prompt("  Why is the sky\n*BLUE*?! ")
        'why is the sky blue'
        >>> normalise_prompt("???"), normalise_prompt(" \n ")
        ('???', '')
    """
    if text.isascii():
        folded = text.lower()
    else:  # case folding can undo NFKC, so that it is applied again
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = folded.translate(_FOLDING).split()
    return " ".join(words or folded.split())


def normalised_prompts(battles: Battles, *, first_turn: bool = False) -> list[str]:
    """Return the normalised prompt of every row, or its first turn alone, empty where there is none.

    It is computed once for a table.
    """
    key, last = ("first turn", 1) if first_turn else ("prompt", None)
    if key not in battles.known:
        turns = rows_of(battles.column("prompt"))
        battles.known[key] = [normalise_prompt("\n".join(turn for turn in each[:last] if turn)) for each in turns]
    return battles.known[key]


def shingle_sets(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash the runs of three tokens in every normalised text.

    A token is a word, or one character in scripts that are written without spaces, so that mixed texts need no guess of
    their language. A text is framed by a start and an end mark: one of n tokens has n shingles. Shingles: Broder
    (1997), "On the resemblance and containment of documents".

    Returns:
        The distinct shingle hashes of all texts one after the other, and the offsets of shape (n + 1,) at which each
        begins.

    Example:
        >>> hashes, offsets = shingle_sets(["why is the sky blue", "", "ja ja ja ja"])
        >>> offsets.tolist()
        [0, 5, 5, 8]
    """
    hashes = [np.zeros(0, dtype=np.uint64)]
    counts = [np.zeros(1, dtype=np.int64)]
    start, size = 0, 0
    for stop, text in enumerate(texts, start=1):
        size += len(text)
        if size > _BLOCK_CHARACTERS or stop == len(texts):  # blocks bound the memory
            found = _block_shingles(texts[start:stop])
            hashes.append(found[0])
            counts.append(found[1])
            start, size = stop, 0
    return np.concatenate(hashes), np.cumsum(np.concatenate(counts))


def _block_shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the sorted distinct shingle hashes of each text one after the other, and their counts, shape (n,)."""
    from rensa import RMinHash

    # Nearly all prompts are ASCII, where splitting is faster than the regular expression.
    tokens = [text.split() if text.isascii() else _TOKEN.findall(text) for text in texts]
    counts = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    rows = np.repeat(np.arange(len(tokens)), counts)
    encoded = pa.array([token for row in tokens for token in row], pa.large_string()).dictionary_encode()
    distinct = RMinHash.hash_token_sets([encoded.dictionary.to_pylist()])[0]
    hashes = np.array(distinct, dtype=np.uint64)[encoded.indices.to_numpy()]  # (tokens,)
    first = np.concatenate([[True], rows[1:] != rows[:-1]])[: len(rows)]
    last = np.concatenate([rows[1:] != rows[:-1], [True]])[: len(rows)]
    before = np.where(first, np.uint64(1), np.roll(hashes, 1))  # 1 and 2 stand for the start and the end of a text
    after = np.where(last, np.uint64(2), np.roll(hashes, -1))
    shingles = _mix(_mix(_mix(before) ^ hashes) ^ after)
    order = np.lexsort((shingles, rows))
    rows, shingles = rows[order], shingles[order]
    fresh = np.concatenate([[True], (rows[1:] != rows[:-1]) | (shingles[1:] != shingles[:-1])])[: len(rows)]
    return shingles[fresh], np.bincount(rows[fresh], minlength=len(texts)).astype(np.int64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all others, as the finaliser of SplitMix64 does (Steele, Lea and Flood, 2014)."""
    mixed: NDArray[np.uint64] = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
