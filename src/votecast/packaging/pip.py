"""pip, asked in a process of its own: its long output becomes one clear error, and is kept whole beside the pack."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from votecast.errors import ArtifactError, ConfigError
from votecast.packaging.target import Target

_UNREACHABLE = re.compile(
    r"Could not fetch URL \S+: (?!404)(?:connection error|timed out|There was a problem confirming the ssl)|"
    r"Retrying \(.*after connection broken|ProxyError|NameResolutionError",
    re.IGNORECASE,
)
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")
_ABSENT = (
    re.compile(r"No matching distribution found for ([^\s;(]+)"),
    re.compile(r"no matching distributions available for your environment:\n((?:[ ]+\S+\n)+)"),
    re.compile(r"Given no hashes to check 0 links for project '([^']+)'"),  # all that older releases of pip say
)
_CONFLICT = re.compile(r"The conflict is caused by:\n((?:[ ]+\S.*\n)+)")
_TRACE = re.compile(r"^.*Exception information:\n", re.MULTILINE)
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Pip:
    """pip of this Python, for one target.

    Args:
        target: What the wheels are for.
        work: A folder for what is in between.
        log: Where all that it said is kept when it fails.
        find_links: Folders or pages to look for wheels in, beside the index.
        no_index: Whether to ask no index at all.
    """

    target: Target
    work: Path
    log: Path
    find_links: Sequence[str] = ()
    no_index: bool = False

    def resolve(self, requirements: Sequence[str], constraints: Path, report: Path) -> None:
        """Find what satisfies some requirements; nothing is installed.

        Args:
            requirements: What is wanted.
            constraints: File of versions to keep to.
            report: Where pip writes what it has found, as JSON.

        Raises:
            ConfigError: If there is no pip.
            ArtifactError: If a package cannot be had.
        """
        words = ["install", "--dry-run", "--ignore-installed", "--target", str(report.parent / "nowhere")]
        words += ["--report", str(report), "--constraint", str(constraints)]
        self._run([*words, *self.target.options, *self._sources, *requirements])

    def download(self, pins: Sequence[str], folder: Path) -> None:
        """Fetch the wheels of some pinned packages, and of nothing they need.

        Raises:
            ConfigError: If there is no pip.
            ArtifactError: If a wheel cannot be had.
        """
        words = ["download", "--no-deps", "--dest", str(folder)]
        self._run([*words, *self.target.options, *self._sources, *pins])

    @property
    def _sources(self) -> list[str]:
        links = [word for place in self.find_links for word in ("--find-links", place)]
        return (["--no-index"] if self.no_index else []) + links

    def _run(self, words: Sequence[str]) -> None:
        whole = self.work / "pip.log"
        command = [sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color"]
        ran = subprocess.run(  # -P: what is called pip in the working folder is not run
            [*command, "--log", str(whole), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"},  # nothing is installed
            check=False,
        )
        if ran.returncode == 0:
            return
        if "No module named pip" in ran.stdout:
            raise ConfigError(
                f"packs are made with pip, and {sys.executable} has none; install it with: {sys.executable} -m "
                "ensurepip, or run votecast pack from an environment that has pip"
            )
        told = whole.read_text("utf-8", "replace") if whole.exists() else ""
        raise ArtifactError(f"{self._reason(ran.stdout, told)}{self._kept(told or ran.stdout)}")

    def _kept(self, told: str) -> str:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(_TRACE.split(told)[0], "utf-8")
        except OSError as error:
            self.log.unlink(missing_ok=True)
            return f" (all that pip said could not be kept: {error})"
        return f"; all that pip said is in {self.log}"

    def _reason(self, said: str, told: str) -> str:
        where = f"Python {self.target.python} on {self.target.platform}"
        if any(words in said for words in _NO_ROOM):
            return "the disk has no room for the wheels; make room, name another --out, or set TMPDIR"
        if _UNREACHABLE.search(told):
            return (
                "the package index cannot be reached; check the network and pip's settings (pip config list), or give "
                "a folder of wheels with --find-links FOLDER --no-index"
            )
        conflict = _CONFLICT.search(said)
        causes = [line.strip() for line in conflict[1].splitlines()] if conflict else []
        if len(causes) > 2:  # more than one wish and the version installed here
            told_of = "; ".join(causes[:4]).replace("The user requested (constraint)", "installed here is")
            return f"no versions fit together for {where}: {told_of}; --versions newest does not keep to those here"
        if absent := next((found[1].split() for form in _ABSENT if (found := form.search(said + told))), None):
            return (
                f"there is no wheel of {', '.join(absent)} for {where}, at least none of the version installed here; "
                "name another --python or --platform, try --versions newest, or give a folder that holds one with "
                "--find-links"
            )
        errors = _ERROR.findall(said) or said.strip().splitlines() or ["it said nothing"]
        return f"pip failed: {errors[-1][:300]}"
