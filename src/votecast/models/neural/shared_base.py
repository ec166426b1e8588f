"""One frozen backbone for all members that stand on it, and engines of one group that share the memory of a device.

`NeuralModel` takes its backbone from here where its folder does not hold it.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Hashable

import torch
from torch.nn import Module, Parameter
from transformers import PreTrainedModel

from votecast.inference.engine import Engine
from votecast.inference.layers import SharedPacks

KEPT_BYTES = 1 << 30
"""Engines of a group stay ready on the CPU while their networks together have at most this size."""


class EngineGroup:
    """Engines of the members of one judge, or on one base: on an accelerator, one of them at a time."""

    def __init__(self) -> None:
        self._slots: list[weakref.ref[EngineSlot]] = []

    def make_room(self, new: EngineSlot, room: int) -> None:
        """Free the oldest engines until the sizes of all, with that of a new one, are within some bytes."""
        ready = [slot for ref in self._slots if (slot := ref()) is not None and slot is not new and slot.is_ready]
        while ready and sum(slot.size for slot in (*ready, new)) > room:
            ready.pop(0).free()
        self._slots = [weakref.ref(slot) for slot in (*ready, new)]


class EngineSlot:
    """The engine of a network: made when it is to predict, freed when another of its group needs the memory.

    Args:
        group: The engines that it shares the memory with.
    """

    def __init__(self, group: EngineGroup) -> None:
        self.group, self.size = group, 0
        self._engine: Engine | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is an engine."""
        return self._engine is not None

    def engine(self, make: Callable[[], Engine], *, size: int, on_cpu: bool) -> Engine:
        """Return the engine, made where there is none.

        Args:
            make: Makes it.
            size: Bytes of its network.
            on_cpu: Whether it computes on the CPU.
        """
        found = self._engine
        if found is None:
            self.size = size
            self.group.make_room(self, KEPT_BYTES if on_cpu else 0)
            found = self._engine = make()
        return found

    def free(self) -> None:
        """Free the engine."""
        self._engine = None


class SharedBase(EngineGroup):
    """A frozen backbone: members have modules and adapters of their own around the same weights.

    Args:
        backbone: As it was loaded.
        seed: Seed of torch's generator before it was loaded.
        drew: Whether a part of it was drawn, such as a new head.
    """

    def __init__(self, backbone: PreTrainedModel, *, seed: int, drew: bool) -> None:
        super().__init__()
        backbone.packs = SharedPacks(backbone.parameters())
        self.backbone, self.seed, self.drew = backbone, seed, drew
        self.generator = torch.get_rng_state()

    def new_modules(self) -> PreTrainedModel:
        """Copy the modules around the same weights, so that adapters can be added to the copy alone."""
        shared = [*self.backbone.parameters(), *self.backbone.buffers(), self.backbone.packs]
        # bitsandbytes keeps the constants of few bits beside the weights
        shared += [
            vars(m)[name] for m in self.backbone.modules() for name in ("quant_state", "state") if name in vars(m)
        ]
        return copy.deepcopy(self.backbone, {id(part): part for part in shared})

    def own_trained(self, network: Module) -> None:
        """Give a network its own copy of the weights of the backbone that it trains, such as biases and heads."""
        known = {id(parameter) for parameter in self.backbone.parameters()}
        for module in network.modules():
            for name, p in module.named_parameters(recurse=False):
                if p.requires_grad and id(p) in known:
                    setattr(module, name, Parameter(p.detach().clone()))
                    p.requires_grad_(False)


_BASES: weakref.WeakValueDictionary[Hashable, SharedBase] = weakref.WeakValueDictionary()
_GROUPS: weakref.WeakValueDictionary[Hashable, EngineGroup] = weakref.WeakValueDictionary()


def shared_base(key: Hashable, load: Callable[[], PreTrainedModel], *, seed: int, trains: bool) -> SharedBase:
    """Return the base of a key, loaded where no member in memory stands on it.

    Args:
        key: What the weights of the backbone depend on.
        load: Loads it; new heads are drawn from torch's generator.
        seed: What the generator was seeded with.
        trains: Whether drawn parts, and what is drawn next, must be those of this seed.
    """
    found = _BASES.get(key)
    if found is not None and trains and found.drew:
        if found.seed == seed:
            torch.set_rng_state(found.generator)
        else:
            found = None
    if found is None:
        before = torch.get_rng_state()
        backbone = load()
        found = SharedBase(backbone, seed=seed, drew=not torch.equal(before, torch.get_rng_state()))
        _BASES[key] = found
    return found


def engine_group(key: Hashable) -> EngineGroup:
    """Return the group of engines of a key."""
    return _GROUPS.setdefault(key, EngineGroup())
