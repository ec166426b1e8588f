"""Several files of votes as one: patterns, ids that stay unique, and what was read from each file.

Training reads its votes through `find_vote_files` and `read_vote_files`.
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from votecast.data.battles import Battles
from votecast.data.reader import VoteReader
from votecast.data.row_checks import ReadReport
from votecast.errors import DataError

_STANDARD = "-"


def find_vote_files(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files that paths and patterns name: in the order given, those of one pattern sorted.

    Args:
        given: Paths, or patterns with *, ? or []; ** stands for any folders. A shell of Windows leaves them to us.

    Raises:
        DataError: If there are none, a pattern matches none, or a file is named twice.

    Example:
        >>> find_vote_files(["votes.csv", "more.parquet"])
        [PosixPath('votes.csv'), PosixPath('more.parquet')]
    """
    given = [given] if isinstance(given, str | Path) else list(given)
    if not given:
        raise DataError("no file of votes is given; name at least one")
    found: list[Path] = []
    for each in map(str, given):
        matches = [each]
        if glob.has_magic(each) and not Path(each).exists():
            names = glob.glob(each, recursive=True)  # noqa: PTH207 - a pattern may be absolute
            matches = sorted(name for name in names if Path(name).is_file())
            if not matches:
                raise DataError(f"{each} matches no file; name a file, or a pattern that matches at least one")
        found.extend(map(Path, matches))
    real = [path if str(path) == _STANDARD else path.resolve() for path in found]
    if twice := [path for path, count in Counter(real).items() if count > 1]:
        raise DataError(f"{found[real.index(twice[0])]} is named twice among the files of votes; name each file once")
    return found


def read_vote_files(
    paths: Sequence[Path], *, limit: int | None = None, quarantine: str | Path | None = None, **options: Any
) -> tuple[Battles, list[ReadReport]]:
    """Read several files of votes, of any formats, as one table in their order.

    Ids that occur in several files are qualified by the name of the file, as `votes.csv:17`, in all rows.

    Args:
        paths: At least two files.
        limit: Read at most this many rows of all files together.
        quarantine: Side file for bad rows; each file has one of its own, whose name begins with its number.
        **options: Further options of `VoteReader`, for each file.

    Returns:
        The battles, and what was found and repaired in each file that was read.

    Raises:
        DataError: If a file or a row cannot be read; the columns of all files are checked before any is read.
    """
    labels = _labels(paths)
    for path in paths:
        if str(path) != _STANDARD:
            VoteReader(path, **options).check_columns()
    parts: list[Battles] = []
    reports: list[ReadReport] = []
    for number, (path, label) in enumerate(zip(paths, labels, strict=True)):
        left = None if limit is None else limit - sum(map(len, parts))
        if left == 0:
            break
        side_file = Path(quarantine or f"{path.name}.quarantine.jsonl")
        if quarantine is not None or label != path.name:  # else the name of the file tells them apart
            side_file = side_file.with_name(f"{number}-{side_file.name}")
        reader = VoteReader(path, limit=left, quarantine=side_file, **options)
        parts.append(Battles.concat(list(reader)))
        reader.report.path = label
        reports.append(reader.report)
    return Battles.concat(_with_unique_ids(parts, labels)), reports


def _labels(paths: Sequence[Path]) -> list[str]:
    """Name each file by its name, or by its path where names repeat."""
    names = Counter(path.name for path in paths)
    return [path.name if names[path.name] == 1 else str(path) for path in paths]


def _with_unique_ids(parts: Sequence[Battles], labels: Sequence[str]) -> list[Battles]:
    ids = [part.ids for part in parts]
    if len(set().union(*ids)) == sum(map(len, ids)):
        return list(parts)
    qualified = []
    for part, label, own in zip(parts, labels, ids, strict=False):
        column = pa.array([f"{label}:{each}" for each in own], part.table.schema.field("id").type)
        qualified.append(Battles(part.table.set_column(part.table.column_names.index("id"), "id", column)))
    return qualified
