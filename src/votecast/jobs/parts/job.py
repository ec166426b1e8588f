"""What an engine has to know of the work, and what it hands back: plain values that travel between processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from votecast.data.battles import Battles
from votecast.data.shards import SHARD_ROWS
from votecast.jobs.parts.inputs import Input
from votecast.jobs.parts.places import Place

PART_ROWS: Final = 4 * SHARD_ROWS
"""Rows of one part, unless settled otherwise: what is lost at most of the work of one judge when it is killed."""

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Job:
    """What every part of a folder of forecasts depends on, beside its rows.

    Args:
        out: The folder.
        judge: Name and hash of the judge.
        format: votecast, lmsys or wsdm.
        part_rows: Rows of a part.
        reader: Options of `VoteReader`.
        inference: Settings of inference of the judge.
        prior: What rows get that cannot be scored; None makes them an error.
        settings: JSON-able: what is kept in every part of how it was asked for.
    """

    out: Place
    judge: dict[str, str]
    format: str
    part_rows: int
    reader: dict[str, Any]
    inference: dict[str, Any]
    prior: list[float] | None
    settings: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """An input that is to be read.

    Args:
        input: The file.
        done: Numbers of its parts that are done -> hash of their rows.
    """

    input: Input
    done: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """The rows of one part, as they were read.

    Args:
        input: Number of the file.
        part: Number of the part in it, from 0.
        first: Rows of the file before them.
        digest: Hash of what stands in them.
        battles: The rows.
    """

    input: int
    part: int
    first: int
    digest: str
    battles: Battles


@dataclass(frozen=True)
class PartMade:
    """A part that has been forecast.

    Args:
        record: JSON-able: name, input, part, rows, their hash, and of the file in the folder bytes and SHA-256; the
            file is absent where rows could not be scored and are not to have the prior.
    """

    record: dict[str, Any]


@dataclass(frozen=True)
class InputRead:
    """An input whose last row was read.

    Args:
        record: JSON-able: input, parts, rows, their hash, and what the reader found.
    """

    record: dict[str, Any]


Told = PartMade | InputRead


class Engine(Protocol):
    """What does the work of a job."""

    def run(self, job: Job, readings: Sequence[Reading], progress: Callable[[int], None]) -> Iterator[Told]:
        """Forecast every part of these inputs that is not done, in any order, and tell of all that is finished.

        Args:
            job: The work.
            readings: The inputs to read.
            progress: Called with the number of rows just forecast.

        Raises:
            VotecastError: At the first row that cannot be read and the first part that cannot be forecast.
        """


def part_name(input: int, part: int) -> str:
    """What a part is called; sorted by name, parts are in the order of the inputs and their rows.

    Example:
        >>> part_name(3, 12)
        'part-00003-00012.parquet'
    """
    return f"part-{input:05d}-{part:05d}.parquet"


def quarantine_name(input: int) -> str:
    """What the rows of an input are called that were set aside.

    Example:
        >>> quarantine_name(3)
        'quarantine-00003.jsonl'
    """
    return f"quarantine-{input:05d}.jsonl"
