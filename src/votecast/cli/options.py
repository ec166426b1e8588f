"""Options that several verbs share, so that they mean the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter, Token, validators

from votecast.cli.words import STANDARD_INPUT
from votecast.config.extras import need
from votecast.errors import ConfigError

if TYPE_CHECKING:
    from votecast.jobs.parts import Engine
    from votecast.judges.trained import TrainedJudge

VoteFormat = Literal["auto", "lmsys", "wsdm", "arena", "pairs", "rewardbench", "mtbench", "votecast", "names"]


def _source(_: type, tokens: Sequence[Token]) -> str:
    return "-" if tokens[0].value == STANDARD_INPUT else tokens[0].value


Source = Annotated[str, Parameter(converter=_source)]
"""A file given by its place on the command line; "-" is standard input."""

JsonPath = Annotated[str | None, Parameter(name="--json")]
"""Where to write results as JSON; "-" is standard output."""


@dataclass(frozen=True)
class _Reading:
    """How a file is read."""

    text: Literal["auto", "json", "plain"] = "auto"
    """Whether text columns hold JSON lists of turns or plain text; auto decides once per column."""
    bad_rows: Literal["error", "quarantine"] = "error"
    """Stop at a row that cannot be read, or set such rows aside with their reasons."""
    quarantine: Path | None = None
    """Where to set bad rows aside; by default <name of the file>.quarantine.jsonl in this folder."""
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    """Read at most this many rows."""
    sample: Annotated[float | None, Parameter(validator=validators.Number(gt=0, lte=1))] = None
    """Read this share of the rows, drawn with equal shares of every label before anything is sorted."""
    seed: Annotated[int | None, Parameter(validator=validators.Number(gte=0))] = None
    """Seed of everything random."""


@Parameter(name="*")
@dataclass(frozen=True)
class Reading(_Reading):
    """How a file is read, for verbs that only read."""

    format: Annotated[VoteFormat, Parameter(name=["--format", "--input-format"])] = "auto"
    """Format of the file; auto finds it by its columns. names (models and votes alone) is for rank."""

    def reader(self, *, overwrite: bool = False) -> dict[str, Any]:
        """The options as keywords of `read_votes`."""
        return _keywords(self, self.format, overwrite)


@Parameter(name="*")
@dataclass(frozen=True)
class ReadingInput(_Reading):
    """How a file is read, for verbs whose --format is that of the output."""

    input_format: VoteFormat = "auto"
    """Format of the input; auto finds it by its columns."""

    def reader(self, *, overwrite: bool = False) -> dict[str, Any]:
        """The options as keywords of `read_votes`."""
        return _keywords(self, self.input_format, overwrite)


@Parameter(name="*")
@dataclass(frozen=True)
class Cluster:
    """Where Ray works, and with how much."""

    address: str | None = None
    """A running cluster: auto, HOST:PORT or ray://HOST:PORT; by default Ray is started on this machine, and stopped."""
    num_actors: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    """Actors, each with one judge; by default as many as fit the CPUs, or the GPUs if they need one."""
    cpus_per_actor: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 0.5
    """CPUs of each actor; what the actors leave reads the inputs."""
    gpus_per_actor: Annotated[float, Parameter(validator=validators.Number(gte=0))] = 0.0
    """GPUs, or the share of one, of each actor."""
    threads: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None
    """Threads that the judge of each actor computes with; by default the cores of a machine shared among actors."""

    def check(self, engine: str, *, to_folder: bool, part_rows: int | None) -> None:
        """Refuse options that would do nothing.

        Raises:
            ConfigError: If there is one.
        """
        given = [f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value != vars(Cluster())[name]]
        if engine != "ray" and given:
            raise ConfigError(f"{', '.join(given)} is for --engine ray; pass that, or drop it")
        if engine == "ray" and not to_folder:
            raise ConfigError(
                "--engine ray writes a folder of parts; name one with a trailing slash, such as --out out/"
            )
        if part_rows is not None and not to_folder:
            raise ConfigError(
                "--part-rows is for a folder of parts; name one with a trailing slash, such as --out out/"
            )

    def engine(self, engine: str, name: str, judge: TrainedJudge) -> Engine | None:
        """What does the work; None for this process."""
        if engine != "ray":
            return None
        need("ray.data")
        from votecast.jobs.ray import RayEngine, RaySettings

        return RayEngine(judge, name, RaySettings.parse(vars(self), origin="ray"))


def _keywords(reading: _Reading, format: str, overwrite: bool) -> dict[str, Any]:
    values = {
        "overwrite": overwrite,
        "format": format,
        "text": reading.text,
        "bad_rows": reading.bad_rows,
        "quarantine": reading.quarantine and str(reading.quarantine),
        "limit": reading.limit,
        "sample": reading.sample,
        "seed": reading.seed,
    }
    return {name: value for name, value in values.items() if value is not None}
