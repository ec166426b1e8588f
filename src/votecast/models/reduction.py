"""A few numbers in place of thousands of hashed terms: differences of the answers in words and runs of characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from votecast.config import Settings
from votecast.features import BUCKETS, COLUMNS, PairFeatures

FOLDED = 1024
"""Columns that the hashed words are folded into before they are reduced."""
_BATCH = 4096


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
        words: Directions of the folded words, shape (FOLDED, k).
        characters: Directions of the runs of characters, shape (BUCKETS, k).
    """

    words: NDArray[np.float16]
    characters: NDArray[np.float16]

    @classmethod
    def fit(cls, features: PairFeatures, settings: ReductionSettings) -> Self:
        """Find the directions.

        Args:
            features: The battles to fit on; votes are not used.
            settings: How many components, from how many rows.
        """
        some = features.take(np.unique(np.linspace(0, len(features) - 1, settings.rows).astype(np.int64)))
        with threadpool_limits(1):
            return cls(
                _directions(folded(some.terms), settings.words),
                _directions(some.characters.astype(np.float32), settings.characters),
            )

    @property
    def names(self) -> list[str]:
        """Names of the components."""
        parts = (("words", self.words), ("characters", self.characters))
        return [f"{name}_{number}" for name, part in parts for number in range(part.shape[1])]

    def components(self, features: PairFeatures) -> NDArray[np.float32]:
        """Compute the components of each battle, shape (n, words + characters)."""
        out = np.empty((len(features), len(self.names)), dtype=np.float32)
        for start in range(0, len(features), _BATCH):
            part = slice(start, start + _BATCH)
            out[part] = np.concatenate(
                [
                    _exact_product(folded(features.terms[part]), self.words),
                    _exact_product(features.characters[part], self.characters),
                ],
                axis=1,
            )
        return out

    def arrays(self) -> dict[str, NDArray[np.float16]]:
        """Return everything learnt, as arrays."""
        return {"words": self.words, "characters": self.characters}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[np.float16]]) -> Self:
        """Read what `arrays` gave.

        Raises:
            ValueError: If an array has another shape or precision.
        """
        for name, rows in (("words", FOLDED), ("characters", BUCKETS)):
            if arrays[name].ndim != 2 or len(arrays[name]) != rows or arrays[name].dtype != np.float16:
                raise ValueError(f"{name} should be float16 of shape ({rows}, k), not {arrays[name].shape}")
        return cls(arrays["words"], arrays["characters"])


def folded(terms: csr_matrix) -> NDArray[np.float16]:
    """Fold hashed terms into fewer columns, half of them with the opposite sign (Weinberger et al. 2009)."""
    step = COLUMNS // FOLDED
    sign = 1 - 2 * (terms.indices % 2)
    rows = np.repeat(np.arange(terms.shape[0]), np.diff(terms.indptr))
    flat = np.bincount(rows * FOLDED + terms.indices // step, terms.data * sign, minlength=terms.shape[0] * FOLDED)
    return np.asarray(flat.reshape(terms.shape[0], FOLDED).astype(np.float16))


def _exact_product(differences: NDArray[np.float16], directions: NDArray[np.float16]) -> NDArray[np.float64]:
    """Product in double precision, in which it is exact: both are in steps of 2^-24, and no sum exceeds 2^5."""
    return np.asarray(differences.astype(np.float64) @ directions.astype(np.float64))


def _directions(differences: NDArray[np.floating], k: int) -> NDArray[np.float16]:
    """The k leading right singular vectors of differences whose rare columns count for more, signs fixed."""
    matrix = differences.astype(np.float32)
    seen = np.count_nonzero(matrix, axis=0)
    rarity = (np.log((1 + len(matrix)) / (1 + seen)) + 1) / np.log(2 + len(matrix))
    matrix *= rarity.astype(np.float32)
    _, vectors = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
    leading = vectors[:, ::-1][:, :k]
    leading = leading * np.sign(leading[np.argmax(np.abs(leading), axis=0), np.arange(leading.shape[1])])
    return np.asarray((leading * rarity[:, None]).astype(np.float16))
