"""Bad rows: an error, or a line in a side file that says what was wrong."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from votecast.artifacts import atomic_file, check_free
from votecast.data.io import BadRow
from votecast.errors import DataError


class BadRows:
    """Where bad rows go.

    Args:
        path: The file they come from.
        side_file: JSON lines to write them to, whole or not at all; None makes the first one an error.
        overwrite: Whether an existing side file may be replaced.

    Attributes:
        count: Rows set aside.

    Raises:
        ArtifactError: If the side file is in the way; nothing is read.

    Example:
        >>> with BadRows("votes.csv", None) as bad:
        ...     bad.add(BadRow(3, "winner", "draw", "allowed are a, b and tie"))
        Traceback (most recent call last):
        votecast.errors.DataError: votes.csv, row 3, column 'winner': allowed are a, b and tie; given is 'draw'; ...
    """

    def __init__(self, path: str, side_file: Path | None, *, overwrite: bool = False) -> None:
        if side_file is not None:
            check_free(side_file, overwrite=overwrite)
        self.count = 0
        self._path = path
        self._side_file = side_file
        self._overwrite = overwrite
        self._open = contextlib.ExitStack()
        self._file: IO[str] | None = None

    def add(self, bad: BadRow, cells: dict[str, Any] | None = None) -> None:
        """Set one row aside.

        Args:
            bad: The row and what is wrong with it.
            cells: The whole row, where it could be taken apart.

        Raises:
            DataError: If bad rows are an error.
        """
        if self._side_file is None:
            raise DataError(
                f"{bad.message(self._path)}; mend the row, or pass --bad-rows quarantine to set such rows aside"
            )
        if self._file is None:
            part = self._open.enter_context(atomic_file(self._side_file, overwrite=self._overwrite))
            self._file = self._open.enter_context(part.open("w", encoding="utf-8"))
        line = {"file": self._path, "row": bad.row, "column": bad.column, "value": bad.value, "reason": bad.reason}
        self._file.write(json.dumps(line | ({"cells": cells} if cells is not None else {}), default=str) + "\n")
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
