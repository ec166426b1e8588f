"""The command line: one file per verb.

The only package that prints, and the only one that reads argv.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from votecast import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after `votecast`; None takes them from the shell.

    Returns:
        0 success, 1 failure, 2 wrong use, 130 interrupted.
    """
    _open_closed_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"votecast {__version__}")
        return 0
    from votecast.cli.app import run

    return run(words)


def _open_closed_streams() -> None:
    """Let what a shell has closed, as with `>&-`, lead to nowhere: the next file would take the place of the screen."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
