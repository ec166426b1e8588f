"""Optional packages: which extra brings which, and the one helper that says so when one is missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from votecast.errors import MissingExtraError

_EXTRA = {"torch": "neural", "transformers": "neural", "accelerate": "neural", "peft": "neural"}


def need(name: str) -> ModuleType:
    """Import an optional package.

    Args:
        name: Its import name, such as "torch".

    Raises:
        MissingExtraError: If it is not installed; the message holds the command that installs it.

    Example:
        >>> need("json").__name__
        'json'
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        extra = _EXTRA.get(name.partition(".")[0], "neural")
        raise MissingExtraError(
            f"the package {error.name!r} is not installed; install it with: pip install 'votecast[{extra}]'"
        ) from error
