"""The table of verbs, and their errors as one line and an exit code.

Called by `votecast.cli.main`; the module of a verb is imported when the verb is called.
"""

from __future__ import annotations

import contextlib
import json
import keyword
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from votecast import __version__
from votecast.cli.logs import HELP as LOG_HELP
from votecast.cli.logs import log_failure, logging_to, take_log_options
from votecast.cli.options import prepare_words
from votecast.cli.screen import print_error, print_note
from votecast.config.machine import is_out_of_memory
from votecast.errors import ConfigError, VotecastError

VERBS = {
    "train": "Train a judge on files of votes: cross-validation, calibration, judge folder.",
    "estimate": "Estimate tokens, steps, memory, disk and hours of a training, and the settings that fit a GPU.",
    "predict": "Predict a file of battles: probabilities, or a submission.",
    "evaluate": "Evaluate a judge, or a file of its predictions, on votes.",
    "calibrate": "Recalibrate a judge on new votes (100 or more recommended).",
    "ensemble": "Combine judges into one, fitted on rows that none of them was trained on.",
    "cascade": "Combine judges into a cascade: the fast one first, slow ones for uncertain rows.",
    "decide": "Decide the battles of a file with a bounded error rate; abstain on the others.",
    "report": "Write a report about votes, or the audit of a judge, as one offline HTML file.",
    "rank": "Rank models by votes, by a judge's predictions, or by both, with intervals.",
    "compare": "Predict the vote between two answers given on the command line.",
    "rerank": "Choose the best of several answers to each prompt of a file.",
    "serve": "Serve judges over HTTP, with a page to try them.",
    "pack": "Pack a judge, its wheels and a notebook for machines without a network.",
    "import": "Import Hugging Face checkpoints that were trained elsewhere as a judge.",
    "merge": "Merge the adapters of a judge into their base weights.",
    "export": "Export the networks of a judge to ONNX, each checked against torch.",
    "score": "Score both answers of every row with a reward model: id, score_a, score_b.",
    "link": "Fit a link from scores of answers to votes, and save it as a judge.",
    "inspect": "Show the contents and the problems of a file of votes.",
    "convert": "Convert a file of votes to another format.",
    "simulate": "Simulate votes of an arena whose true probabilities are known.",
    "recipes": "List the recipes, or show every setting of one.",
    "env": "Show versions, machine and settings for a bug report.",
}
"""Each verb `x` is the function `x` of the module `votecast.cli.x`; a keyword of Python gets a `_`."""

VERB_MODULES = "votecast.cli."

DEBUG = "VOTECAST_DEBUG"
"""Environment variable that shows the traceback of a bug in votecast itself."""

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
"""Environment variable of `accelerate launch`: the file whose error its report shows; one folder for each process."""

LAUNCHER_GRACE = 5.0
"""Seconds in which a launcher ends the other processes once one has failed."""

FAILED, WRONG_USE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 2, 130, 141, 143


def build() -> App:
    """Build the application with its verbs, none of them imported yet."""
    app = App(
        name="votecast",
        help="Predict how people vote between two answers.",
        help_format="plaintext",
        help_epilogue=LOG_HELP,
        version=f"votecast {__version__}",
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,
    )
    for place, (verb, text) in enumerate(VERBS.items()):
        name = f"{verb}_" if keyword.iskeyword(verb) else verb
        app.command(f"{VERB_MODULES}{name}:{name}", name=verb, help=text, sort_key=place)
    app.register_install_completion_command(help="Install completion for bash, zsh or fish.")
    return app


def run(words: Sequence[str]) -> int:
    """Run the command that these words make; turn errors into one line and return the exit code."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of kernels that it could download
    # SIGTERM unwinds the stack, so that partial files are removed
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ValueError):  # not in the main thread: the embedding program handles signals
            stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _terminate))
        try:
            words, log_options = take_log_options(words)
            # one process logs and prints for all that a launcher started
            stack.enter_context(logging_to(log_options, is_main=not _process_prefix()))
            command, bound, _ = build().parse_args(prepare_words(words), print_error=False, exit_on_error=False)
            if command.__module__.startswith(VERB_MODULES):
                _check_started_once(command.__name__)
                import pyarrow as pa

                pa.enable_signal_handlers(False)  # pyarrow forgets a Ctrl-C that arrives while it ends a block
            command(*bound.args, **bound.kwargs)
            sys.stdout.flush()
        except CycloptsError as error:
            verb = error.command_chain[0] + " " if error.command_chain else ""
            return _fail(f"{_describe_wrong_use(error)}\nSee: votecast {verb}--help", WRONG_USE)
        except ConfigError as error:
            return _fail(str(error), WRONG_USE)
        except BrokenPipeError:
            # else Python would flush into the closed pipe once more at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        except (VotecastError, OSError) as error:
            return _fail(str(error), FAILED)
        except KeyboardInterrupt:
            if list(words[:1]) == ["serve"]:
                print_note("stopped")
                return INTERRUPTED
            return _fail("interrupted; no partial file was left at the output", INTERRUPTED)
        except MemoryError:
            return _fail("out of memory; --limit N or --sample FRACTION reads less", FAILED)
        except Exception as error:
            if is_out_of_memory(error):
                first = str(error).partition("\n")[0]
                return _fail(f"out of memory ({first}); lower max_tokens or text.max_length of the model", FAILED)
            if os.environ.get(DEBUG):
                raise
            report = f"Set {DEBUG}=1 for the traceback, and report it with the output of `votecast env`."
            bug = f"votecast failed with {type(error).__name__}: {error}\nThis is a bug in votecast. {report}"
            return _fail(bug, FAILED, error)
    return 0


def _check_started_once(verb: str) -> None:
    """Raise ConfigError if a launcher started several processes of a verb that does not share its rows among them."""
    if verb != "train" and "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            f"votecast {verb} was started in {os.environ['WORLD_SIZE']} processes, and only train shares its rows "
            "among them; start it once, without a launcher: it takes every GPU"
        )


def _describe_wrong_use(error: CycloptsError) -> str:
    """Write the message for a missing option and for a judge that `serve` takes by option only."""
    verb = " ".join(error.command_chain or ())
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        if error.keyword is None and "Did you mean" not in str(error):
            return f"{error.argument.name} is required"
    elif isinstance(error, UnusedCliTokensError) and verb == "serve" and error.unused_tokens:
        extra = error.unused_tokens[0]
        return f"{extra} is not an option, and serve takes options only; name a judge with --judge {extra}"
    return str(error)


def _process_prefix() -> str:
    """Return how errors of this process begin: "" for the main one among those that a launcher started."""
    if "RANK" not in os.environ:  # before anything is imported
        return ""
    from votecast.config import current_launch

    launch = current_launch()
    return "" if launch.is_main else f"process {launch.rank} of {launch.processes}: "


def _fail(message: str, code: int, unforeseen: Exception | None = None) -> int:
    """Print an error, unless a launcher ends this process because another one has failed first.

    The main process waits only where its own error may be that another process is gone: torch raises a RuntimeError.
    The others wait longer, because the main one prints what has failed in all of them.
    """
    prefix = _process_prefix()
    log_failure(f"{prefix}{message}")
    if prefix:
        time.sleep(2 * LAUNCHER_GRACE)
    elif "RANK" in os.environ and isinstance(unforeseen, RuntimeError):
        time.sleep(LAUNCHER_GRACE)
    print_error(f"{prefix}{message}")
    if own := os.environ.get(ERROR_FILE):
        with contextlib.suppress(OSError):
            Path(own).write_text(json.dumps({"message": message, "timestamp": int(time.time())}), "utf-8")
    return code


def _terminate(*_: object) -> None:
    """End this process; one of those of a launch says why, unless one has failed with an error of its own."""
    if own := os.environ.get(ERROR_FILE):
        folder = Path(own).parents[1]
        if not list(folder.glob(f"*/{Path(own).name}")):
            with contextlib.suppress(OSError), (folder / "reported").open("x"):  # by the first of them
                print_error(
                    "the launcher has ended this run because one of its processes died; exit code -9 in its report "
                    "means that the machine ran out of memory: start fewer processes, with --resume"
                )
    sys.exit(TERMINATED)
