"""bitsandbytes, the optional package behind weights and moments of few bits."""

from __future__ import annotations

import logging
import warnings
from types import ModuleType

from votecast.config.extras import need


def bitsandbytes() -> ModuleType:
    """The package, imported without what it says of kernels it could download, and of each cast of a matrix product.

    Raises:
        MissingExtraError: If it is not installed; the message holds the command.
    """
    quieten()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return need("bitsandbytes")


def quieten() -> None:
    """Keep the package, which peft imports where it is installed, from telling of what it could download."""
    for name in ("bitsandbytes.backends.cpu.ops", "bitsandbytes.autograd._functions"):
        logging.getLogger(name).setLevel(logging.ERROR)
