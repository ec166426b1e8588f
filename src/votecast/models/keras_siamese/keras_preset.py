"""Keras on the backend of the settings, and the files of KerasHub's presets: local, or downloaded.

`keras_backbone` loads weights and `keras_tokenizer` vocabularies from what this finds.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

from votecast.config import current_launch
from votecast.config.extras import need
from votecast.errors import ConfigError
from votecast.models.keras_siamese.settings import Backend
from votecast.models.neural.hub_access import asking_hub, unreachable
from votecast.models.neural.packaged_weights import minilm_folder

PRESET_FILES = "config.json, metadata.json, model.weights.h5, tokenizer.json and assets/tokenizer"
"""What a folder of KerasHub's layout holds."""

_PAGES = {"kaggle": "https://www.kaggle.com/models/", "hf": "https://huggingface.co/"}
"""Scheme of a handle -> where a person downloads it."""


def check_keras(backend: Backend) -> None:
    """Check without importing Keras that it can run here.

    Raises:
        ConfigError: If a launcher has started several processes.
        MissingExtraError: If a package is not installed; the message holds the command.
    """
    if (processes := current_launch().processes) > 1:
        raise ConfigError(
            f"judges of the family keras_siamese run in one process, and a launcher has started {processes}; start "
            "votecast without accelerate launch or torchrun"
        )
    for package in ("keras", "keras_hub", backend):
        if package not in sys.modules and importlib.util.find_spec(package) is None:
            need(package)


def start_keras(backend: Backend) -> ModuleType:
    """Import Keras and KerasHub on a backend; Keras keeps it for the life of the process.

    Raises:
        ConfigError: If this process has imported Keras with another backend.
        MissingExtraError: If a package is not installed; the message holds the command.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        need(backend)
        before = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = backend  # Keras reads it once, when it is imported
        try:
            keras = need("keras")
        finally:
            del os.environ["KERAS_BACKEND"]
            if before is not None:
                os.environ["KERAS_BACKEND"] = before
    running = keras.config.backend()
    if running != backend:
        raise ConfigError(
            f"model.backend is {backend}, and Keras already runs on {running} in this process, where it stays; start "
            f"a fresh process, or set model.backend to {running}"
        )
    need("keras_hub")
    return keras


def resolve_preset(name: str) -> str:
    """Return what KerasHub loads for `model.name`: a folder, or the name of a preset.

    Raises:
        ConfigError: If it looks like a folder that does not exist.
        MissingExtraError: If it is `minilm` and its package is not installed.
    """
    if name == "minilm":
        return str(minilm_folder())
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if name.startswith((".", "~", "/")) or path.exists():
        raise ConfigError(f"model.name is {name!r}, and there is no such folder; give a folder of KerasHub's layout")
    return name


def preset_file(preset: str, path: str, backend: Backend) -> Path:
    """Return a file of a preset, downloaded unless it is in the cache of kagglehub or the Hugging Face hub.

    Raises:
        ConfigError: If there is no such preset, or it cannot be downloaded.
        MissingExtraError: If a package is not installed.
    """
    if Path(preset).is_dir():
        return Path(preset) / path
    start_keras(backend)  # KerasHub would import Keras on TensorFlow
    with loading_preset(preset):
        return Path(need("keras_hub.src.utils.preset_utils").get_file(preset, path))


@contextmanager
def loading_preset(preset: str) -> Iterator[None]:
    """Turn the errors of loading a preset into those of votecast within this context, after `start_keras`.

    Raises:
        ConfigError: If there is no such preset, it cannot be downloaded, or its files do not fit together.
    """
    if Path(preset).is_dir():
        with _loading(f"the preset {preset!r} cannot be loaded", f"a folder of KerasHub's layout has {PRESET_FILES}"):
            yield
        return
    known = need("keras_hub.src.utils.preset_utils").BUILTIN_PRESETS
    if preset not in known and "://" not in preset:
        near = difflib.get_close_matches(preset, known, n=1)
        hint = f"did you mean {near[0]}? Otherwise give" if near else "give"
        raise ConfigError(
            f"there is no preset {preset!r}; {hint} the name of a KerasHub preset, a handle such as "
            "hf://OWNER/MODEL, or a folder of KerasHub's layout"
        )
    scheme, _, handle = str(known.get(preset, {}).get("kaggle_handle", preset)).partition("://")
    if scheme == "kaggle":
        need("kagglehub")
    source = f" from {_PAGES[scheme]}{handle}" if scheme in _PAGES else ""
    remedy = f"where there is a network, download {PRESET_FILES}{source}, and set model.name to their folder here"
    with (
        _loading(f"the preset {preset!r} cannot be downloaded", remedy),
        asking_hub(preset) if scheme == "hf" else nullcontext(),
    ):
        yield


@contextmanager
def _loading(problem: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, OSError, ValueError, KeyError, TypeError) as error:
        told = error.__cause__ or error  # KerasHub calls a file that the hub could not be asked for a missing one
        reason = (str(told).strip().splitlines() or [type(told).__name__])[0][:300].rstrip(".")
        if isinstance(told, need("huggingface_hub.errors").LocalEntryNotFoundError):
            reason = unreachable()
        raise ConfigError(f"{problem}: {reason}; {remedy}") from error
