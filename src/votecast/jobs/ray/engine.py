"""The engine that works on a Ray cluster: Ray Data reads, actors forecast and write, the driver keeps the books."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import ray
from ray.data import ActorPoolStrategy, DataContext, read_datasource

from votecast.errors import ArtifactError, ConfigError, ServiceError
from votecast.jobs.parts.job import MANIFEST, Job, PartMade, Reading, Told
from votecast.jobs.ray.actor import Forecaster
from votecast.jobs.ray.cluster import check_reachable, cluster, first_line
from votecast.jobs.ray.judges import SentJudge, sendable, with_files
from votecast.jobs.ray.noise import quiet
from votecast.jobs.ray.rows import unpack_told
from votecast.jobs.ray.settings import RaySettings
from votecast.jobs.ray.source import PartSource
from votecast.jobs.ray.stopping import insistent
from votecast.judges.trained import TrainedJudge
from votecast.judges.unfinished import RUN, work_folder

_PATIENCE = 15.0
"""Seconds after which a shared filesystem should show what was written elsewhere."""

logger = logging.getLogger(__name__)


class RayEngine:
    """Forecasts parts with actors of Ray.

    Args:
        judge: The judge.
        name: What it was loaded from; a judge that lies in no folder is saved to one for the actors.
        settings: Where Ray works, and with how much.

    Raises:
        ServiceError: If no cluster answers at its address; nothing has been touched.
    """

    def __init__(self, judge: TrainedJudge, name: str, settings: RaySettings | None = None) -> None:
        self._judge = judge
        self._name = name
        self._settings = settings or RaySettings()
        if self._settings.address is not None:
            check_reachable(self._settings.address, self._settings.patience)

    def run(self, job: Job, readings: Sequence[Reading], progress: Callable[[int], None]) -> Iterator[Told]:
        """See `Engine`.

        Raises:
            ServiceError: If the cluster cannot be reached, or breaks down.
            ConfigError: If it has no room for the actors.
        """
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="votecast-")))
            sent = sendable(self._judge, self._name, folder)
            stack.enter_context(quiet())
            stack.enter_context(cluster(self._settings))
            stack.enter_context(insistent())
            if self._settings.address is not None:
                sent = with_files(sent, ray.put)
            for told in self._told(job, readings, sent):
                if isinstance(told, PartMade):
                    _check_seen(job, told)
                    progress(told.record["rows"])
                yield told

    def _told(self, job: Job, readings: Sequence[Reading], sent: SentJudge) -> Iterator[Told]:
        """All that readers and actors tell, as it comes."""
        settings = self._settings
        found = ray.cluster_resources()
        cpus, gpus = found.get("CPU", 0.0), found.get("GPU", 0.0)
        count = settings.actors(cpus=cpus, gpus=gpus)
        self._check_room(count, cpus, gpus)
        threads = settings.threads or max(1, int(cpus // count))
        token = work_folder(MANIFEST).name + "/" + RUN
        context = DataContext.get_current()
        context.wait_for_min_actors_s = settings.loading
        context.target_max_block_size = 1  # so that each part travels alone: Ray would wait for 128 MB of them
        parts = read_datasource(
            PartSource(job, readings),
            num_cpus=0,  # so that reading goes on whatever the actors hold: a pool that takes all CPUs hangs otherwise
            concurrency=max(1, -(-count // 2)),
            override_num_blocks=len(readings),
        ).map_batches(
            Forecaster,
            fn_constructor_args=(job, sent, threads, (token, (job.out / token).read())),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2),
            num_cpus=settings.cpus_per_actor,
            num_gpus=settings.gpus_per_actor or None,
        )
        try:
            for table in parts.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for row in range(table.num_rows):
                    yield unpack_told(table.slice(row, 1))
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ServiceError(
                f"the Ray cluster failed: {first_line(error)}; what is finished is kept, --resume goes on with it"
            ) from error

    def _check_room(self, count: int, cpus: float, gpus: float) -> None:
        """Refuse actors that a machine cannot hold; a cluster may grow.

        Raises:
            ConfigError: If they do not fit this machine.
        """
        settings = self._settings
        if count <= settings.fitting(cpus=cpus, gpus=gpus):
            return
        each = f"{settings.cpus_per_actor:g} CPUs" + (f" and {settings.gpus_per_actor:g} GPUs" if gpus else "")
        text = f"{count} actors of {each} each do not fit {cpus:g} CPUs and {gpus:g} GPUs"
        if settings.address is None:
            raise ConfigError(f"{text}; ask for fewer (--num-actors), or give each less (--cpus-per-actor)")
        logger.warning("%s; the work waits until the cluster grows", text)


def _check_seen(job: Job, told: PartMade) -> None:
    """Make sure that what an actor has written has come to where the command was given.

    Raises:
        ArtifactError: If it has not.
    """
    size = told.record.get("bytes")
    place, until = job.out / told.record["name"], time.monotonic() + _PATIENCE
    while size is not None and ((stat := place.stat()) is None or stat.size != size):
        if time.monotonic() > until:
            raise ArtifactError(
                f"an actor has written {place}, and it is not seen here; on a cluster the output must lie on a "
                "filesystem that all machines share, or at a URL such as s3://bucket/out/"
            )
        time.sleep(0.2)
