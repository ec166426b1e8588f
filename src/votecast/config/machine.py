"""Settings of the machine: threads, and a C library that keeps memory between two batches.

Training, inference, Ray and the service call it once a process.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from votecast.errors import JudgeError

logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
_KEEP = (1 << 31) - 1


def keep_memory() -> bool:
    """Let the C library keep freed memory for the next batch.

    Large tensors are otherwise mapped anew for every operation, and the page faults take as long as the arithmetic.
    Holds for the whole process; does nothing where the C library is not glibc.

    Returns:
        Whether the C library took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    # no mapping, no trimming, and growth in large steps: freed memory stays for the next batch
    return all([mallopt(_M_MMAP_MAX, 0), mallopt(_M_TRIM_THRESHOLD, _KEEP), mallopt(_M_TOP_PAD, 64 << 20)])


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error says that there is no memory left, on a GPU or on the machine; torch is not imported.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("shapes differ"))
        (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = ("out of memory", "allocate memory")  # by CUDA's own errors, and by torch and safetensors on a CPU
    return isinstance(error, RuntimeError) and any(words in str(error) for words in said)


@contextmanager
def fitting_in_memory(what: str, cure: str) -> Iterator[None]:
    """Turn running out of memory within this context into an error that names the setting that helps.

    Raises:
        JudgeError: If a device, or the machine, has no memory left.

    Example:
        >>> with fitting_in_memory("this network on cpu", "take a smaller one"):
        ...     raise MemoryError
        Traceback (most recent call last):
        ...
        votecast.errors.JudgeError: out of memory with this network on cpu; take a smaller one
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise JudgeError(f"out of memory with {what}; {cure}") from error


def usable_cores() -> int:
    """Count the cores this process may use: its affinity, limited by its control group.

    Example:
        >>> usable_cores() >= 1
        True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
            quota, period = file.read().split()
        return max(1, min(bound, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return bound


def set_threads(processes: int = 1) -> int:
    """Give torch one thread per usable core, unless OMP_NUM_THREADS is set.

    Args:
        processes: Processes that share the cores.

    Returns:
        The number of threads that torch uses now.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, usable_cores() // processes))
    return torch.get_num_threads()


def size_text(count: int) -> str:
    """Format a number of bytes, for the command line and the log.

    Example:
        >>> size_text(9_683_352_912), size_text(16_029_520), size_text(0)
        ('9.7 GB', '16 MB', '0')
    """
    if count == 0:
        return "0"
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.0f} MB" if count >= 1e6 else "under 1 MB"
