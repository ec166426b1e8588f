"""transformers without its bars, and without telling of what is so on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger

from transformers.utils import logging


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from drawing bars, from telling of heads that are new on purpose, and of every retry."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    hub = getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(ERROR)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            logging.enable_progress_bar()
