"""Run the README's commands. As a script: write their output into the README anew."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command of the README and the output printed below it."""

    command: str
    output: str


def blocks(text: str) -> list[list[Shown]]:
    """The commands of every console block."""
    return [
        [_shown(part) for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]] for block in _BLOCK.findall(text)
    ]


def run(command: str) -> str:
    """Run one votecast command in this process; its standard output.

    Raises:
        AssertionError: If it fails.
    """
    from votecast.cli import main

    program, *words = shlex.split(command)
    assert program == "votecast", command
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(words)
    assert code == 0, f"{command}: exit code {code}"
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def write() -> None:
    """Write the output of every command into the README."""
    os.environ["COLUMNS"] = "80"
    text = README.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        text = _BLOCK.sub(
            lambda match: "".join(_run_and_show(s) for s in blocks(f"```console\n{match[1]}```")[0]), text
        )
    README.write_text(text, "utf-8")


def _shown(part: str) -> Shown:
    command, _, output = part.partition("\n")
    return Shown(command.strip(), output.strip("\n"))


def _run_and_show(shown: Shown) -> str:
    try:
        output = run(shown.command)
    except AssertionError as error:
        print(f"{error}; its old output is kept", file=sys.stderr)
        output = shown.output
    return f"$ {shown.command}\n" + (output + "\n" if output else "")


if __name__ == "__main__":
    sys.exit(write())
