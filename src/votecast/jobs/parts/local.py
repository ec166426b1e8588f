"""The engine that works in this process, one part after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from votecast.jobs.parts.job import InputRead, Job, Reading, Told
from votecast.jobs.parts.parts import make_part, read_parts
from votecast.types import Judge


class LocalEngine:
    """Reads and forecasts one part after the other.

    Args:
        judge: The judge, set to the settings of inference of the job.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def run(self, job: Job, readings: Sequence[Reading], progress: Callable[[int], None]) -> Iterator[Told]:
        """See `Engine`."""
        for reading in readings:
            for each in read_parts(job, reading):
                yield each if isinstance(each, InputRead) else make_part(job, self._judge, each, progress)
