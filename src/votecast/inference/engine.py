"""Run sequences through a network in batches of a fixed number of tokens, on one or more devices.

Every neural model predicts with it.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from votecast.config.machine import keep_memory, usable_cores
from votecast.errors import ConfigError, JudgeError
from votecast.inference.fast import fast_network
from votecast.inference.layers import beside_backbone, int8_works, is_spread
from votecast.inference.settings import InferenceSettings
from votecast.text.batching import grouped_batches, token_batches, worth_sharing
from votecast.text.sequences import Padded, Sequences
from votecast.types import Progress, no_progress

logger = logging.getLogger(__name__)

N = TypeVar("N")


class Replica:
    """A network ready on one device.

    Args:
        network: A module with `encode`; shared where it already lies on the device, else copied.
        device: Where it runs.
        settings: Its precision.

    Raises:
        ConfigError: If the device cannot compute in this precision.
    """

    def __init__(self, network: Any, device: torch.device, settings: InferenceSettings) -> None:
        self.device, self.dtype = device, dtype_of(settings, device)
        if is_spread(getattr(network, "backbone", None)):
            network = beside_backbone(network).to(device)
        elif isinstance(network, nn.Module) and any(p.device != device for p in network.parameters()):
            network = (beside_backbone(network) if _lies_on(network, device) else copy.deepcopy(network)).to(device)
        self.network = network
        with torch.no_grad():
            self.fast: Any = fast_network(
                network,
                dtype=self.dtype,
                last_layer_only=settings.last_layer_only,
                shared_prefixes=settings.shared_prefixes,
            )
        if self.dtype == torch.int8 and self.fast is network:
            raise ConfigError(
                "inference.precision is int8, and this architecture has no such form; allowed are auto, fp32 and bf16"
            )

    @property
    def shares(self) -> bool:
        """Whether a prefix that sequences of a batch have in common is computed once."""
        return bool(getattr(getattr(self.fast, "backbone", None), "sharing", False))

    def encode(self, batch: Padded) -> NDArray[np.float32]:
        """Vectors of shape (m, d)."""
        ids, mask = (torch.from_numpy(x).to(self.device, non_blocking=True) for x in (batch.ids, batch.mask))
        types = None if batch.types is None else torch.from_numpy(batch.types).to(self.device, non_blocking=True)
        with torch.no_grad(), evaluating(self.network), self._rounding():
            found = self.fast.encode(ids, mask, types)
        return np.asarray(found.float().cpu().numpy(), dtype=np.float32)

    def _rounding(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32 or self.fast is not self.network:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def _lies_on(network: nn.Module, device: torch.device) -> bool:
    """Whether the backbone is on a device already, as weights of few bits are once they are loaded."""
    backbone = getattr(network, "backbone", None)
    return isinstance(backbone, nn.Module) and all(p.device == device for p in backbone.parameters())


def devices_of(settings: InferenceSettings) -> list[torch.device]:
    """The devices that settings ask for: those named, else every CUDA device, else the CPU.

    Raises:
        ConfigError: If one of them does not exist.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not settings.devices:
        return [torch.device("cuda", i) for i in range(count)] or [torch.device("cpu")]
    allowed = ["cpu", *(f"cuda:{i}" for i in range(count))]
    unknown = [name for name in settings.devices if name not in allowed]
    if unknown:
        raise ConfigError(f"inference.devices names {unknown[0]!r}; this machine has {', '.join(allowed)}")
    return [torch.device(name) for name in settings.devices]


def dtype_of(settings: InferenceSettings, device: torch.device) -> torch.dtype:
    """What a device computes dense layers with.

    Raises:
        ConfigError: If the device cannot compute in this precision.
    """
    if settings.precision == "auto":
        rounds = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if rounds else torch.float32
    if settings.precision == "int8" and (device.type != "cpu" or not int8_works()):
        raise ConfigError(
            f"inference.precision is int8, which {device} does not have here; allowed are auto, fp32 and bf16"
        )
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}[settings.precision]


@contextmanager
def evaluating(network: Any) -> Iterator[None]:
    """No dropout; as before afterwards."""
    modules = [m for m in network.modules() if m.training] if isinstance(network, nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """That many threads of torch, or one for each core (OMP_NUM_THREADS settles it); as before afterwards."""
    before = torch.get_num_threads()
    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        settings: Batch size, precision and devices.
        pad_id: Token id that fills shorter sequences up.
        progress: Called at every batch with "tokens", the number done and the number of all.

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
    """A network ready for many predictions: its weights are laid out once, on every device.

    Args:
        network: As for `encode_sequences`; later changes of its weights have no effect.
        settings: Batch size, precision and devices.

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
        """Encode as `encode_sequences` does."""
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
