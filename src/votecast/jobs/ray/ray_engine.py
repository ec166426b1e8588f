"""Predict parts on a Ray cluster: Ray Data reads, actors predict and write, the driver keeps the records.

`votecast predict --engine ray` uses it as the engine of `predict_folder`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, read_datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from votecast import errors
from votecast.artifacts import CONFIG_NAME
from votecast.data.battles import Battles
from votecast.data.work_folder import RUN, work_folder
from votecast.errors import ArtifactError, ConfigError, JudgeError, ServiceError, VotecastError
from votecast.jobs.parts import FolderJob, InputDone, PartDone, PartRows, PendingInput, predict_part, read_parts
from votecast.jobs.parts_folder import MANIFEST
from votecast.jobs.ray.ray_cluster import (
    RaySettings,
    check_reachable,
    first_line,
    repeat_signals,
    silence_ray,
    start_cluster,
)
from votecast.judges.load import BUNDLED, load_judge
from votecast.judges.predict_batch import set_inference
from votecast.judges.trained import TrainedJudge
from votecast.types import no_progress

_SYNC_SECONDS: Final = 15.0
"""Seconds within which a shared filesystem should show what another machine wrote."""

_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


logger = logging.getLogger(__name__)


class RayEngine:
    """Predict parts with actors of Ray.

    Args:
        judge: The judge.
        name: What it was loaded from; a judge that lies in no folder is saved to one for the actors.
        settings: Where Ray runs, and with how many actors.

    Raises:
        ServiceError: If no cluster answers at its address; nothing has been touched.
    """

    def __init__(self, judge: TrainedJudge, name: str, settings: RaySettings | None = None) -> None:
        self._judge = judge
        self._name = name
        self._settings = settings or RaySettings()
        if self._settings.address is not None:
            check_reachable(self._settings.address, self._settings.patience)

    def run(
        self, job: FolderJob, pending: Sequence[PendingInput], progress: Callable[[int], None]
    ) -> Generator[PartDone | InputDone, None, None]:
        """See `Engine`.

        Raises:
            ServiceError: If the cluster cannot be reached, or breaks down.
            ConfigError: If it has no room for the actors.
        """
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="votecast-")))
            sent = prepare_judge(self._judge, self._name, folder)
            stack.enter_context(silence_ray())
            stack.enter_context(start_cluster(self._settings))
            stack.enter_context(repeat_signals())
            if self._settings.address is not None:
                sent = sent.with_files()
            for done in self._stream(job, pending, sent):
                if isinstance(done, PartDone):
                    _await_part(job, done)
                    progress(done.record["rows"])
                yield done

    def _stream(
        self, job: FolderJob, pending: Sequence[PendingInput], sent: SentJudge
    ) -> Iterator[PartDone | InputDone]:
        """Yield what readers and actors report, as it comes."""
        settings = self._settings
        resources = ray.cluster_resources()
        cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
        count = settings.actors(cpus=cpus, gpus=gpus)
        if settings.fitting(cpus=cpus, gpus=gpus) < count:
            each = f"{settings.cpus_per_actor:g} CPUs" + (f" and {settings.gpus_per_actor:g} GPUs" if gpus else "")
            text = f"{count} actors of {each} each do not fit {cpus:g} CPUs and {gpus:g} GPUs"
            if settings.address is None:
                raise ConfigError(f"{text}; lower --num-actors or --cpus-per-actor")
            logger.warning("%s; the run waits until the cluster grows", text)
        threads = settings.threads or max(1, int(cpus // count))
        token = work_folder(MANIFEST).name + "/" + RUN
        context = DataContext.get_current()
        context.wait_for_min_actors_s = settings.loading
        context.target_max_block_size = 1  # each part travels alone: Ray would wait for 128 MB of them
        parts = read_datasource(
            _PartSource(job, pending),
            num_cpus=0,  # reading never waits for a CPU: a pool of actors that takes them all would hang otherwise
            concurrency=max(1, -(-count // 2)),
            override_num_blocks=len(pending),
        ).map_batches(
            _PredictingActor,
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
                    yield _unpack_done(table.slice(row, 1))
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ServiceError(
                f"the Ray cluster failed: {first_line(error)}; finished parts are kept, continue with --resume"
            ) from error


def _await_part(job: FolderJob, done: PartDone) -> None:
    """Wait until a part that an actor wrote is seen on this machine."""
    size = done.record.get("bytes")
    place, until = job.out / done.record["name"], time.monotonic() + _SYNC_SECONDS
    while size is not None and ((stat := place.stat()) is None or stat.size != size):
        if time.monotonic() > until:
            raise ArtifactError(
                f"an actor has written {place}, and it is not seen here; on a cluster the output must lie on a "
                "filesystem that all machines share, or at a URL such as s3://bucket/out/"
            )
        time.sleep(0.2)


@dataclass(frozen=True)
class SentJudge:
    """How an actor loads its judge: by name or path, or from the bytes of its files.

    Args:
        name: A bundled judge, or the path of a folder.
        hash: Hash the judge must have.
        files: The files of the folder in Ray's object store, for machines that do not see it.
    """

    name: str
    hash: str
    files: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> TrainedJudge:
        """Load the judge and check its hash.

        Raises:
            ArtifactError: If it cannot be loaded here.
        """
        if self.name.startswith(BUNDLED) or (Path(self.name) / CONFIG_NAME).is_file():
            try:
                judge = load_judge(self.name)
            except ArtifactError:
                if not self.files:
                    raise
            else:
                if judge.hash == self.hash:
                    return judge
        if not self.files:
            raise ArtifactError(
                f"{self.name} is not the judge {self.hash[:12]} on every machine of the cluster; install the same "
                "votecast everywhere"
            )
        with tempfile.TemporaryDirectory(prefix="votecast-") as folder:
            for name, ref in self.files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(ray.get(ref))
            return load_judge(folder)

    def with_files(self) -> SentJudge:
        """Put the files of the folder into Ray's object store, for machines that do not see it."""
        if self.name.startswith(BUNDLED):
            return self
        folder = Path(self.name)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {path.relative_to(folder).as_posix(): ray.put(path.read_bytes()) for path in paths}
        return SentJudge(self.name, self.hash, files)


def prepare_judge(judge: TrainedJudge, name: str, folder: Path) -> SentJudge:
    """Describe a judge by its name if that leads to it, else by a folder it is saved in.

    Args:
        judge: The judge.
        name: What it was loaded from.
        folder: A folder that lasts as long as the run.

    Raises:
        VotecastError: If it cannot be saved.
    """
    if name.startswith(BUNDLED):
        return SentJudge(name, judge.hash)
    path = Path(name).expanduser().absolute()
    if (path / CONFIG_NAME).is_file():
        return SentJudge(str(path), judge.hash)
    path = folder / "judge"
    judge.save_pretrained(path)
    try:
        return SentJudge(str(path), load_judge(path).hash)
    except VotecastError as error:
        raise ArtifactError(f"{judge.name} cannot be sent to actors: {error}; save it and name its folder") from error


class _PredictingActor:
    """A judge in an actor. Errors are returned, not raised: Ray would wrap, log and perhaps retry them.

    Args:
        job: The job.
        judge: How to load the judge.
        threads: Threads it computes with.
        token: Name and bytes of a small file that must be seen beside the output.
    """

    def __init__(self, job: FolderJob, judge: SentJudge, threads: int, token: tuple[str, bytes]) -> None:
        self._job = job
        self._fault: pa.Table | None = None
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        try:
            _check_shared(job, token)
            self._judge = judge.load()
            set_inference(self._judge, job.inference)
        except Exception as error:  # noqa: BLE001 - the driver raises it
            self._fault = _pack_fault(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Predict a part and report it; hand on everything else."""
        return pa.concat_tables([self._predict(table.slice(row, 1)) for row in range(table.num_rows)])

    def _predict(self, table: pa.Table) -> pa.Table:
        try:
            rows = _unpack_rows(table)
            if rows is None:
                return table
            # the driver counts finished parts, so progress within one goes nowhere
            return self._fault or _pack_done(predict_part(self._job, self._judge, rows, no_progress))
        except Exception as error:  # noqa: BLE001 - the driver raises it
            return _pack_fault(error)


def _check_shared(job: FolderJob, token: tuple[str, bytes]) -> None:
    """Refuse an output folder that is another one here than on the driver's machine."""
    name, expected = token
    try:
        found = (job.out / name).read()
    except OSError:
        found = b""
    if found != expected:
        raise ArtifactError(
            f"{job.out} is another folder on {os.uname().nodename} than where the command was given; on a cluster the "
            "output must lie on a filesystem that all machines share, or at a URL such as s3://bucket/out/"
        )


class _PartSource(Datasource):  # type: ignore[misc]
    """The missing parts as a source of Ray Data: one task for each input, one block for each part."""

    def __init__(self, job: FolderJob, pending: Sequence[PendingInput]) -> None:
        super().__init__()
        self._job = job
        self._pending = list(pending)

    def get_name(self) -> str:
        """Return the name that Ray shows."""
        return "Parts"

    def estimate_inmemory_data_size(self) -> int:
        """Estimate the bytes of all rows."""
        return sum(each.file.size for each in self._pending)

    def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:  # noqa: ARG002 - of Ray
        """Return one task for each input, whatever parallelism Ray asks for."""
        return [
            ReadTask(
                functools.partial(_read_blocks, self._job, each),
                BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None, input_files=[each.file.name]),
            )
            for each in self._pending
        ]


def _read_blocks(job: FolderJob, pending: PendingInput) -> Iterator[pa.Table]:
    try:
        for each in read_parts(job, pending):
            yield _pack_rows(each) if isinstance(each, PartRows) else _pack_done(each)
    except Exception as error:  # noqa: BLE001 - the driver raises it
        yield _pack_fault(error)


# What travels between readers, actors and driver: Arrow tables of one row, so that Ray cannot split a part.

_SCHEMA: Final = pa.schema([("kind", pa.string()), ("values", pa.large_string()), ("rows", pa.large_binary())])
_ROWS, _PART, _INPUT, _FAULT = "rows", "part", "input", "fault"


def _pack(kind: str, values: Mapping[str, object], rows: pa.Buffer | None = None) -> pa.Table:
    data = rows if rows is not None else pa.py_buffer(b"")
    ends = pa.array([0, data.size], pa.int64()).buffers()[1]
    binary = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, data])  # without a copy
    return pa.table([pa.array([kind]), pa.array([json.dumps(values)], pa.large_string()), binary], schema=_SCHEMA)


def _pack_rows(rows: PartRows) -> pa.Table:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.battles.table.schema) as stream:
        stream.write_table(rows.battles.table)
    values = {"input": rows.input, "part": rows.part, "first": rows.first, "digest": rows.digest}
    return _pack(_ROWS, values, out.getvalue())


def _pack_done(done: PartDone | InputDone) -> pa.Table:
    return _pack(_PART if isinstance(done, PartDone) else _INPUT, done.record)


def _pack_fault(error: Exception) -> pa.Table:
    is_ours = isinstance(error, VotecastError)
    text = str(error) if is_ours else f"{type(error).__name__}: {error}"
    return _pack(_FAULT, {"kind": type(error).__name__ if is_ours else JudgeError.__name__, "text": text})


def _unpack(table: pa.Table) -> tuple[str, dict[str, Any]]:
    return table.column("kind")[0].as_py(), json.loads(table.column("values")[0].as_py())


def _unpack_rows(table: pa.Table) -> PartRows | None:
    """Return the rows of a part; None where the table holds something else."""
    kind, values = _unpack(table)
    if kind != _ROWS:
        return None
    battles = Battles(pa.ipc.open_stream(table.column("rows")[0].as_buffer()).read_all())
    return PartRows(**values, battles=battles)


def _unpack_done(table: pa.Table) -> PartDone | InputDone:
    """Return what is done; raise an error that was packed as the class it had."""
    kind, values = _unpack(table)
    if kind == _FAULT:
        known = getattr(errors, values["kind"], JudgeError)
        raise known(values["text"]) if known.__init__ is Exception.__init__ else JudgeError(values["text"])
    return PartDone(values) if kind == _PART else InputDone(values)
