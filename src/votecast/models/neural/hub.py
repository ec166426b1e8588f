"""Calls into transformers and the Hugging Face hub: without their progress bars, and with the errors of votecast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path

from transformers import PretrainedConfig
from transformers.utils import logging

from votecast.config.extras import need
from votecast.errors import ArtifactError, ConfigError, JudgeError


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and logging warnings, such as of new heads, within this context."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    hub = getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(ERROR)  # it logs every retry
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def loading_model(name: str) -> Iterator[None]:
    """Turn the errors of loading a model into those of votecast within this context.

    Raises:
        ConfigError: If the model is not found or cannot be read.
        JudgeError: If weights and configuration do not fit.
    """
    try:
        with silence_transformers():
            yield
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"the model {name!r} cannot be loaded{_offline()}: {first_line(error)}; give a folder with "
            "config.json and weights, or the name of a public model on the Hugging Face hub"
        ) from error
    except RuntimeError as error:
        raise JudgeError(f"the weights of {name!r} do not fit its config.json: {first_line(error)}") from error


def hub_config(name: str, revision: str | None) -> dict[str, object]:
    """Read config.json of a model on the hub; empty if it cannot be read, which loading the model reports."""
    try:
        with silence_transformers():
            return dict(PretrainedConfig.get_config_dict(name, revision=revision)[0])
    except (OSError, ValueError):
        return {}


def download_model(name: str, revision: str | None, patterns: list[str]) -> Path:
    """Download the files of a model on the hub, unless they are in its cache.

    Raises:
        ArtifactError: If they cannot be downloaded.
    """
    hub = need("huggingface_hub")
    try:
        with silence_transformers():
            return Path(hub.snapshot_download(name, revision=revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"the model {name!r} cannot be downloaded{_offline()}: {first_line(error)}; give a folder with its files"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters; its class without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _offline() -> str:
    return " (offline: HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
