"""Predict parts on a Ray cluster: tasks read, actors predict and write, the driver keeps the records.

`votecast predict --engine ray` uses it as the engine of `predict_folder`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import ray

from votecast.artifacts import CONFIG_NAME
from votecast.data.battles import Battles
from votecast.data.work_folder import RUN, work_folder
from votecast.errors import ArtifactError, ConfigError, JudgeError, ServiceError, VotecastError
from votecast.jobs.input_files import InputFile
from votecast.jobs.parts import FolderJob, InputDone, PartDone, PendingInput, predict_part, read_parts
from votecast.jobs.parts_folder import MANIFEST
from votecast.jobs.ray.ray_cluster import (
    RaySettings,
    check_reachable,
    end_quietly,
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


_IN_FLIGHT: Final = 2
"""Parts that wait for or are at one actor: one is predicted while the next one travels."""

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
        """See `PartsEngine`.

        Raises:
            ServiceError: If the cluster cannot be reached, or breaks down.
            ConfigError: If it has no room for the actors.
        """
        settings = self._settings
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="votecast-")))
            sent = prepare_judge(self._judge, self._name, folder)
            stack.enter_context(silence_ray())
            stack.enter_context(start_cluster(settings))
            stack.enter_context(repeat_signals())
            if settings.address is not None:
                sent = sent.with_files()
            try:
                for done in _run_actors(job, pending, self._start_actors(job, sent, stack)):
                    if isinstance(done, PartDone):
                        _await_part(job, done)
                        progress(done.rows)
                    yield done
            except (ray.exceptions.RayError, ConnectionError) as error:
                raise ServiceError(
                    f"the Ray cluster failed: {first_line(error)}; finished parts are kept, continue with --resume"
                ) from error

    def _start_actors(
        self, job: FolderJob, sent: SentJudge, stack: contextlib.ExitStack
    ) -> list[ray.actor.ActorHandle[_PredictingActor]]:
        """Start the actors and wait until they are placed; they end with the stack."""
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
        # an actor that dies is started again with its part: parts are written atomically, so twice is no harm
        kind = ray.remote(_PredictingActor).options(
            num_cpus=settings.cpus_per_actor, num_gpus=settings.gpus_per_actor, max_restarts=-1, max_task_retries=-1
        )
        actors = [kind.remote(job, sent, threads, (token, (job.out / token).read())) for _ in range(count)]
        for actor in actors:
            stack.callback(end_quietly, ray.kill, actor)
        # a large judge takes minutes to load
        ray.get([actor.is_loaded.remote() for actor in actors], timeout=settings.loading)
        return actors


def _run_actors(
    job: FolderJob, pending: Sequence[PendingInput], actors: Sequence[ray.actor.ActorHandle[_PredictingActor]]
) -> Iterator[PartDone | InputDone]:
    """Read the inputs, give each part to the actor that has the least to do, and yield what is done as it comes."""
    # Reading asks for no CPU, so that it can go on even where the actors hold all of them.
    read = ray.remote(_read).options(num_cpus=0, num_returns="streaming", _generator_backpressure_num_objects=2)
    waiting, readers = deque(pending), list[ray.ObjectRefGenerator]()
    load = Counter(dict.fromkeys(range(len(actors)), 0))
    working: dict[ray.ObjectRef[PartDone | InputDone | VotecastError], int] = {}
    while waiting or readers or working:
        # reading is faster than predicting: half as many readers keep the actors busy
        while waiting and len(readers) < max(1, -(-len(actors) // 2)):
            readers.append(read.remote(job, *waiting.popleft()))
        has_room = min(load.values()) < _IN_FLIGHT
        # without fetch_local the rows go from reader to actor, not through this machine
        (ready,), _ = ray.wait([*working, *(readers if has_room else ())], num_returns=1, fetch_local=False)
        if isinstance(ready, ray.ObjectRefGenerator):
            readers.remove(ready)
            with contextlib.suppress(StopIteration):  # this input is read to its end
                number = min(load, key=load.__getitem__)
                working[actors[number].predict.remote(next(ready))] = number
                load[number] += 1
                readers.append(ready)
        else:
            load[working.pop(ready)] -= 1
            done = ray.get(ready)
            if isinstance(done, VotecastError):
                raise done
            yield done


def _read(
    job: FolderJob, file: InputFile, done: Mapping[int, str]
) -> Iterator[tuple[PartDone, Battles] | InputDone | VotecastError]:
    """Read the missing parts of one input; yield an error instead of raising it, as actors return theirs."""
    try:
        for each in read_parts(job, file, done):
            if isinstance(each, InputDone):
                yield each
                continue
            part, battles = each
            out = pa.BufferOutputStream()  # the rows are a slice, and pickling a slice sends all of its table
            with pa.ipc.new_stream(out, battles.table.schema) as stream:
                stream.write_table(battles.table)
            yield part, Battles(pa.ipc.open_stream(out.getvalue()).read_all())
    except Exception as error:  # noqa: BLE001 - the driver raises it
        yield _portable(error)


def _portable(error: Exception) -> VotecastError:
    """Return an error that can be pickled; the cause and the stack stay where they are."""
    if isinstance(error, VotecastError) and type(error).__init__ is Exception.__init__:
        return type(error)(str(error))
    text = str(error) if isinstance(error, VotecastError) else f"{type(error).__name__}: {error}"
    return JudgeError(text)


def _await_part(job: FolderJob, done: PartDone) -> None:
    """Wait until a part that an actor wrote is seen on this machine."""
    place, until = job.out / done.name, time.monotonic() + _SYNC_SECONDS
    while done.bytes is not None and place.info().size != done.bytes:
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
    files: Mapping[str, ray.ObjectRef[bytes]] = field(default_factory=dict)

    def load(self) -> TrainedJudge:
        """Load the judge and check its hash."""
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
    """Describe a judge by the name it was loaded from, or by a folder it is saved to, inside `folder`.

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
    """A judge in an actor. Errors are returned, not raised: Ray would wrap, log and perhaps retry them."""

    def __init__(self, job: FolderJob, judge: SentJudge, threads: int, token: tuple[str, bytes]) -> None:
        self._job = job
        self._fault: VotecastError | None = None
        # before numpy and torch start their pools of threads
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
        try:
            _check_shared(job, token)
            self._judge = judge.load()
            set_inference(self._judge, job.inference)
        except Exception as error:  # noqa: BLE001 - the driver raises it
            self._fault = _portable(error)

    def is_loaded(self) -> bool:
        """Return whether the judge could be loaded; called once the actor is placed."""
        return self._fault is None

    def predict(
        self, each: tuple[PartDone, Battles] | InputDone | VotecastError
    ) -> PartDone | InputDone | VotecastError:
        """Predict a part; hand on everything else that a reader yields."""
        if self._fault is not None:
            return self._fault
        if not isinstance(each, tuple):
            return each
        try:
            return predict_part(self._job, self._judge, *each, no_progress)  # the driver counts finished parts
        except Exception as error:  # noqa: BLE001 - the driver raises it
            return _portable(error)


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
