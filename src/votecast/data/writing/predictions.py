"""Predictions to a file: votecast's own columns, or a submission."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from votecast.artifacts import atomic_file, digest_of
from votecast.data.writing.sinks import Sink, container_of
from votecast.errors import ConfigError, DataError
from votecast.types import CLASSES, Probabilities

JUDGE_KEY = "votecast.judge"
SETTINGS_KEY = "votecast.settings"
SIDE_SUFFIX = ".settings.json"
COLUMNS = {
    "votecast": ("p_a", "p_b", "p_tie"),
    "lmsys": ("winner_model_a", "winner_model_b", "winner_tie"),
}
_TOLERANCE = 1e-6


class PredictionWriter:
    """Writes predictions as they come, whole or not at all; `<path>.settings.json` names judge, settings and SHA-256.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        format: "votecast" (`id, p_a, p_b, p_tie`; in JSON lines the objects of the service), "lmsys" (a submission of
            three probabilities) or "wsdm" (a submission of the likelier model).
        judge: Name and hash of the judge.
        metadata: The settings it was asked with; anything JSON can hold.
        overwrite: Whether existing files may be replaced.

    Raises:
        ConfigError: If suffix or format are unknown.
        ArtifactError: If the file exists or the disk refuses; nothing is left behind.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "submission.csv"
        >>> with PredictionWriter(out, format="lmsys") as writer:
        ...     writer.write(["7"], np.array([[0.5, 0.25, 0.25]]))
        >>> print(out.read_text(), end="")
        id,winner_model_a,winner_model_b,winner_tie
        7,0.5,0.25,0.25
    """

    def __init__(
        self,
        path: str | Path,
        *,
        format: str = "votecast",
        judge: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if format not in (*COLUMNS, "wsdm"):
            raise ConfigError(f"the format {format!r} is unknown; predictions are written as votecast, lmsys or wsdm")
        self.path = Path(path)
        self.rows = 0
        self._judge = dict(judge or {})
        self._metadata = dict(metadata or {})
        self._format = format
        self._layout = _layout(format, container_of(path)[0], self._judge)
        self._overwrite = overwrite
        self._files, self._open = contextlib.ExitStack(), contextlib.ExitStack()

    def __enter__(self) -> Self:
        texts = {JUDGE_KEY: _dump(self._judge), SETTINGS_KEY: _dump(self._metadata)}
        with contextlib.ExitStack() as files:
            self._side = files.enter_context(atomic_file(side_path(self.path), overwrite=True))
            self._part = files.enter_context(atomic_file(self.path, overwrite=self._overwrite))
            self._sink = self._open.enter_context(Sink(self._part, self.path, texts))
            self._files = files.pop_all()
        return self

    def write(self, ids: Sequence[str], probabilities: Probabilities) -> None:
        """Add rows, in the order they are to have in the file.

        Raises:
            DataError: If ids and probabilities do not fit together, or a row is no distribution.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        check_predictions(ids, p, after=self.rows)
        self._sink.write(self._layout(pa.array(ids, pa.large_string()), p))
        self.rows += len(ids)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            try:
                self._open.__exit__(kind, error, trace)
            finally:
                self._files.__exit__(kind, error, trace)
            return
        with self._files:
            with self._open:
                if not self.rows:
                    self.write([], np.empty((0, len(CLASSES))))
            self._write_side()

    def _write_side(self) -> None:
        """Name judge, settings and bytes beside the file, which is finished now."""
        self._side.write_text(
            json.dumps(self._beside(), indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8", "backslashreplace"
        )

    def _beside(self) -> dict[str, Any]:
        side = {"format": self._format, "judge": self._judge, "rows": self.rows, "settings": self._metadata}
        return side | {"sha256": digest_of(self._part)}


def write_predictions(
    predictions: Iterable[tuple[Sequence[str], Probabilities]], path: str | Path, **options: Any
) -> int:
    """Write predictions as they come.

    Args:
        predictions: Pairs of ids and probabilities of shape (n, 3).
        path: The file.
        **options: As for `PredictionWriter`.

    Returns:
        The number of rows.

    Raises:
        DataError: If a row is no distribution; nothing is left behind.
    """
    with PredictionWriter(path, **options) as writer:
        for ids, probabilities in predictions:
            writer.write(ids, probabilities)
    return writer.rows


def side_path(path: str | Path) -> Path:
    """Where the settings of a file of predictions lie.

    Example:
        >>> side_path("runs/p.csv").name
        'p.csv.settings.json'
    """
    return Path(f"{path}{SIDE_SUFFIX}")


def check_predictions(ids: Sequence[str], p: Probabilities, *, after: int = 0) -> None:
    """Refuse probabilities that do not fit the ids, or are no distribution.

    Args:
        ids: Names of the rows.
        p: Probabilities, which should have shape (n, 3).
        after: Rows that came before, for the message.

    Raises:
        DataError: For the first fault.
    """
    if p.shape != (len(ids), len(CLASSES)):
        raise DataError(f"there are {len(ids)} ids and probabilities of shape {p.shape}; expected is ({len(ids)}, 3)")
    check_distribution(p, lambda row: f"prediction {after + row + 1} (id {ids[row]!r})")


def check_distribution(p: Probabilities, place: Callable[[int], str]) -> None:
    """Refuse rows that are no distribution.

    Raises:
        DataError: For the first such row; `place` names it.
    """
    bad = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= _TOLERANCE))
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{place(row)} has probabilities {p[row].tolist()}; each must lie in [0, 1], together they must sum to 1"
        )


def decide(p: Probabilities) -> list[str]:
    """The likeliest outcome of each row; equal shares for a and b decide for neither.

    Example:
        >>> decide(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]))
        ['a', 'tie']
    """
    a, b, tie = p.T
    decided = np.select([(a > b) & (a >= tie), (b > a) & (b >= tie)], ["a", "b"], "tie")
    return [str(each) for each in decided]


_Layout = Callable[[pa.Array, Probabilities], pa.Table]


def _layout(format: str, container: str, judge: Mapping[str, str]) -> _Layout:
    if format == "wsdm":
        return _wsdm
    if format == "votecast" and container == "jsonl":
        return functools.partial(_objects, judge)
    names = COLUMNS[format]
    return lambda ids, p: pa.table({"id": ids} | {name: p[:, k] for k, name in enumerate(names)})


def _wsdm(ids: pa.Array, p: Probabilities) -> pa.Table:
    return pa.table(
        {"id": ids, "winner": pa.array(np.where(p[:, 1] > p[:, 0], "model_b", "model_a").tolist(), pa.string())}
    )


def _objects(judge: Mapping[str, str], ids: pa.Array, p: Probabilities) -> pa.Table:
    shares = pa.StructArray.from_arrays([pa.array(p[:, k]) for k in range(len(CLASSES))], names=list(CLASSES))
    columns = {"id": ids, "probabilities": shares, "decision": pa.array(decide(p), pa.string())}
    if judge:
        columns["judge"] = pa.array([dict(judge)] * len(ids), pa.struct([(name, pa.string()) for name in judge]))
    return pa.table(columns)


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace").decode("utf-8")
