"""One network on one device."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from votecast.config.machine import usable_cores
from votecast.errors import ConfigError
from votecast.inference.dense import int8_works
from votecast.inference.fast import fast_network
from votecast.inference.settings import InferenceSettings
from votecast.inference.spread import beside_backbone, is_spread
from votecast.text.sequences import Padded

logger = logging.getLogger(__name__)


class Replica:
    """A network made ready on one device.

    Args:
        network: A module with `encode`; shared where it already lies on the device, else copied.
        device: Where it runs.
        settings: How exactly.

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
