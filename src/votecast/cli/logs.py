"""What a command logs: to the screen, by -v and -vv more of it, and with --log-file also to a file.

`votecast.cli.app` takes these options out of the words of every verb.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from votecast.cli.options import TEXT_OPTIONS
from votecast.cli.screen import print_note
from votecast.errors import ArtifactError, ConfigError

HELP = (
    "Every verb takes -v (log details), -vv (also those of other packages) and --log-file FILE (append all of it, with "
    "times, to a file)."
)

_FILE = "--log-file"
_TEXTS = frozenset[str]().union(*TEXT_OPTIONS.values())
_LEVELS = {"-v": 1, "-vv": 2, "--verbose": 1}
_files: list[logging.Handler] = []
"""The log file of the running command; what ends it goes there alone, since the screen shows it as an error."""


@dataclass(frozen=True)
class LogOptions:
    """How much is logged, and where beside the screen.

    Args:
        verbosity: 0 shows where a training stands, 1 details, 2 also those of other packages.
        file: Takes every line, with its time.
    """

    verbosity: int = 0
    file: str | None = None


def take_log_options(words: Sequence[str]) -> tuple[list[str], LogOptions]:
    """Take the options of logging out of the words of a command.

    Raises:
        ConfigError: If the log file has no name, or two.

    Example:
        >>> take_log_options(["train", "-v", "baseline", "--log-file=train.log"])
        (['train', 'baseline'], LogOptions(verbosity=1, file='train.log'))
    """
    left: list[str] = []
    verbosity, files = 0, []
    places = iter(range(len(words)))
    for place in places:
        word = words[place]
        if word in _TEXTS and place + 1 < len(words):  # its text may be "-v"
            left += [word, words[next(places)]]
        elif word in _LEVELS:
            verbosity += _LEVELS[word]
        elif word == _FILE and place + 1 < len(words) and not words[place + 1].startswith("-"):
            files.append(words[next(places)])
        elif word.startswith(f"{_FILE}="):
            files.append(word.removeprefix(f"{_FILE}="))
        elif word == _FILE:
            raise ConfigError(f"{_FILE} has no value; name a file, as in {_FILE} train.log")
        else:
            left.append(word)
    if len(files) > 1:
        raise ConfigError(f"{_FILE} is given {len(files)} times; give it once")
    return left, LogOptions(verbosity, files[0] if files else None)


@contextlib.contextmanager
def logging_to(options: LogOptions, *, is_main: bool) -> Iterator[None]:
    """Log to the screen, and to the file if there is one, within this context.

    Args:
        options: How much, and where.
        is_main: Whether this process shows what it logs; of those that a launcher started, the main one does.

    Raises:
        ArtifactError: If the log file cannot be written.
    """
    ours, root = logging.getLogger("votecast"), logging.getLogger()
    handlers: list[logging.Handler] = [_ScreenHandler(options.verbosity) if is_main else logging.NullHandler()]
    if options.file is not None:
        handlers.append(_open_file(options.file))
        _files.append(handlers[-1])
    levels = [(ours, ours.level), (root, root.level)]
    everything = options.file is not None
    ours.setLevel(logging.DEBUG if options.verbosity or everything else logging.INFO)
    root.setLevel(logging.INFO if options.verbosity > 1 or everything else logging.WARNING)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        _files.clear()
        for logger, level in levels:
            logger.setLevel(level)


def log_failure(message: str) -> None:
    """Write the error that ends a command to the log file, with its traceback."""
    for handler in _files:
        handler.handle(
            logging.LogRecord("votecast", logging.ERROR, __file__, 0, "error: %s", (message,), sys.exc_info())
        )


def _open_file(path: str) -> logging.Handler:
    try:
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ArtifactError(f"{_FILE} {path} cannot be written: {error}; name a file elsewhere") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    return handler


class _ScreenHandler(logging.Handler):
    """Show lines of the log as notes, above the bars."""

    def __init__(self, verbosity: int) -> None:
        super().__init__()
        self._ours = logging.DEBUG if verbosity else logging.INFO
        self._others = logging.INFO if verbosity > 1 else logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        is_ours = record.name.partition(".")[0] == "votecast"
        if record.levelno >= (self._ours if is_ours else self._others):
            prefix = f"{record.levelname}: " if record.levelno > logging.INFO else ""
            print_note(f"{prefix}{record.getMessage()}")
