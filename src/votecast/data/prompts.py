"""When two prompts count as the same text, and the shingles by which they count as nearly the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import rows_of

SHINGLE = 3
"""Tokens in a shingle."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"  # CJK
)
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")
_FORMAT = "Cf"
_BLOCK_CHARACTERS = 1 << 22


class _Folding(dict[int, str | int | None]):
    """What becomes of a code point: punctuation, spaces and controls a space; invisible format characters nothing."""

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
    emoji) stay, so that "C++" is not "C". A prompt of nothing but punctuation keeps it, so that "?" is not the empty
    prompt.

    Args:
        text: A prompt, or the turns of one joined.

    Returns:
        The normalised text; empty only where the prompt holds no visible character.

    Example:
        >>> normalise_prompt("  Why is the sky\n*BLUE*?! ")
        'why is the sky blue'
        >>> normalise_prompt("???"), normalise_prompt(" \n ")
        ('???', '')
    """
    folded = text.lower() if text.isascii() else _nfkc(_nfkc(text).casefold())
    words = folded.translate(_FOLDING).split()
    return " ".join(words or folded.split())


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def normalised_prompts(battles: Battles, *, first_turn: bool = False) -> list[str]:
    """The normalised prompt of every row, empty where there is none.

    Args:
        battles: The rows.
        first_turn: Take the first turn alone, not all turns joined.
    """
    last = 1 if first_turn else None
    return [
        normalise_prompt("\n".join(turn for turn in turns[:last] if turn))
        for turns in rows_of(battles.column("prompt"))
    ]


def shingle_sets(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash the runs of three tokens in every normalised text.

    A token is a word, or one character in scripts that are written without spaces (Chinese, Japanese, Korean, Thai
    ...), so that mixed texts need no guess of their language. A text is framed by a start and an end mark: one of n
    tokens has n shingles, and short texts need no rule of their own. Shingles: Broder (1997), "On the resemblance and
    containment of documents".

    Args:
        texts: Normalised texts, n of them.

    Returns:
        The distinct shingle hashes of all texts one after the other, and the offsets of shape (n + 1,) at which each
        begins.

    Example:
        >>> hashes, offsets = shingle_sets(["why is the sky blue", "", "ja ja ja ja"])
        >>> offsets.tolist()
        [0, 5, 5, 8]
    """
    parts: list[NDArray[np.uint64]] = []
    sizes: list[NDArray[np.int64]] = []
    for block in _blocks(texts):
        hashes, counts = _block_shingles(block)
        parts.append(hashes)
        sizes.append(counts)
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, dtype=np.int64), *sizes]))]).astype(np.int64)
    return np.concatenate([np.zeros(0, dtype=np.uint64), *parts]), offsets


def _blocks(texts: Sequence[str]) -> Iterable[Sequence[str]]:
    start, size = 0, 0
    for stop, text in enumerate(texts, start=1):
        size += len(text)
        if size > _BLOCK_CHARACTERS:
            yield texts[start:stop]
            start, size = stop, 0
    yield texts[start:]


def _block_shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    tokens = [text.split() if text.isascii() else _TOKEN.findall(text) for text in texts]
    counts = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    rows = np.repeat(np.arange(len(tokens)), counts)
    hashes = _token_hashes([token for row in tokens for token in row])
    first = np.concatenate([[True], rows[1:] != rows[:-1]])[: len(rows)]
    last = np.concatenate([rows[1:] != rows[:-1], [True]])[: len(rows)]
    before = np.where(first, np.uint64(1), np.roll(hashes, 1))
    after = np.where(last, np.uint64(2), np.roll(hashes, -1))
    shingles = _mix(_mix(_mix(before) ^ hashes) ^ after)
    order = np.lexsort((shingles, rows))
    rows, shingles = rows[order], shingles[order]
    fresh = np.concatenate([[True], (rows[1:] != rows[:-1]) | (shingles[1:] != shingles[:-1])])[: len(rows)]
    return shingles[fresh], np.bincount(rows[fresh], minlength=len(texts)).astype(np.int64)


def _token_hashes(tokens: list[str]) -> NDArray[np.uint64]:
    from rensa import RMinHash

    encoded = pa.array(tokens, pa.large_string()).dictionary_encode()
    distinct = RMinHash.hash_token_sets([encoded.dictionary.to_pylist()])[0]
    out: NDArray[np.uint64] = np.array(distinct, dtype=np.uint64)[encoded.indices.to_numpy()]
    return out


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): spreads every bit over all others."""
    mixed: NDArray[np.uint64] = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
