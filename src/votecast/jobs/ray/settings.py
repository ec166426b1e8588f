"""Where Ray works, and with how much."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from votecast.config import Settings


class RaySettings(Settings):
    """Settings of the Ray engine.

    Args:
        address: A running cluster: auto, HOST:PORT or ray://HOST:PORT; None starts one on this machine and stops it.
        num_actors: Actors, each with one judge; None takes as many as fit the CPUs, or the GPUs if they need one.
        cpus_per_actor: CPUs of each actor. Reading asks for none: it can always go on, whatever the actors hold.
        gpus_per_actor: GPUs, or the share of one, of each actor.
        threads: Threads that each judge computes with; None shares the CPUs among the actors.
        patience: Seconds to wait for a cluster to take this machine in; it must answer at all in half of them.
        loading: Seconds to wait for the actors to be placed and to have loaded their judges.

    Example:
        >>> RaySettings().actors(cpus=2, gpus=0), RaySettings(gpus_per_actor=0.5).actors(cpus=64, gpus=4)
        (2, 8)
    """

    address: str | None = None
    num_actors: Annotated[int | None, Field(ge=1)] = None
    cpus_per_actor: Annotated[float, Field(gt=0)] = 0.5
    gpus_per_actor: Annotated[float, Field(ge=0)] = 0.0
    threads: Annotated[int | None, Field(ge=1)] = None
    patience: Annotated[float, Field(gt=0)] = 20.0
    loading: Annotated[int, Field(ge=1)] = 900

    def fitting(self, *, cpus: float, gpus: float) -> int:
        """How many actors these CPUs and GPUs can hold."""
        held = int(cpus / self.cpus_per_actor + 1e-9)
        return min(held, int(gpus / self.gpus_per_actor + 1e-9)) if self.gpus_per_actor else held

    def actors(self, *, cpus: float, gpus: float) -> int:
        """How many actors to ask for: never more than one for each CPU, unless it is said otherwise."""
        return self.num_actors or max(1, min(self.fitting(cpus=cpus, gpus=gpus), int(cpus)))
