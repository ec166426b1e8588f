"""Run sequences through a network in batches of a fixed number of tokens, on one or more devices.

Every neural model predicts with it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from votecast.config import current_launch
from votecast.config.machine import fitting_in_memory, is_out_of_memory, keep_memory, usable_cores
from votecast.config.precision import choose_precision
from votecast.errors import ConfigError, JudgeError
from votecast.inference.backbones import backbone_of, is_spread
from votecast.inference.decoder_pass import DecoderStack
from votecast.inference.devices import MORE_MEMORY, copy_to_device, devices_of
from votecast.inference.fast import fast_network
from votecast.inference.layers import int8_works
from votecast.inference.settings import InferenceSettings
from votecast.text.batching import grouped_batches, token_batches, worth_sharing
from votecast.text.sequences import Padded, Sequences
from votecast.types import Progress, no_progress

logger = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# The states of 1,024 tokens fit into the cache of a CPU; CUDA needs many more to be busy.
CPU_TOKENS, CUDA_TOKENS = 1024, 131_072

CHECKED_TOKENS = 4096
"""Tokens on which fp16 is compared with fp32, which needs more memory."""

FP16_GAP = 0.02
"""Largest change of an output by fp16, such as a log odds, in units of the largest output or 1."""


class SequenceTooLongError(JudgeError):
    """One sequence alone does not fit into the memory of a device; others may."""


class Engine:
    """A network ready for many predictions: its weights are packed once, on every device.

    Args:
        network: A module whose `encode(ids, mask, types)` returns vectors of shape (m, d) for inputs of shape (m, L).
            Later changes of its weights have no effect.
        settings: Batch size, precision and devices.

    Raises:
        ConfigError: If a device does not exist or cannot compute in this precision.
        JudgeError: If the weights do not fit into the memory of a device.

    Example:
        >>> class Sums(torch.nn.Module):
        ...     def encode(self, ids, mask, types):
        ...         return (ids * mask).sum(1, keepdim=True).float()
        >>> Engine(Sums()).encode(Sequences.from_lists([[1, 2], [4]]), pad_id=0).tolist()
        [[3.0], [4.0]]
    """

    def __init__(self, network: nn.Module, settings: InferenceSettings = InferenceSettings()) -> None:  # noqa: B008 - frozen
        self.settings = settings
        devices = devices_of(settings)
        if is_spread(backbone_of(network)):
            devices = devices[:1]
        if devices[0].type == "cpu":
            keep_memory()
        self.budget = settings.max_tokens or (CPU_TOKENS if devices[0].type == "cpu" else CUDA_TOKENS)
        with using_threads(settings.threads):
            self.replicas = []
            for device in devices:
                with fitting_in_memory(f"the weights of the network on {device}", MORE_MEMORY):
                    self.replicas.append(Replica(network, device, settings))
        self._checks_fp16 = any(replica.dtype == torch.float16 for replica in self.replicas)

    def encode(self, sequences: Sequences, *, pad_id: int, progress: Progress = no_progress) -> Vectors:
        """Compute the vectors of all sequences; dropout is off.

        Which sequences share a batch depends on their tokens alone, so that the same input gives the same bytes.

        Args:
            sequences: Token ids of n sequences.
            pad_id: Token id of padding.
            progress: Called after every batch with "tokens", the number done and the number of all.

        Returns:
            Vectors of shape (n, d) in the order of the input; (0, 0) for no sequences.

        Raises:
            SequenceTooLongError: If one sequence alone does not fit into the memory of a device.
        """
        shares = all(replica.shares_prefixes for replica in self.replicas)
        batches = _Batches(sequences, self.budget, pad_id, progress, shares)
        with using_threads(self.settings.threads):
            if self._checks_fp16 and len(sequences):
                self._check_fp16(sequences, pad_id)
            if len(self.replicas) == 1:
                batches.run(self.replicas[0])
            else:
                with ThreadPoolExecutor(len(self.replicas)) as pool:
                    try:
                        list(pool.map(batches.run, self.replicas))
                    finally:
                        batches.waiting.clear()  # after Ctrl-C, the pool waits for the batches at work alone
        return batches.outputs

    def _check_fp16(self, sequences: Sequences, pad_id: int) -> None:
        """Predict in fp32 from now on if fp16 differs from it on the first batch."""
        self._checks_fp16 = False
        half = [replica for replica in self.replicas if replica.dtype == torch.float16]
        rows = token_batches(sequences.lengths, budget=CHECKED_TOKENS)[0]
        try:
            gap = half[0].fp16_gap(sequences.padded(rows, pad_id=pad_id))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("fp16 was not compared with fp32, which does not fit in the memory of the device")
            return
        if gap <= FP16_GAP:
            half[0].passes.pop(torch.float32)  # of weights in half precision it is a copy in full
            return
        found = f"changes outputs by {100 * gap:.1f} %" if np.isfinite(gap) else "overflows"
        logger.warning("fp16 %s in this network, which predicts in fp32 now (inference.precision)", found)
        for replica in half:
            replica.dtype = torch.float32
            replica.passes.pop(torch.float16)


class Replica:
    """A network ready on one device, which it shares or to which it was copied."""

    def __init__(self, network: nn.Module, device: torch.device, settings: InferenceSettings) -> None:
        self.device, self.dtype, self.settings = device, dtype_of(settings, device), settings
        if any(p.device != device for p in network.parameters()):
            network = copy_to_device(network, device)
        self.may_widen = self.dtype == torch.float16  # `dtype` becomes fp32 where fp16 differs
        self.network, self.passes = network, dict[torch.dtype, nn.Module]()
        fast = self.pass_in(self.dtype)
        if self.dtype == torch.int8 and fast is network:
            raise ConfigError(
                "inference.precision is int8, and this architecture has no such form; allowed are auto, fp32 and bf16"
            )
        fast_backbone = backbone_of(fast)
        self.shares_prefixes = isinstance(fast_backbone, DecoderStack) and fast_backbone.sharing

    def encode(self, batch: Padded) -> Vectors:
        """Compute vectors of shape (m, d); in fp32 where they overflow fp16."""
        found = self._run(batch, self.dtype)
        return found if self.dtype != torch.float16 or np.isfinite(found).all() else self._run(batch, torch.float32)

    def fp16_gap(self, batch: Padded) -> float:
        """Return the largest change of an output by fp16, in units of the largest output or 1; inf if one overflows."""
        exact, found = self._run(batch, torch.float32), self._run(batch, torch.float16)
        if not np.isfinite(found).all():
            return float("inf")
        return float(np.abs(found - exact).max() / max(1.0, np.abs(exact).max()))

    def pass_in(self, dtype: torch.dtype) -> nn.Module:
        """Return the network with its layers replaced by a pass in some precision."""
        if dtype not in self.passes:
            with torch.no_grad():
                parts = self.settings.last_layer_only, self.settings.shared_prefixes
                self.passes[dtype] = fast_network(self.network, dtype, *parts)
        return self.passes[dtype]

    def _run(self, batch: Padded, dtype: torch.dtype) -> Vectors:
        ids, mask = (torch.from_numpy(x).to(self.device, non_blocking=True) for x in (batch.ids, batch.mask))  # (m, L)
        types = None if batch.types is None else torch.from_numpy(batch.types).to(self.device, non_blocking=True)
        # Passes compute in their own precision; only an unknown architecture needs autocast.
        fast, precision = self.pass_in(dtype), cast("AbstractContextManager[object]", nullcontext())
        if fast is self.network and dtype != torch.float32:
            precision = torch.autocast(self.device.type, dtype=dtype)
        elif fast is self.network and self.may_widen:
            precision = computing_in_fp32(self.network)
        encode = cast("Callable[[Tensor, Tensor, Tensor | None], Tensor]", fast.encode)
        with torch.no_grad(), evaluating(self.network), precision:
            return encode(ids, mask, types).float().cpu().numpy()


class _Batches:
    """The batches of one call, which devices take from one queue, and their outputs."""

    def __init__(self, sequences: Sequences, budget: int, pad_id: int, progress: Progress, shares: bool) -> None:
        self.sequences, self.pad_id, self.progress = sequences, pad_id, progress
        self.lengths, self.budget = sequences.lengths, budget
        self.shared = worth_sharing(sequences) if shares else None
        self.waiting = deque(self._cut(np.arange(len(sequences))))
        self.outputs: Vectors = np.zeros((0, 0), np.float32)
        self.done, self.total = 0, int(self.lengths.sum())
        self.lock = threading.Lock()

    def run(self, replica: Replica) -> None:
        """Encode batches on one device until none is left; halve those that do not fit into its memory."""
        try:
            while (rows := self._next()) is not None:
                try:
                    found = replica.encode(self.sequences.padded(rows, pad_id=self.pad_id))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    self._halve(rows, error)
                else:
                    self._store(rows, found)
        except BaseException:
            self.waiting.clear()  # the other devices stop too
            raise

    def _cut(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        lengths = self.lengths[rows]
        if self.shared is None:
            parts = token_batches(lengths, budget=self.budget)
        else:
            parts = grouped_batches(self.shared.take(rows), lengths, budget=self.budget)
        return [rows[part] for part in parts]

    def _next(self) -> NDArray[np.int64] | None:
        with self.lock:
            if not self.waiting:
                return None
            # The budget may have shrunk since this batch was cut.
            first, *others = self._cut(self.waiting.popleft())
            self.waiting.extendleft(reversed(others))
            return first

    def _store(self, rows: NDArray[np.int64], found: Vectors) -> None:
        with self.lock:
            if not len(self.outputs):  # the first batch shows how long the vectors are
                self.outputs = np.empty((len(self.sequences), found.shape[1]), np.float32)
            self.outputs[rows] = found
            self.done += int(self.lengths[rows].sum())
            self.progress("tokens", self.done, self.total)

    def _halve(self, rows: NDArray[np.int64], error: Exception) -> None:
        with self.lock:
            longest = int(self.lengths[rows].max())
            if len(rows) == 1:
                raise SequenceTooLongError(
                    f"one sequence of {longest} tokens does not fit into the memory of the device; lower "
                    "text.max_length, or choose another device with inference.devices"
                ) from error
            self.budget = min(self.budget, len(rows) * longest) // 2
            self.waiting.appendleft(rows)
            logger.warning("out of memory with %d sequences at once; going on with %d tokens", len(rows), self.budget)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def dtype_of(settings: InferenceSettings, device: torch.device) -> torch.dtype:
    """Return the precision of dense layers on a device.

    Raises:
        ConfigError: If the device cannot compute in this precision.
    """
    wanted = settings.precision
    if wanted == "int8":
        if device.type == "cpu" and int8_works():
            return torch.int8
        raise ConfigError(
            f"inference.precision is int8, which {device} does not have here; allowed are auto, fp32 and bf16"
        )
    if wanted == "auto" and device.type == "cpu":
        return torch.float32
    return DTYPES[choose_precision(wanted, device, setting="inference.precision")]


def check_inference(settings: InferenceSettings) -> None:
    """Check, before a model is loaded, that the devices exist and compute in the precision of the settings.

    Raises:
        ConfigError: Naming the device, and what is allowed there.
    """
    for device in devices_of(settings):
        dtype_of(settings, device)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch dropout off; restore the mode of every module afterwards."""
    modules = [module for module in network.modules() if module.training]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


@contextmanager
def computing_in_fp32(network: nn.Module) -> Iterator[None]:
    """Let layers of 4 bits compute in fp32; restore their precision afterwards."""
    modules: list[Any] = [module for module in network.modules() if hasattr(module, "quant_state")]
    before = [(module, module.compute_dtype) for module in modules]
    for module in modules:
        module.compute_dtype = torch.float32
    try:
        yield
    finally:
        for module, dtype in before:
            module.compute_dtype = dtype


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Give torch this many threads, or one per core unless OMP_NUM_THREADS is set; restore the number afterwards."""
    before = torch.get_num_threads()
    if threads or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads or max(1, usable_cores() // current_launch().local_processes))
    try:
        yield
    finally:
        torch.set_num_threads(before)
