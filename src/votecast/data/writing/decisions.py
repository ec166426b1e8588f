"""Decisions to a file: probabilities, what is decided, and how sure that is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.writing.predictions import PredictionWriter, side_path
from votecast.errors import ArtifactError
from votecast.types import Probabilities

OUTCOMES: Final = ("a", "b", "open")
COUNTS: Final = "decisions"


class DecisionWriter(PredictionWriter):
    """Writes `id, p_a, p_b, p_tie, decision, confidence` as they come, whole or not at all.

    `<path>.settings.json` says beside judge, settings and SHA-256 how many rows were decided, and how.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        decide: From probabilities of shape (n, 3) to the decisions ("a", "b" or "open") and how sure they are.
        beside: JSON-able: what else the settings are to say, asked for once all rows are written.
        **options: As of `PredictionWriter`.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "decisions.csv"
        >>> with DecisionWriter(out, decide=lambda p: (["a"] * len(p), p[:, 0])) as writer:
        ...     writer.write(["7"], np.array([[0.75, 0.125, 0.125]]))
        >>> print(out.read_text(), end="")
        id,p_a,p_b,p_tie,decision,confidence
        7,0.75,0.125,0.125,a,0.75
        >>> read_counts(out)
        {'a': 1, 'b': 0, 'open': 0}
    """

    def __init__(
        self,
        path: str | Path,
        *,
        decide: Callable[[Probabilities], tuple[list[str], NDArray[np.float64]]],
        beside: Callable[[], Mapping[str, Any]] = dict,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self._decide, self._known = decide, beside
        self._layout = self._decided
        self._counts = dict.fromkeys(OUTCOMES, 0)

    def _decided(self, ids: pa.Array, p: Probabilities) -> pa.Table:
        decisions, confidence = self._decide(p)
        for name in OUTCOMES:
            self._counts[name] += decisions.count(name)
        shares = {"p_a": p[:, 0], "p_b": p[:, 1], "p_tie": p[:, 2]}
        return pa.table({"id": ids} | shares | {"decision": pa.array(decisions, pa.string()), "confidence": confidence})

    def _beside(self) -> dict[str, Any]:
        return super()._beside() | {COUNTS: self._counts} | dict(self._known())


def read_counts(path: str | Path) -> dict[str, int]:
    """How many rows of a file of decisions are decided for a, for b, and left open.

    Raises:
        ArtifactError: If what lies beside the file does not say.
    """
    try:
        counts = json.loads(side_path(path).read_text("utf-8"))[COUNTS]
        return {name: int(counts[name]) for name in OUTCOMES}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{side_path(path)} does not say what was decided ({type(error).__name__}); decide again with --overwrite"
        ) from error
