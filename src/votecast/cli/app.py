"""The table of verbs, and what becomes of their errors: a verb's module is imported when it is called."""

from __future__ import annotations

import contextlib
import keyword
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from votecast import __version__
from votecast.cli.together import await_end, speaker
from votecast.cli.words import prepare
from votecast.errors import ConfigError, VotecastError

VERBS = {
    "train": "Train a judge on a file of votes: folds, out-of-fold figures, calibration, judge folder.",
    "predict": "Forecast a file of battles: probabilities, or a submission.",
    "evaluate": "Measure a judge, or a file of its predictions, on votes.",
    "calibrate": "Make a judge's probabilities true for those who cast some votes; 100 votes do much already.",
    "ensemble": "Make one judge of several, fitted on rows that none of them had seen.",
    "cascade": "Make one judge of several: the fast one first, the slow ones only where it is not sure.",
    "decide": "Decide the battles of a file, as far as the error stays under a level; leave the others open.",
    "report": "Write a page about votes, or the audit of a judge on them: one HTML file that needs no network.",
    "rank": "Rank models by votes, by a judge's forecasts, or by both: a leaderboard with intervals.",
    "compare": "Forecast the vote between two answers given on the command line.",
    "rerank": "Choose the best of several answers to each prompt of a file, as a judge forecasts the votes.",
    "serve": "Serve judges over HTTP, with a page to try them.",
    "pack": "Put a judge, the wheels it needs and a notebook into a folder for machines without a network.",
    "import": "Make a judge of Hugging Face checkpoints that were trained elsewhere.",
    "merge": "Add the adapters of a judge to the weights they stand beside, checked against the unmerged.",
    "export": "Write the networks of a judge as ONNX files, each checked against torch.",
    "score": "Score both answers of every row with a reward model: id, score_a, score_b.",
    "link": "Fit a link from scores of answers to votes, and make a judge of it.",
    "inspect": "Show what is in a file of votes, and what is wrong with it.",
    "convert": "Turn a file of votes into another format.",
    "simulate": "Write votes of an arena whose true probabilities are known.",
    "recipes": "List the recipes that ship with votecast.",
    "env": "Show versions, machine and settings, for a bug report.",
}
"""Each verb `x` is the function `x` of the module `votecast.cli.x`; a keyword of Python gets a `_`."""

VERB_MODULES = "votecast.cli."

DEBUG = "VOTECAST_DEBUG"
"""Environment variable that shows the traceback of a fault in votecast itself."""

FAILED, WRONG_USE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 2, 130, 141, 143


def build() -> App:
    """The application with its verbs, none of them imported yet."""
    app = App(
        name="votecast",
        help="Forecast how people vote between two answers.",
        help_format="plaintext",
        version=f"votecast {__version__}",
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,
    )
    for place, (verb, text) in enumerate(VERBS.items()):
        app.command(f"{VERB_MODULES}{python_name(verb)}:{python_name(verb)}", name=verb, help=text, sort_key=place)
    return app


def python_name(verb: str) -> str:
    """What a verb's module and function are called.

    Example:
        >>> python_name("train"), python_name("import")
        ('train', 'import_')
    """
    return f"{verb}_" if keyword.iskeyword(verb) else verb


def run(words: Sequence[str]) -> int:
    """Run one command and turn what goes wrong into one clear line and an exit code.

    Args:
        words: The words after `votecast`.

    Returns:
        The exit code.
    """
    level = logging.CRITICAL if speaker() else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", stream=sys.stderr)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of kernels that it could download
    with _terminated_cleanly():
        try:
            command, bound, _ = build().parse_args(prepare(words), print_error=False, exit_on_error=False)
            if command.__module__.startswith(VERB_MODULES):
                _hear_signals()
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
        except CycloptsError as error:
            verb = error.command_chain[0] + " " if error.command_chain else ""
            return _fail(f"{_missing(error) or _unused(error) or error}\nSee: votecast {verb}--help", WRONG_USE)
        except ConfigError as error:
            return _fail(str(error), WRONG_USE)
        except VotecastError as error:
            return _fail(str(error), FAILED)
        except KeyboardInterrupt:
            if list(words[:1]) == ["serve"]:
                return _stopped()
            return _fail("interrupted; no half-written file was left behind", INTERRUPTED)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except OSError as error:
            return _fail(str(error), FAILED)
        except MemoryError:
            return _fail(
                "the memory of this machine does not suffice; --limit N or --sample FRACTION reads less", FAILED
            )
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            return _fail(_fault(error), FAILED, error)
    return 0


def _missing(error: CycloptsError) -> str | None:
    """What to say of an option or argument that was not given at all; None for every other wrong use."""
    if not isinstance(error, MissingArgumentError) or error.argument is None or error.argument.tokens:
        return None
    if error.keyword is not None or "Did you mean" in str(error):
        return None
    return f"{error.argument.name} is missing; votecast {' '.join(error.command_chain or ())} cannot do without it"


def _unused(error: CycloptsError) -> str | None:
    """What to say of a judge that stands where only options are taken; None for every other wrong use."""
    if not isinstance(error, UnusedCliTokensError) or (error.command_chain or ())[:1] != ("serve",):
        return None
    if not error.unused_tokens:
        return None
    extra = error.unused_tokens[0]
    return f"{extra} stands alone, and serve takes options only; name a judge by its option: --judge {extra}"


def _stopped() -> int:
    from votecast.cli.screen import remark

    remark("stopped")
    return INTERRUPTED


def _fail(message: str, code: int, unforeseen: Exception | None = None) -> int:
    from votecast.cli.screen import error

    await_end(unforeseen)
    error(f"{speaker()}{message}")
    return code


def _hear_signals() -> None:
    """Keep pyarrow from taking Ctrl-C while it parses a block, and forgetting it if the block was just done."""
    import pyarrow as pa

    pa.enable_signal_handlers(False)


def _fault(error: Exception) -> str:
    return (
        f"votecast failed with {type(error).__name__}: {error}\nThis is a fault in votecast, not in how you used it. "
        f"{DEBUG}=1 shows where; please report that together with what `votecast env` prints."
    )


@contextlib.contextmanager
def _terminated_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that half-written files are removed."""

    def _leave(*_: object) -> None:
        sys.exit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, _leave)
    except ValueError:  # not in the main thread: the embedding program handles signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
