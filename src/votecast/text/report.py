"""What a cut took away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

PARTS = ("prompt", "a", "b")


@dataclass(frozen=True)
class Cut:
    """Tokens of prompt and answers before and after a cut.

    Args:
        kept: Tokens kept of prompt, A and B, shape (n, 3).
        full: Tokens there were, shape (n, 3).

    Example:
        >>> cut = Cut(np.array([[2, 3, 3], [1, 1, 1]]), np.array([[4, 3, 6], [1, 1, 1]]))
        >>> cut.rows_cut, cut.to_dict()
        (1, {'rows': 2, 'rows_cut': 1, 'kept': {'prompt': 0.6, 'a': 1.0, 'b': 0.571}})
    """

    kept: NDArray[np.int64]
    full: NDArray[np.int64]

    @classmethod
    def concat(cls, parts: Sequence[Cut]) -> Cut:
        """The rows of all parts, one part after the other."""
        empty = np.zeros((0, 3), np.int64)
        return cls(
            np.concatenate([empty, *(part.kept for part in parts)]),
            np.concatenate([empty, *(part.full for part in parts)]),
        )

    @classmethod
    def of_answers(cls, a: Cut, b: Cut) -> Cut:
        """One report of two sequences a battle, (prompt, A) and (prompt, B); the prompt's is that of the shorter."""
        kept, full = a.kept + b.kept, a.full + b.full
        kept[:, 0], full[:, 0] = np.minimum(a.kept[:, 0], b.kept[:, 0]), a.full[:, 0]
        return cls(kept, full)

    def __len__(self) -> int:
        return len(self.full)

    def take(self, indices: ArrayLike) -> Cut:
        """The rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        return Cut(self.kept[rows], self.full[rows])

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Which rows lost a token, shape (n,)."""
        return np.asarray((self.kept < self.full).any(axis=1))

    @property
    def rows_cut(self) -> int:
        """Number of rows that lost a token."""
        return int(self.cut.sum())

    def to_dict(self) -> dict[str, Any]:
        """Number of rows, of rows that were cut, and the share of the tokens kept of each part."""
        kept, full = self.kept.sum(axis=0), self.full.sum(axis=0)
        shares = {part: round(float(k / f), 3) if f else 1.0 for part, k, f in zip(PARTS, kept, full, strict=True)}
        return {"rows": len(self), "rows_cut": self.rows_cut, "kept": shares}
