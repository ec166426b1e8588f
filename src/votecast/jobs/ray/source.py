"""The reading side: one task for each input, one block for each of its parts."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import pyarrow as pa
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from votecast.jobs.parts.job import Job, Reading, Rows
from votecast.jobs.parts.parts import read_parts
from votecast.jobs.ray.rows import pack_fault, pack_rows, pack_told


class PartSource(Datasource):  # type: ignore[misc]
    """The parts of the inputs that are not done.

    Args:
        job: The work.
        readings: The inputs, and what is done of them.
    """

    def __init__(self, job: Job, readings: Sequence[Reading]) -> None:
        super().__init__()
        self._job = job
        self._readings = list(readings)

    def get_name(self) -> str:
        """What Ray calls it."""
        return "Parts"

    def estimate_inmemory_data_size(self) -> int:
        """About how many bytes the rows have."""
        return sum(each.input.size for each in self._readings)

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:  # noqa: ARG002 - of Ray
        """One task for each input, whatever is asked for."""
        return [
            ReadTask(
                functools.partial(_blocks, self._job, reading),
                BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=[reading.input.name]),
            )
            for reading in self._readings
        ]


def _blocks(job: Job, reading: Reading) -> Iterator[pa.Table]:
    try:
        for each in read_parts(job, reading):
            yield pack_rows(each) if isinstance(each, Rows) else pack_told(each)
    except Exception as error:  # noqa: BLE001 - told to the driver, which raises it
        yield pack_fault(error)
