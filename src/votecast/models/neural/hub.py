"""Calls into transformers and the Hugging Face hub: without their progress bars, and with the errors of votecast."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
    StrictDataclassError,
)
from transformers import PretrainedConfig
from transformers.utils import cached_file, extract_commit_hash, logging

from votecast.artifacts import DAMAGE
from votecast.config.extras import need
from votecast.config.machine import fitting_in_memory
from votecast.errors import ArtifactError, ConfigError, JudgeError
from votecast.inference.devices import MORE_MEMORY
from votecast.models.neural.hub_access import asking_hub, has_network, unreachable

# what transformers raises of itself, of config.json, of a damaged file, and of a commit that it cannot ask for
_FAULTS = (*DAMAGE, AssertionError, ImportError, StrictDataclassError, RevisionResolutionError)


@contextmanager
def silence_transformers() -> Iterator[None]:
    """Keep transformers from drawing progress bars and logging warnings, such as of new heads, within this context."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def loading_model(name: str, *, local: bool = False) -> Iterator[None]:
    """Turn the errors of loading a model into those of votecast within this context.

    Raises:
        ConfigError: If the model is not found or cannot be read.
        JudgeError: If weights and configuration do not fit, or the weights do not fit into the memory.
    """
    try:
        with (
            silence_transformers(),
            asking_hub(name, local=local),
            fitting_in_memory(f"the weights of {name!r}", MORE_MEMORY),
        ):
            yield
    except (ConfigError, *_FAULTS) as error:
        if (reason := _hub_reason(name, error)) is None and isinstance(error, ConfigError):
            raise
        raise ConfigError(
            reason
            or f"the model {name!r} cannot be loaded: {first_line(error)}; give a folder with config.json and weights, "
            "or the name of a model on the Hugging Face hub"
        ) from error
    except RuntimeError as error:
        raise JudgeError(f"the weights of {name!r} do not fit its config.json: {first_line(error)}") from error


def hub_config(name: str, revision: str | None, *, local: bool = False) -> dict[str, object]:
    """Read config.json of a model on the hub; empty if it cannot be read, which loading the model reports."""
    try:
        with silence_transformers(), asking_hub(name, local=local):
            return dict(PretrainedConfig.get_config_dict(name, revision=revision, local_files_only=local)[0])
    except (OSError, ValueError):
        return {}


def hub_commit(name: str, revision: str | None, *, local: bool = False) -> str | None:
    """Return the commit that a model has on the hub, or in its cache; None if config.json cannot be read."""
    try:
        with silence_transformers(), asking_hub(name, local=local):
            place = cached_file(name, "config.json", revision=revision, local_files_only=local)
            found: str | None = extract_commit_hash(place, None)
    except (OSError, ValueError):
        return None
    return found


def download_model(name: str, revision: str | None, patterns: list[str], *, local: bool = False) -> Path:
    """Download the files of a model on the hub, unless they are in its cache; with `local`, take them from there alone.

    Raises:
        ArtifactError: If they cannot be downloaded.
    """
    hub = need("huggingface_hub")
    try:
        with silence_transformers(), asking_hub(name, local=local):
            return Path(hub.snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=local))
    except _FAULTS as error:
        raise ArtifactError(
            _hub_reason(name, error)
            or f"the model {name!r} cannot be downloaded: {first_line(error)}; give a folder with its files"
        ) from error


def missing_base(name: str, revision: str | None) -> str:
    """Say how to get the base of a judge: loading a judge opens no connection to a place that its author chose."""
    command = f"hf download {name}" + (f" --revision {revision}" if revision else "")
    return (
        f"the judge was made from {name!r}, which is not in {constants.HF_HUB_CACHE}, and a judge is loaded without "
        f"the network; if you trust that model, run `{command}` and load the judge again"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, at most 300 characters; its class without one."""
    first, *others = str(error).strip().splitlines() or [type(error).__name__]
    if first.endswith(":") and others:  # a heading
        first = f"{first} {others[0].strip()}"
    return first[:300]


def _hub_reason(name: str, error: BaseException) -> str | None:
    """Say what the hub refused and what to do; None if the hub has no part in the error."""
    # transformers raises an OSError of its own from that of the hub, which alone says what happened
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for found in chain:
        if isinstance(found, GatedRepoError):
            access = "no token is set" if get_token() is None else "the account of the token in use has no access to it"
            return (
                f"the model {name!r} is gated, and {access}; accept its licence at {constants.ENDPOINT}/{name}, then "
                "log in with `hf auth login`, or set HF_TOKEN to a token of that account"
            )
        if isinstance(found, RepositoryNotFoundError):
            return (
                f"there is no public model {name!r} on {constants.ENDPOINT}; check the name, or give a folder. For a "
                "private model log in with `hf auth login`, or set HF_TOKEN"
            )
        if isinstance(found, RevisionNotFoundError):
            return f"the model {name!r} has no such revision; {constants.ENDPOINT}/{name}/commits lists what it has"
        if isinstance(found, LocalEntryNotFoundError | OfflineModeIsEnabled | RevisionResolutionError):
            return _without_network(name)
        if isinstance(found, HfHubHTTPError):
            return f"{constants.ENDPOINT} refused the model {name!r}: {first_line(found)}; try again later"
        if isinstance(found, OSError) and found.errno == errno.ENOSPC:
            return (
                f"the disk is too full to download the model {name!r} into {constants.HF_HUB_CACHE}; free some space, "
                "or set HF_HOME to a folder on another disk"
            )
    # transformers reports a file that the cache lacks without saying that it could not ask for it
    asked = isinstance(error, OSError) and not Path(name).expanduser().exists()
    if asked and (constants.HF_HUB_OFFLINE or not has_network()):
        return _without_network(name)
    return None


def _without_network(name: str) -> str:
    return (
        f"the model {name!r} is not, or not whole, in {constants.HF_HUB_CACHE}, and {unreachable()}: it needs "
        "config.json, the weights (*.safetensors, or *.bin) and the files of its tokenizer. Where there is a network, "
        f"run `hf download {name} --local-dir FOLDER`, copy FOLDER here, and give it in place of the name: "
        "--model.name FOLDER"
    )
