"""The processes that a launcher such as `accelerate launch` has started for one command.

Training, resumable runs and the command line ask here which process prints and writes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from votecast.errors import ConfigError


@dataclass(frozen=True)
class Launch:
    """This process among those that `accelerate launch` or `torchrun` has started for one command.

    Args:
        rank: Its number; 0 is the one that prints and writes.
        processes: Number of processes.
        local_rank: Its number among those on this machine.
        local_processes: Number of processes on this machine.
        token: The same in all processes of one launch, different in every other launch on this machine.

    Example:
        >>> Launch().is_main
        True
    """

    rank: int = 0
    processes: int = 1
    local_rank: int = 0
    local_processes: int = 1
    token: str = ""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0


def current_launch() -> Launch:
    """Read the launch of this process from the environment variables of the launcher."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE")
    numbers = [os.environ.get(name, "") for name in names]
    rank, processes, local_rank, local_processes, machines = (int(x) if x.isdecimal() else 0 for x in numbers)
    # what one launch has in common and another on this machine has not
    shared = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
    parts = [os.environ.get(name, "") for name in shared]
    if machines <= 1:
        parts.append(str(os.getppid()))  # tells two launches on one machine apart; differs between machines
    return Launch(rank, processes or 1, local_rank, local_processes or 1, ":".join(parts))


def check_launch() -> None:
    """Check that processes which were launched for GPUs may see some.

    Raises:
        ConfigError: If their environment hides all GPUs and does not say that they are meant for the CPU.
    """
    count = current_launch().local_processes
    if count > 1 and os.environ.get("CUDA_VISIBLE_DEVICES") == "" and not leaves_gpus():
        raise ConfigError(
            f"CUDA_VISIBLE_DEVICES is empty, so that {count} processes see no GPU; unset it, or set "
            "ACCELERATE_USE_CPU=true to train on the CPU"
        )


def leaves_gpus() -> bool:
    """Return whether the environment variable ACCELERATE_USE_CPU says to leave GPUs alone."""
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("y", "yes", "t", "true", "on", "1")
