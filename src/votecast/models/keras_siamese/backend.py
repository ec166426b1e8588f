"""Keras on the backend that the settings name. Keras reads it once, when it is first imported in a process."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.settings import Backend

_VARIABLE = "KERAS_BACKEND"


def start_keras(backend: Backend) -> ModuleType:
    """Import Keras and KerasHub on a backend.

    Args:
        backend: jax, torch or tensorflow.

    Returns:
        The module keras.

    Raises:
        ConfigError: If this process has imported Keras with another backend.
        MissingExtraError: If a package is not installed; the message holds the command.
    """
    loaded = sys.modules.get("keras")
    if loaded is None:
        need(backend)
        with _environment(_VARIABLE, backend):
            loaded = need("keras")
    running = loaded.config.backend()
    if running != backend:
        raise ConfigError(
            f"model.backend is {backend}, and Keras already runs on {running} in this process, where it stays; start "
            f"a fresh process, or set model.backend to {running}"
        )
    need("keras_hub")
    return loaded


def precision_of(precision: str, backend: Backend) -> str:
    """The dtype policy of Keras that a setting stands for on this machine."""
    if precision != "auto":
        return precision
    return "mixed_float16" if _has_accelerator(backend) else "float32"


@contextmanager
def seeded(keras: ModuleType, seed: int) -> Iterator[None]:
    """Within this, Keras draws from a seed; the generators of Python, numpy and torch then go on as before."""
    torch = sys.modules.get("torch") if keras.config.backend() == "torch" else None
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - keras seeds this one
    drawn = torch.get_rng_state() if torch else None
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(drawn)


def _has_accelerator(backend: Backend) -> bool:
    if backend == "jax":
        return str(need("jax").default_backend()) != "cpu"
    if backend == "torch":
        return bool(need("torch").cuda.is_available())
    return bool(need("tensorflow").config.list_physical_devices("GPU"))


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
