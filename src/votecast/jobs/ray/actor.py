"""The forecasting side: an actor holds one judge and writes the parts it makes."""

from __future__ import annotations

import os
from typing import Any, Final

import pyarrow as pa

from votecast.errors import ArtifactError
from votecast.jobs.parts.job import Job
from votecast.jobs.parts.parts import make_part
from votecast.jobs.ray.judges import SentJudge
from votecast.jobs.ray.rows import pack_fault, pack_told, unpack_rows
from votecast.judges.asking import set_inference

_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


class Forecaster:
    """A judge at work; what goes wrong is told, so that it ends the work instead of being tried again.

    Args:
        job: The work.
        judge: How to come by the judge.
        threads: Threads it computes with.
        token: Name and bytes of a small file that must be seen beside the output.
    """

    def __init__(self, job: Job, judge: SentJudge, threads: int, token: tuple[str, bytes]) -> None:
        self._job = job
        self._fault: pa.Table | None = None
        os.environ.update(dict.fromkeys(_THREADS, str(threads)))
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        try:
            _check_shared(job, token)
            self._judge = judge.load()
            set_inference(self._judge, job.inference)
        except Exception as error:  # noqa: BLE001 - told to the driver, which raises it
            self._fault = pack_fault(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Forecast a part and tell of it; all else is handed on."""
        return pa.concat_tables([self._answer(table.slice(row, 1)) for row in range(table.num_rows)])

    def _answer(self, table: pa.Table) -> pa.Table:
        try:
            rows = unpack_rows(table)
            if rows is None:
                return table
            return self._fault or pack_told(make_part(self._job, self._judge, rows, _unheard))
        except Exception as error:  # noqa: BLE001 - told to the driver, which raises it
            return pack_fault(error)


def _check_shared(job: Job, token: tuple[str, bytes]) -> None:
    """Refuse to work where the output is another folder than that of the driver.

    Raises:
        ArtifactError: If it is.
    """
    name, said = token
    try:
        seen = (job.out / name).read()
    except OSError:
        seen = b""
    if seen != said:
        raise ArtifactError(
            f"{job.out} is another folder on {os.uname().nodename} than where the command was given; on a cluster the "
            "output must lie on a filesystem that all machines share, or at a URL such as s3://bucket/out/"
        )


def _unheard(rows: Any) -> None:
    """Progress that nobody follows: the driver counts finished parts."""
