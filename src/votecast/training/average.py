"""Averages of weights over the course of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from votecast.training.settings import TrainingSettings
from votecast.training.sharding import like

Tensors = dict[str, Tensor]


class Average:
    """The weights that are evaluated and kept: current, moving average, or mean over the last evaluations.

    Args:
        weights: The trained parameters by name; read, and written only within `applied`.
        settings: Which average.
    """

    def __init__(self, weights: Mapping[str, Tensor], settings: TrainingSettings) -> None:
        self._weights, self._settings = weights, settings
        self._updates = 0
        self._snapshots: list[Tensors] = [_copy(weights)] if settings.average == "ema" else []

    @torch.no_grad()
    def after_step(self) -> None:
        """Follow the weights (Polyak and Juditsky, 1992), at first more closely so that the start is forgotten."""
        if self._settings.average != "ema":
            return
        self._updates += 1
        decay = min(self._settings.average_decay, (1 + self._updates) / (10 + self._updates))
        for name, mean in self._snapshots[0].items():
            mean.lerp_(self._weights[name].detach(), 1 - decay)

    def before_evaluation(self) -> None:
        """Take the weights into the mean over the last evaluations (Izmailov et al., 2018)."""
        if self._settings.average == "last":
            self._snapshots = [*self._snapshots, _copy(self._weights)][-self._settings.average_last :]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this, the network has the averaged weights."""
        if not self._snapshots:
            yield
            return
        current = _copy(self._weights)
        self._write(_mean(self._snapshots))
        try:
            yield
        finally:
            self._write(current)

    def tensors(self) -> Tensors:
        """All that the average remembers, for a checkpoint."""
        return {f"{at}.{name}": value for at, part in enumerate(self._snapshots) for name, value in part.items()}

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Take up what `tensors` gave after this many steps."""
        self._updates = updates
        parts: dict[int, Tensors] = {}
        for key, value in tensors.items():
            at, _, name = key.partition(".")
            parts.setdefault(int(at), {})[name] = like(value, self._weights[name]).clone()
        self._snapshots = [parts[at] for at in sorted(parts)]

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._weights[name].copy_(value)


def _copy(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: value.detach().clone() for name, value in tensors.items()}


def _mean(parts: list[Tensors]) -> Tensors:
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]}
