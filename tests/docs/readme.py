"""Run or rewrite the examples of the README and docs pages.

A page is Markdown with these blocks, executed from top to bottom in a folder per page:

- `console`: commands after `$`, each followed by its output; a line `...` stands for any number of lines;
- `python` with `>>>`: doctests, which share their names over the page;
- any block with `title="NAME"`: a file of that name.

`<!-- needs: votes.csv, judges/mine -->` puts files of `SHARED` into the folder; `service` starts `votecast serve`.
Blocks of any other kind, such as `bash`, are not executed; test_pages.py checks their verbs, options and settings.
"""

from __future__ import annotations

import contextlib
import doctest
import functools
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

SHARED = {
    "votes.csv": "votecast simulate --rows 1200 --out votes.csv",
    "more_votes.csv": "votecast simulate --rows 300 --seed 1 --out more_votes.csv",
    "held_out.csv": "votecast simulate --rows 900 --seed 5 --out held_out.csv",
    "judges/mine": "votecast train baseline --train votes.csv --out judges/mine --folds.n 3",
    "judges/other": "votecast train baseline --train votes.csv --out judges/other --folds-from judges/mine --seed 7"
    " --model.trees.rounds 40",
}
"""Files that several pages need, in the order in which they are made."""

SERVICE_URL = "http://localhost:8000"
"""The URL in the pages; a test's service listens on another port."""

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?![0-9a-f]*[a-f])")
HASH = re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b")
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r"<!-- needs: (.+?) -->")


@dataclass(frozen=True)
class Command:
    """A command of a page and the output printed below it."""

    words: str
    output: str


def blocks(text: str) -> Iterator[tuple[str, str | None, str]]:
    """Yield kind, title and content of every fenced block."""
    for found in _BLOCK.finditer(text):
        yield found[1], found[2], found[3]


def commands(block: str) -> list[Command]:
    """Split a console block into its commands."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    split = (re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", part, re.DOTALL) for part in parts)
    return [Command(found[1], found[2].strip("\n")) for found in split if found]


def needs(text: str) -> list[str]:
    """Return the names of the shared files that a page needs."""
    return [name.strip() for found in _NEEDS.findall(text) for name in found.split(",")]


def run_command(words: str) -> str:
    """Run one command and return its standard output.

    votecast runs in this process; `cat`, `curl`, `head` and `ls` in a child process.

    Raises:
        AssertionError: If it fails.
    """
    program, *arguments = shlex.split(words.replace("\\\n", " "))
    if program == "votecast":
        from votecast.cli import main

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(arguments)
        text = out.getvalue()
    else:
        assert program in {"cat", "curl", "head", "ls"}, f"{words}: pages run votecast, cat, curl, head and ls"
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
        code, text = done.returncode, done.stdout
    assert code == 0, f"{words}: exit code {code}"
    return "\n".join(line.rstrip() for line in text.splitlines())


def skeleton(text: str) -> str:
    """Return an output without numbers, hashes and column widths."""
    without = NUMBER.sub("#", HASH.sub("HASH", text))
    return "\n".join(" ".join(line.split()) for line in without.splitlines())


def elide(shown: str, output: str) -> str:
    """Replace the lines that the page leaves out by `...`.

    Lines before the first `...` are the first of the output and those after the last are its last; lines between two
    follow the one that looks like the first of them, numbers aside.

    Example:
        >>> elide("a  1\\n...\\nc  3\\n...\\nz", "a  2\\nb\\nc  4\\nd\\ny").split()
        ['a', '2', '...', 'c', '4', '...', 'y']
    """
    parts = [part.strip("\n").splitlines() for part in re.split(r"^\.\.\.$", shown, flags=re.MULTILINE)]
    if len(parts) == 1:
        return output
    first, *middle, last = parts
    lines = output.splitlines()
    looks = [skeleton(line) for line in lines]
    kept, place = lines[: len(first)], len(first)
    for part in middle:
        look = skeleton(part[0])
        place = looks.index(look, place) if look in looks[place:] else place
        kept += ["...", *lines[place : place + len(part)]]
        place += len(part)
    return "\n".join([*kept, "...", *lines[max(place, len(lines) - len(last)) :]] if last else [*kept, "..."])


@functools.cache
def shared_folder() -> Path:
    """Make the shared files once, in a temporary folder."""
    folder = tempfile.TemporaryDirectory()
    shared_folder.__dict__["keep"] = folder
    with contextlib.chdir(folder.name):
        for words in SHARED.values():
            run_command(words)
    return Path(folder.name)


def provide(names: list[str], folder: Path) -> None:
    """Copy shared files into the folder of a page."""
    for name in names:
        source = shared_folder() / name
        (folder / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)


def run_page(text: str, folder: Path, on_command: Callable[[Command, str], None], service: str = SERVICE_URL) -> int:
    """Execute a page in the current folder; raise on doctest failures.

    Args:
        text: The page.
        folder: Its folder, empty.
        on_command: Called with every command and its output.
        service: URL of a running service, where the page needs one.

    Returns:
        The number of examples executed.
    """
    provide([name for name in needs(text) if name != "service"], folder)
    parser, runner, names = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), {}
    count = 0
    for kind, title, content in blocks(text):
        if title is not None:
            (folder / title).parent.mkdir(parents=True, exist_ok=True)
            (folder / title).write_text(content, "utf-8")
            importlib.invalidate_caches()  # "." on sys.path is another folder for every page
        elif kind == "console":
            for command in commands(content):
                words = command.words.replace("localhost:8000", service.removeprefix("http://"))
                on_command(command, run_command(words))
                count += 1
        elif kind == "python":
            test = parser.get_doctest(content.replace(SERVICE_URL, service), names, "page", None, 0)
            report = io.StringIO()
            runner.run(test, out=report.write, clear_globs=False)
            assert runner.failures == 0, report.getvalue()
            names = test.globs
            count += len(test.examples)
    return count


@contextlib.contextmanager
def running_service(*judges: str) -> Iterator[str]:
    """Run `votecast serve` on a free port; yield its URL."""
    words = [word for judge in judges for word in ("--judge", judge)]
    command = [sys.executable, "-m", "votecast", "serve", *words, "--workers", "1", "--port", "0"]
    with tempfile.NamedTemporaryFile("w") as file, subprocess.Popen(command, stderr=file) as process:
        try:
            while not re.search(r"^ready", log := Path(file.name).read_text("utf-8"), re.MULTILINE):
                assert process.poll() is None, log
                time.sleep(0.1)
            found = re.search(r"http://127\.0\.0\.1:\d+", log)
            assert found is not None, log
            yield found[0]
        finally:
            process.terminate()
            process.wait(60)


def rewrite(page: Path) -> None:
    """Rewrite the output of every command of a page."""
    text = page.read_text("utf-8")
    made: list[str] = []

    def note(command: Command, output: str) -> None:
        output = elide(command.output, output)
        made.append(f"$ {command.words}\n" + (output + "\n" if output else ""))

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        service = SERVICE_URL
        if "service" in needs(text):
            service = stack.enter_context(running_service("bundled:baseline"))
        stack.enter_context(contextlib.chdir(folder))
        run_page(text, Path(folder), note, service)
    queue = iter(made)

    def replace(found: re.Match[str]) -> str:
        if found[1] != "console" or found[2]:
            return found[0]
        return "```console\n" + "".join(next(queue) for _ in commands(found[3])) + "```"

    page.write_text(_BLOCK.sub(replace, text), "utf-8")


def main(names: list[str]) -> None:
    """Rewrite the named pages, or all of them."""
    os.environ["COLUMNS"] = "80"
    for page in [Path(name).resolve() for name in names] or PAGES:
        print(page.relative_to(ROOT), flush=True)
        rewrite(page)


if __name__ == "__main__":
    main(sys.argv[1:])
