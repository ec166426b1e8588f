"""Sample rows of a stream, stratified by label, in the order of the file.

`VoteReader` calls it for `sample`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.errors import ConfigError


class StratifiedSample:
    """Choose a fraction of the rows of each label while they pass by.

    The rows of one label are divided into intervals of 1 / fraction rows, and one row is drawn at random from each.
    Every label keeps its share to within one row, the order stays, and the choice does not depend on the batches.

    Args:
        fraction: Share of the rows to keep, above 0 and at most 1.
        seed: Seed of the draw.

    Raises:
        ConfigError: If the fraction lies outside its range.

    Example:
        >>> draw = StratifiedSample(0.5, seed=0)
        >>> int(draw.choose(pa.array(["a", "a", "b", "b"])).sum())
        2
    """

    def __init__(self, fraction: float, seed: int = 0) -> None:
        if not 0 < fraction <= 1:
            raise ConfigError(f"sample is {fraction}; allowed is a fraction above 0 and at most 1")
        self._fraction = fraction
        self._seed = seed
        self._strata: dict[str | None, _Stratum] = {}

    def choose(self, labels: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return which of the next rows are drawn.

        Args:
            labels: Their labels; null is a stratum of its own.

        Returns:
            Mask of shape (n,).
        """
        chosen = np.zeros(len(labels), dtype=bool)
        encoded = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
        encoded = encoded.dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        for code, label in enumerate(encoded.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            stratum = self._strata.setdefault(label, _Stratum(self._fraction, f"{self._seed}/{label}"))
            chosen[rows[stratum.draw(len(rows))]] = True
        return chosen


class _Stratum:
    def __init__(self, fraction: float, seed: str) -> None:
        self._fraction = fraction
        # The label is part of the seed: strata are drawn independently of each other.
        self._random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
        self._seen = 0
        self._interval = 0
        self._next = self._target(-1)

    def draw(self, count: int) -> list[int]:
        """Draw among the next `count` rows of this stratum; return their positions."""
        drawn = []
        while self._next < self._seen + count:
            drawn.append(self._next - self._seen)
            self._interval += 1
            self._next = self._target(self._next)
        self._seen += count
        return drawn

    def _target(self, last: int) -> int:
        return max(int((self._interval + self._random.random()) / self._fraction), last + 1)
