"""Sample rows of a stream, stratified by label, in the order of the file.

`VoteReader` calls it for `sample`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.errors import ConfigError


class StratifiedSample:
    """Choose a fraction of the rows of each label while they pass by.

    Every label keeps its share to within one row, the order stays, and the choice does not depend on the batches.

    Args:
        fraction: Share of the rows to keep, above 0 and at most 1.
        seed: Seed of the draw.

    Raises:
        ConfigError: If the fraction lies outside its range.
    """

    def __init__(self, fraction: float, seed: int = 0) -> None:
        if not 0 < fraction <= 1:
            raise ConfigError(f"sample is {fraction}; allowed is a fraction above 0 and at most 1")
        self._fraction = fraction
        self._seed = seed
        self._strata: dict[str | None, tuple[Iterator[int], int, int]] = {}  # draws, the next of them, rows seen

    def choose(self, labels: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return which of the next rows are drawn, shape (n,), by their labels; null is a stratum of its own."""
        chosen = np.zeros(len(labels), dtype=bool)
        encoded = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
        encoded = encoded.dictionary_encode(null_encoding="encode")
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        for code, label in enumerate(encoded.dictionary.to_pylist()):
            rows = np.flatnonzero(codes == code)
            if label not in self._strata:
                # The label is part of the seed: strata are drawn independently of each other.
                draws = _draw_positions(self._fraction, f"{self._seed}/{label}")
                self._strata[label] = draws, next(draws), 0
            draws, upcoming, seen = self._strata[label]
            while upcoming < seen + len(rows):
                chosen[rows[upcoming - seen]] = True
                upcoming = next(draws)
            self._strata[label] = draws, upcoming, seen + len(rows)
        return chosen


def _draw_positions(fraction: float, seed: str) -> Iterator[int]:
    """Draw one position at random from each interval of 1 / fraction rows."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    last = -1
    # `last + 1` keeps positions apart where intervals are shorter than a row and a half.
    for interval in itertools.count():
        last = max(int((interval + random.random()) / fraction), last + 1)
        yield last
