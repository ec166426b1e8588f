"""Where a training stands, as lines of the log: a line every half minute, and a line at the end.

The loops of torch and Keras call it after every step; evaluations are logged by `votecast.training.tracking`.
"""

from __future__ import annotations

import logging
import math
import time
from datetime import timedelta

from votecast.types import Run

logger = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between two lines."""


class StepLog:
    """Log step, loss, tokens a second and the time left, at the level INFO.

    Args:
        run: Names the training in every line.
        steps: All steps of the training.
        done: Steps of an earlier run, which took none of this one's time.

    Example:
        >>> log = StepLog(Run(name=("deberta", "fold_0")), steps=900)
        >>> log.step(1, loss=1.1, tokens=4096)
    """

    def __init__(self, run: Run, steps: int, done: int = 0) -> None:
        self._label, self._steps, self._first, self._done = run.label, steps, done, done
        self._began = self._last = time.monotonic()
        self._losses: list[float] = []
        self._tokens = self._all_tokens = 0

    def step(self, done: int, *, loss: float, tokens: int) -> None:
        """Count one more step, and log a line if the last one was half a minute ago.

        Args:
            done: Steps done so far.
            loss: Mean over the rows of this step, in nats; not finite where the step was skipped.
            tokens: Tokens of this step.
        """
        self._done = done
        if math.isfinite(loss):
            self._losses.append(loss)
        self._tokens += tokens
        self._all_tokens += tokens
        now = time.monotonic()
        if now - self._last < EVERY or done == self._steps:
            return
        logger.info(
            "%s: step %s of %s, loss %.4f, %s tokens/s, %s left",
            self._label,
            f"{done:,}",
            f"{self._steps:,}",
            sum(self._losses) / max(len(self._losses), 1),
            f"{self._tokens / max(now - self._last, 1e-9):,.0f}",
            format_seconds((now - self._began) * (self._steps - done) / (done - self._first)),
        )
        self._losses, self._tokens, self._last = [], 0, now

    def finish(self) -> None:
        """Log how long the steps of this run took."""
        took = time.monotonic() - self._began
        speed = f"{self._all_tokens / max(took, 1e-9):,.0f}"
        took_text = format_seconds(took)
        logger.info("%s: %s steps in %s, %s tokens/s", self._label, f"{self._done - self._first:,}", took_text, speed)


def format_seconds(seconds: float) -> str:
    """Write a duration as hours, minutes and seconds.

    Example:
        >>> format_seconds(3725.4)
        '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))
