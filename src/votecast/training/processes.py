"""The process, or the processes of `accelerate launch`, that train one network, and what they exchange."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env, patch_environment
from torch import Tensor, distributed
from torch.nn import Parameter

from votecast.config.machine import fitting_in_memory
from votecast.errors import ConfigError
from votecast.training.network import TrainableNetwork
from votecast.training.settings import TrainingSettings
from votecast.training.sharding import requested_sharding, shard_network
from votecast.types import Ints

logger = logging.getLogger(__name__)
_BUCKET = 1 << 24  # numbers sent at a time: fewer messages than parameters, and no copy of the whole gradient

_LESS_MEMORY = (
    "train adapters on weights of 4 bits (model.adapter, model.weights nf4), hold the moments in 8 bits "
    "(model.training.optimizer adamw_8bit), lower model.training.max_tokens, or divide the network with fsdp"
)


class Processes:
    """The processes that `accelerate launch` has started, or this one alone.

    Every process has the whole network, and gradients are summed once a step, after all passes, so that a process may
    run out of memory and split its rows again without the others waiting inside a pass. Or each holds a part of the
    network (`sharding`), and every pass is one of all processes together.

    Raises:
        ConfigError: If they were launched in a way that is not supported.
    """

    def __init__(self) -> None:
        if parse_flag_from_env("ACCELERATE_USE_MEGATRON_LM"):
            raise ConfigError("launched with Megatron-LM; allowed are those that votecast recipes --accelerate names")
        requested = requested_sharding()
        # accelerate would start DeepSpeed's engine, and its stages run on fully_shard here
        with patch_environment(ACCELERATE_USE_DEEPSPEED="false"):
            self._state = PartialState(cpu=_on_cpu())
        self.sharding = requested if self._state.num_processes > 1 else None
        self.index: int = self._state.process_index
        self.count: int = self._state.num_processes
        self.device: torch.device = self._state.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and reports."""
        return self.index == 0

    @contextmanager
    def hold(self, network: TrainableNetwork, settings: TrainingSettings) -> Iterator[TrainableNetwork]:
        """Move the network to where it is trained within this context, and back afterwards.

        Raises:
            ConfigError: If it should be sharded and cannot be.
            JudgeError: If weights, gradients and moments do not fit into the memory of the device.
        """
        home = next(network.parameters()).device
        with fitting_in_memory(f"weights, gradients and moments on {self.device}", _LESS_MEMORY):
            if self.sharding is not None:
                with shard_network(network, settings, self.device, self.sharding) as made:
                    yield made
            else:
                yield network.to(self.device)
        network.to(home).eval()

    def spare(self, parts: Sequence[Ints]) -> int:
        """Count the passes this process joins after its own rows are done, because the others need its part."""
        return self.largest(len(parts)) - len(parts) if self.sharding is not None else 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        self._state.wait_for_everyone()

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, on the CPU."""
        if self.count == 1:
            return values
        sent = values.to(self.device)
        distributed.all_reduce(sent)
        return sent.cpu()

    def largest(self, value: int) -> int:
        """Return the largest value of any process."""
        if self.count == 1:
            return value
        sent = torch.tensor([value], device=self.device)
        distributed.all_reduce(sent, op=distributed.ReduceOp.MAX)
        return int(sent.item())

    @torch.no_grad()
    def sum_gradients(self, parameters: Sequence[Parameter]) -> None:
        """Replace every gradient by its sum over all processes."""
        if self.count == 1 or self.sharding is not None:  # where each holds a part, a backward pass does it
            return
        # a parameter without gradient here may have one in another process
        used = self.summed(torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32))
        present = [p for p, uses in zip(parameters, used.tolist(), strict=True) if uses]
        while present:
            bucket = [present.pop()]
            while present and sum(p.numel() for p in bucket) + present[-1].numel() <= _BUCKET:
                bucket.append(present.pop())
            grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in bucket]
            flat = torch.cat([grad.reshape(-1) for grad in grads])
            distributed.all_reduce(flat)
            for parameter, part in zip(bucket, torch.split(flat, [p.numel() for p in bucket]), strict=True):
                parameter.grad = part.view_as(parameter).clone()


def _on_cpu() -> bool:
    """Whether there is no accelerator, or `accelerate launch --cpu` says to leave it alone."""
    if "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ and "ACCELERATE_MIXED_PRECISION" in os.environ:
        logger.warning(
            "this is one process alone: accelerate launch --cpu starts several only through MPI; start them with "
            "--config_file and the file that votecast recipes --accelerate multi_cpu names"
        )
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
