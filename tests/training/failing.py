"""Run votecast; rank 1 runs out of memory in its first step."""

from __future__ import annotations

import os
import sys

from votecast.cli import main
from votecast.errors import JudgeError
from votecast.training.step import Stepper


def _fail(self: Stepper, *args: object, **kwargs: object) -> None:
    raise JudgeError("there is no room")


if __name__ == "__main__":
    if os.environ["RANK"] == "1":
        Stepper._gradient = _fail  # type: ignore[assignment, method-assign]
    sys.exit(main(sys.argv[1:]))
