"""Access to the Hugging Face hub: whether it can be reached, and calls that do not wait where it cannot.

It imports neither torch nor transformers, so that Keras judges without them use it too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from votecast.config.extras import need


@contextmanager
def asking_hub(name: str, *, local: bool = False) -> Iterator[None]:
    """Keep the hub's retries out of the log within this context; without a network its cache answers at once.

    A request that finds no network is repeated by huggingface_hub for 23 seconds.

    Args:
        name: A folder, which needs no hub, or the name of a model.
        local: Whether the cache answers in any case, and nothing is looked up.
    """
    constants: Any = need("huggingface_hub.constants")
    log = getLogger("huggingface_hub")
    level, offline = log.level, constants.HF_HUB_OFFLINE
    log.setLevel(ERROR)  # it logs every retry
    constants.HF_HUB_OFFLINE = offline or local or not (Path(name).expanduser().is_dir() or has_network())
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        log.setLevel(level)


def has_network() -> bool:
    """Return whether the name of the hub's host resolves, or a proxy is set, which resolves it."""
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(need("huggingface_hub.constants").ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def unreachable() -> str:
    """Return why the hub was not asked, as the middle of a sentence."""
    constants = need("huggingface_hub.constants")
    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
