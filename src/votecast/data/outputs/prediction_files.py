"""Write and read files of predictions and of decisions.

The jobs behind `predict` and `decide` write them; `evaluate`, `ensemble` and `rank` read predictions back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.artifacts import settings_path
from votecast.data.io import RawBatch, TableStream, open_table
from votecast.data.io.stream import shown
from votecast.data.outputs.score_files import read_ids, read_numbers
from votecast.data.outputs.table_writer import ResultWriter, container_of, read_settings
from votecast.data.row_batch import RowBatch
from votecast.errors import ArtifactError, ConfigError, DataError
from votecast.types import CLASSES, ROUNDING, SUM_TOLERANCE, Probabilities

JUDGE_KEY: Final = "votecast.judge"
SETTINGS_KEY: Final = "votecast.settings"
COLUMNS: Final = {
    "votecast": ("p_a", "p_b", "p_tie"),
    "lmsys": ("winner_model_a", "winner_model_b", "winner_tie"),
}
OUTCOMES: Final = ("a", "b", "open")
COUNTS: Final = "decisions"


class PredictionWriter(ResultWriter):
    """Write predictions as they come, atomically; `<path>.settings.json` names judge, settings and SHA-256.

    Args:
        path: The file; its suffix says csv, tsv, jsonl, parquet or arrow, perhaps followed by .gz or .zst.
        format: "votecast" (`id, p_a, p_b, p_tie`; in JSON lines the objects of the service), "lmsys" (a submission of
            three probabilities) or "wsdm" (a submission of the likelier model).
        judge: Name and hash of the judge.
        metadata: The settings of the predictions; anything JSON can hold.
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

    ensure_ascii = False

    def __init__(
        self,
        path: str | Path,
        *,
        format: str = "votecast",
        judge: Mapping[str, str] | None = None,
        metadata: Mapping[str, object] | None = None,
        overwrite: bool = False,
    ) -> None:
        if format not in (*COLUMNS, "wsdm"):
            raise ConfigError(f"the format {format!r} is unknown; predictions are written as votecast, lmsys or wsdm")
        self._judge, self._settings, self._format = dict(judge or {}), dict(metadata or {}), format
        texts = {
            key: json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
            for key, value in ((JUDGE_KEY, self._judge), (SETTINGS_KEY, self._settings))
        }
        super().__init__(path, texts, overwrite=overwrite)
        self._is_jsonl = container_of(path)[0] == "jsonl"

    def write(self, ids: Sequence[str], probabilities: Probabilities) -> None:
        """Add rows of checked probabilities, shape (n, 3); see `check_predictions`."""
        self.write_table(self.table(pa.array(ids, pa.large_string()), probabilities))

    def table(self, ids: pa.Array, p: Probabilities) -> pa.Table:
        """Return the rows of the file for these predictions, shape (n, 3)."""
        if self._format == "wsdm":
            return pa.table({"id": ids, "winner": pa.array(np.where(p[:, 1] > p[:, 0], "model_b", "model_a").tolist())})
        if self._format != "votecast" or not self._is_jsonl:
            return pa.table({"id": ids} | dict(zip(COLUMNS[self._format], p.T, strict=True)))
        shares = pa.StructArray.from_arrays([pa.array(column) for column in p.T], names=list(CLASSES))
        columns = {"id": ids, "probabilities": shares, "decision": pa.array(decide(p), pa.string())}
        if self._judge:
            kind = pa.struct([(name, pa.string()) for name in self._judge])
            columns["judge"] = pa.array([self._judge] * len(ids), kind)
        return pa.table(columns)

    def empty_table(self) -> pa.Table:
        """Return the table of a file without rows."""
        return self.table(pa.array([], pa.large_string()), np.empty((0, len(CLASSES))))

    def settings(self) -> dict[str, object]:
        """Return format, judge, rows and settings."""
        return {"format": self._format, "judge": self._judge, "rows": self.rows, "settings": self._settings}


class DecisionWriter(PredictionWriter):
    """Write `id, p_a, p_b, p_tie, decision, confidence` as they come, atomically.

    `<path>.settings.json` holds beside judge, settings and SHA-256 how many rows were decided, and how.

    Args:
        path: The file, as for `PredictionWriter`.
        decide: From probabilities of shape (n, 3) to the decisions ("a", "b" or "open") and their confidence.
        beside: Returns further JSON-able settings; called once all rows are written.
        **options: As of `PredictionWriter`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        decide: Callable[[Probabilities], tuple[list[str], NDArray[np.float64]]],
        beside: Callable[[], Mapping[str, object]] = dict,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self._decide, self._further = decide, beside
        self._counts = dict.fromkeys(OUTCOMES, 0)

    def table(self, ids: pa.Array, p: Probabilities) -> pa.Table:
        """Return the rows of the file, and count the decisions."""
        decisions, confidence = self._decide(p)
        for name in OUTCOMES:
            self._counts[name] += decisions.count(name)
        shares = dict(zip(COLUMNS["votecast"], p.T, strict=True))
        return pa.table({"id": ids} | shares | {"decision": pa.array(decisions, pa.string()), "confidence": confidence})

    def settings(self) -> dict[str, object]:
        """Return the settings of predictions, the counts, and what the caller adds."""
        return super().settings() | {COUNTS: self._counts} | dict(self._further())


def write_predictions(
    predictions: Iterable[tuple[Sequence[str], Probabilities]], path: str | Path, **options: Any
) -> int:
    """Write predictions, pairs of ids and probabilities of shape (n, 3), as they come; return the number of rows.

    The options are those of `PredictionWriter`.

    Raises:
        DataError: If a row is not a distribution; nothing is left behind.
    """
    with PredictionWriter(path, **options) as writer:
        for ids, probabilities in predictions:
            p = np.asarray(probabilities, dtype=np.float64)
            check_predictions(ids, p, after=writer.rows)
            writer.write(ids, p)
    return writer.rows


def read_predictions(path: str | Path) -> tuple[list[str], Probabilities, dict[str, str] | None]:
    """Read predictions, as `PredictionWriter` writes them, or a submission of three probabilities.

    Returns:
        The ids, the probabilities of shape (n, 3) as they stand, which sum to 1 but for rounding, and name and hash of
        the judge where they are known. `Predictions` rescales them.

    Raises:
        DataError: If the file holds no predictions but votes, for example, or a row is not a distribution; the message
            names it.
    """
    ids: list[str] = []
    parts: list[Probabilities] = [np.empty((0, len(CLASSES)))]
    with open_table(path) as stream:
        names = _find_columns(stream)
        text = (stream.schema.metadata or {}).get(JUDGE_KEY.encode(), b"")
        try:
            judge = _as_judge(json.loads(text.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            judge = None
        for batch in stream:
            missing = [repr(name) for name in ("id", *names) if name not in batch.table.column_names]
            if missing:
                raise DataError(
                    f"{stream.path}, row {batch.rows[0]}: {', '.join(missing)} is missing; every row needs an id and "
                    "probabilities"
                )
            ids += read_ids(stream.path, batch)
            parts.append(_read_batch(stream.path, batch, names))
            if bad := _bad_row(parts[-1], ROUNDING):
                raise DataError(f"{stream.path}, row {batch.rows[bad[0]]} {bad[1]}")
            if judge is None and "judge" in batch.table.column_names and batch.table.num_rows:
                judge = _as_judge(batch.table.column("judge")[0].as_py())
    p = np.concatenate(parts)
    judge = judge or _as_judge(read_settings(path, "remove it, or write the predictions again").get("judge"))
    if judge is None and names == COLUMNS["lmsys"] and len(p) and (p.max(axis=1) == 1).all():
        # Votes have the columns of a submission; as predictions they would be those of an oracle.
        raise DataError(
            f"{path} holds votes, not predictions: each of its {len(p):,} rows is 1 for one outcome and 0 for the "
            "others; give a file that votecast predict has written, or give the votes as --input"
        )
    return ids, p, judge


def read_counts(path: str | Path) -> dict[str, int]:
    """Read how many rows of a file of decisions are decided for a, for b, and abstained on.

    Raises:
        ArtifactError: If the settings beside the file are missing or invalid.
    """
    try:
        counts = json.loads(settings_path(path).read_text("utf-8"))[COUNTS]
        return {name: int(counts[name]) for name in OUTCOMES}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError(
            f"{settings_path(path)} does not hold counts of decisions ({type(error).__name__}); decide again with "
            "--overwrite"
        ) from error


def check_predictions(ids: Sequence[str], p: Probabilities, *, after: int = 0) -> None:
    """Raise `DataError` if probabilities do not fit the ids or are not distributions; `after` rows came before."""
    if p.shape != (len(ids), len(CLASSES)):
        raise DataError(f"there are {len(ids)} ids and probabilities of shape {p.shape}; expected is ({len(ids)}, 3)")
    if bad := _bad_row(p):
        raise DataError(f"prediction {after + bad[0] + 1} (id {ids[bad[0]]!r}) {bad[1]}")


def _bad_row(p: Probabilities, tolerance: float = SUM_TOLERANCE) -> tuple[int, str] | None:
    """Return the first row that is no distribution, and what is wrong with it."""
    bad = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= tolerance))
    row = int(np.argmax(bad)) if bad.any() else None
    if row is None:
        return None
    return row, (
        f"has probabilities {p[row].tolist()}, which sum to {p[row].sum():.6g}; each must lie in [0, 1], together "
        "they must sum to 1"
    )


def decide(p: Probabilities) -> list[str]:
    """Return the likeliest outcome of each row; equal shares for a and b decide for neither.

    Example:
        >>> decide(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]))
        ['a', 'tie']
    """
    a, b, tie = p.T
    # A tie of a and b is broken for neither, so that swapping the responses swaps the decision.
    decided = np.select([(a > b) & (a >= tie), (b > a) & (b >= tie)], ["a", "b"], "tie")
    return [str(each) for each in decided]


def _find_columns(stream: TableStream) -> tuple[str, ...]:
    for names in (*COLUMNS.values(), ("probabilities",)):
        if {"id", *names} <= set(stream.names):
            return names
    if set(stream.names) == {"id", "winner"}:
        raise DataError(
            f"{stream.path} holds decisions without probabilities, as a wsdm submission does, and they cannot be "
            "measured; predict again with --format votecast"
        )
    raise DataError(
        f"{stream.path} holds no predictions: its columns are {', '.join(map(repr, stream.names))}; expected are "
        "id with p_a, p_b, p_tie, or with winner_model_a, winner_model_b, winner_tie, or with probabilities"
    )


def _read_batch(path: str, batch: RawBatch, names: tuple[str, ...]) -> Probabilities:
    """Return the probabilities of a batch, shape (n, 3), from three columns or from lists or objects in one."""
    if names != ("probabilities",):
        return np.column_stack([read_numbers(path, batch, name, "a probability is needed") for name in names])
    cells: list[Any] = RowBatch(batch, empty_is_missing=False).values("probabilities")
    out = np.empty((len(cells), len(CLASSES)))
    for at, cell in enumerate(cells):
        shares = [cell.get(name) for name in CLASSES] if isinstance(cell, dict) else cell
        is_list = isinstance(shares, list) and len(shares) == len(CLASSES)
        if not is_list or not all(isinstance(p, int | float) and not isinstance(p, bool) for p in shares):
            raise DataError(
                f"{path}, row {batch.rows[at]}, column 'probabilities': needed are three numbers under a, b "
                f"and tie; given is {shown(json.dumps(cell, default=str))}"
            )
        out[at] = shares
    return out


def _as_judge(value: object) -> dict[str, str] | None:
    is_judge = isinstance(value, dict) and bool(value) and all(isinstance(part, str) for part in value.values())
    return value if is_judge and isinstance(value, dict) else None
