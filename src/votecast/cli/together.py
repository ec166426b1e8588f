"""Several processes started for one command: one of them speaks, and an error is told once."""

from __future__ import annotations

import os
import time

PATIENCE = 5.0
"""Seconds in which a launcher ends the other processes once one has failed."""


def speaker() -> str:
    """What an error of this process begins with; nothing for the first one, which is the only one that speaks else."""
    if "RANK" not in os.environ:  # before anything is imported
        return ""
    from votecast.config import current_launch

    launch = current_launch()
    return "" if launch.is_main else f"process {launch.rank} of {launch.processes}: "


def await_end(error: BaseException | None = None) -> None:
    """Let the launcher end this process in silence if another one has failed first, and has said why.

    The first process waits only where its own error may be that another one is gone: it is told of that by torch, as a
    RuntimeError. The others wait longer, because the first one tells what has failed in all of them.

    Args:
        error: What has gone wrong here, where votecast did not foresee it.
    """
    if speaker():
        time.sleep(2 * PATIENCE)
    elif "RANK" in os.environ and isinstance(error, RuntimeError):
        time.sleep(PATIENCE)
