"""What a long piece of work needs to survive being killed: a folder for what is unfinished, and someone to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""


def silent(doing: str, done: int, steps: int) -> None:
    """Progress that nobody follows."""


@dataclass(frozen=True)
class Run:
    """Where unfinished work is kept and who is told of it.

    Args:
        folder: Holds what an earlier, killed run left, or nothing; None keeps nothing on disk.
        progress: Told of every step.

    Example:
        >>> Run().folder is None
        True
    """

    folder: Path | None = None
    progress: Progress = silent

    def within(self, name: str) -> Run:
        """The same run, one folder down."""
        return Run(self.folder and self.folder / name, self.progress)
