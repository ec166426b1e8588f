"""Sequences through a network: sorted by length, in batches of a fixed number of tokens, back in the order given."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from votecast.config.machine import keep_memory
from votecast.errors import JudgeError
from votecast.inference.replica import Replica, devices_of, using_threads
from votecast.inference.settings import InferenceSettings
from votecast.inference.spread import is_spread
from votecast.text.batches import token_batches
from votecast.text.prefixes import grouped_batches, worth_sharing
from votecast.text.sequences import Sequences
from votecast.types import Progress, no_progress

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
CPU_TOKENS, CUDA_TOKENS = 1024, 131_072


def encode_sequences(
    network: Any,
    sequences: Sequences,
    settings: InferenceSettings = InferenceSettings(),  # noqa: B008 - frozen
    *,
    pad_id: int,
    progress: Progress = no_progress,
) -> Floats:
    """Run every sequence through a network.

    Which sequences share a batch depends on their lengths alone, so that the same input gives the same bytes.

    Args:
        network: A module whose `encode(ids, mask, types)` gives vectors of shape (m, d) for arrays of shape (m, L). It
            is read as it is now; dropout is off.
        sequences: Token ids of n sequences.
        settings: How much at once, how exactly, and where.
        pad_id: Token id that fills shorter sequences up.
        progress: Told of every batch: "tokens", those done, those in all.

    Returns:
        Vectors of shape (n, d) in the order of the input; (0, 0) for no sequences.

    Raises:
        ConfigError: If a device does not exist or cannot compute in this precision.
        JudgeError: If one sequence alone does not fit into the memory of a device.

    Example:
        >>> class Sums(torch.nn.Module):
        ...     def encode(self, ids, mask, types):
        ...         return (ids * mask).sum(1, keepdim=True).float()
        >>> encode_sequences(Sums(), Sequences.from_lists([[1, 2], [4]]), pad_id=0).tolist()
        [[3.0], [4.0]]
    """
    return Engine(network, settings).encode(sequences, pad_id=pad_id, progress=progress)


class Engine:
    """A network made ready to forecast, for many calls: its weights are laid out once and copied to every device.

    Args:
        network: As for `encode_sequences`; later changes of its weights are not seen.
        settings: How much at once, how exactly, and where.

    Raises:
        ConfigError: If a device does not exist or cannot compute in this precision.
    """

    def __init__(self, network: Any, settings: InferenceSettings = InferenceSettings()) -> None:  # noqa: B008 - frozen
        self.settings = settings
        devices = devices_of(settings)
        if is_spread(getattr(network, "backbone", None)):
            devices = devices[:1]
        if devices[0].type == "cpu":
            keep_memory()
        self.budget = settings.max_tokens or (CPU_TOKENS if devices[0].type == "cpu" else CUDA_TOKENS)
        with using_threads(settings.threads):
            self.replicas = [Replica(network, device, settings) for device in devices]

    def encode(self, sequences: Sequences, *, pad_id: int, progress: Progress = no_progress) -> Floats:
        """As `encode_sequences`."""
        work = _Work(sequences, self.budget, pad_id, progress, shares=all(r.shares for r in self.replicas))
        with using_threads(self.settings.threads):
            if len(self.replicas) == 1:
                work.through(self.replicas[0].encode)
            else:
                with ThreadPoolExecutor(len(self.replicas)) as pool:
                    list(pool.map(work.through, [replica.encode for replica in self.replicas]))
        return work.outputs


class _Work:
    """Batches that wait, and what came of those that are done; devices take from it side by side."""

    def __init__(
        self, sequences: Sequences, budget: int, pad_id: int, progress: Progress, *, shares: bool = False
    ) -> None:
        self.sequences, self.pad_id, self.progress = sequences, pad_id, progress
        self.lengths, self.budget = sequences.lengths, budget
        self.shared = worth_sharing(sequences) if shares else None
        self.waiting = deque(self._cut(np.arange(len(sequences))))
        self.outputs: Floats = np.zeros((0, 0), np.float32)
        self.done, self.total = 0, int(self.lengths.sum())
        self.lock = threading.Lock()

    def through(self, encode: Callable[[Any], Floats]) -> None:
        """Work until nothing waits."""
        while (rows := self._next()) is not None:
            try:
                found = encode(self.sequences.padded(rows, pad_id=self.pad_id))
            except torch.OutOfMemoryError as error:
                self._halve(rows, error)
                continue
            self._keep(rows, found)

    def _next(self) -> NDArray[np.int64] | None:
        with self.lock:
            if not self.waiting:
                return None
            rows = self.waiting.popleft()
            first, *others = self._cut(rows)
            self.waiting.extendleft(reversed(others))
            return first

    def _cut(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        lengths = self.lengths[rows]
        if self.shared is None:
            parts = token_batches(lengths, budget=self.budget)
        else:
            parts = grouped_batches(self.shared.take(rows), lengths, budget=self.budget)
        return [rows[part] for part in parts]

    def _keep(self, rows: NDArray[np.int64], found: Floats) -> None:
        with self.lock:
            if not len(self.outputs):
                self.outputs = np.empty((len(self.sequences), found.shape[1]), np.float32)
            self.outputs[rows] = found
            self.done += int(self.lengths[rows].sum())
            self.progress("tokens", self.done, self.total)

    def _halve(self, rows: NDArray[np.int64], error: Exception) -> None:
        with self.lock:
            longest = int(self.lengths[rows].max())
            if len(rows) == 1:
                raise JudgeError(
                    f"one sequence of {longest} tokens does not fit into the memory of the device; lower "
                    "text.max_length, or choose another device with inference.devices"
                ) from error
            self.budget = min(self.budget, len(rows) * longest) // 2
            self.waiting.appendleft(rows)
            logger.warning("out of memory with %d sequences at once; going on with %d tokens", len(rows), self.budget)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
