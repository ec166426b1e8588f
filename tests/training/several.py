"""Run several votecast commands, separated by ++, in the same processes.

Before the command `failing ...`, rank 1 is made to run out of memory in its first step.
"""

from __future__ import annotations

import itertools
import os
import sys

from votecast.cli import main
from votecast.errors import JudgeError
from votecast.training.step import Stepper


def _fail(self: Stepper, *args: object, **kwargs: object) -> None:
    raise JudgeError("there is no room")


if __name__ == "__main__":
    for is_mark, words in itertools.groupby(sys.argv[1:], lambda word: word == "++"):
        if is_mark:
            continue
        command = list(words)
        if command[0] == "failing":
            command.remove("failing")
            if os.environ["RANK"] == "1":
                Stepper._gradient = _fail  # type: ignore[assignment, method-assign]
        if code := main(command):
            sys.exit(code)
