"""A few numbers in place of thousands of hashed terms: differences of the answers in words and runs of characters.

The trees of `models.boosting` read them beside the features of the pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from votecast.config import Settings
from votecast.features import BUCKETS, COLUMNS, PairFeatures
from votecast.models.array_files import read_arrays

FOLDED = 1024
"""Columns that the hashed words are folded into before they are reduced."""
_BATCH = 4096  # rows at a time: the dense differences of all rows would not fit in memory


class ReductionSettings(Settings):
    """Settings of the reduced differences that the trees see.

    Args:
        words: Components of the difference in words and pairs of words; 0 leaves them out.
        characters: Components of the difference in runs of characters; 0 leaves them out.
        rows: Most rows that the components are fitted on, drawn evenly.
    """

    words: int = Field(8, ge=0, le=FOLDED)
    characters: int = Field(8, ge=0, le=BUCKETS)
    rows: int = Field(10_000, ge=1)


@dataclass(frozen=True)
class Reduction:
    """Directions in which pairs of answers differ most: a truncated singular value decomposition of the differences.

    "Latent semantic indexing" (Deerwester et al. 1990) of answer a less answer b. Differences and directions are kept
    in half precision: every product and every sum of them is exact in double precision, so that neither the order of
    summation nor the other rows can change a bit, and swapping the answers changes the sign and nothing else.

    Args:
        words: Directions of the folded words, float16 of shape (FOLDED, k).
        characters: Directions of the runs of characters, float16 of shape (BUCKETS, k).
    """

    words: NDArray[np.float16]
    characters: NDArray[np.float16]

    @classmethod
    def fit(cls, features: PairFeatures, settings: ReductionSettings) -> Self:
        """Find the leading right singular vectors of differences whose rare columns count for more."""
        some = features.take(np.unique(np.linspace(0, len(features) - 1, settings.rows).astype(np.int64)))
        found: list[NDArray[np.float16]] = []
        for differences, k in ((folded(some.terms), settings.words), (some.characters, settings.characters)):
            matrix = differences.astype(np.float32)  # (rows, columns)
            seen = np.count_nonzero(matrix, axis=0)
            rarity = (np.log((1 + len(matrix)) / (1 + seen)) + 1) / np.log(2 + len(matrix))
            matrix *= rarity.astype(np.float32)
            with threadpool_limits(1):  # BLAS on several threads adds in another order
                _, vectors = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
            leading = vectors[:, ::-1][:, :k]  # eigh sorts by rising eigenvalue
            # an eigenvector has no sign of its own: its largest entry is made positive
            leading = leading * np.sign(leading[np.argmax(np.abs(leading), axis=0), np.arange(leading.shape[1])])
            found.append((leading * rarity[:, None]).astype(np.float16))
        return cls(*found)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read directions from a file of safetensors.

        Raises:
            ValueError: If an array has another shape or precision, or a value that is not finite.
        """
        arrays = read_arrays(
            path, {"words": (FOLDED, None), "characters": (BUCKETS, None)}, halves=("words", "characters")
        )
        for name, array in arrays.items():
            if array.shape[1] > len(array):
                raise ValueError(f"{name} has {array.shape[1]} components of {len(array)} columns")
        return cls(arrays["words"], arrays["characters"])

    def components(self, features: PairFeatures) -> NDArray[np.float32]:
        """Compute the components of each battle, shape (n, words + characters)."""
        # Both factors are multiples of 2^-24 and no sum exceeds 2^5, so that double precision holds products exactly.
        words, characters = self.words.astype(np.float64), self.characters.astype(np.float64)
        out = np.empty((len(features), words.shape[1] + characters.shape[1]), dtype=np.float32)
        for start in range(0, len(features), _BATCH):
            part = slice(start, start + _BATCH)
            out[part, : words.shape[1]] = folded(features.terms[part]).astype(np.float64) @ words
            out[part, words.shape[1] :] = features.characters[part].astype(np.float64) @ characters
        return out


def folded(terms: csr_matrix) -> NDArray[np.float16]:
    """Fold hashed terms into fewer columns, half of them with the opposite sign (Weinberger et al. 2009)."""
    step = COLUMNS // FOLDED
    sign = 1 - 2 * (terms.indices % 2)
    rows = np.repeat(np.arange(terms.shape[0]), np.diff(terms.indptr))
    flat = np.bincount(rows * FOLDED + terms.indices // step, terms.data * sign, minlength=terms.shape[0] * FOLDED)
    return np.asarray(flat.reshape(terms.shape[0], FOLDED).astype(np.float16))
