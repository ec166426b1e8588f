"""pip, asked in a process of its own: its long output becomes one clear error, and is kept whole beside the pack."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from votecast.errors import ArtifactError, ConfigError
from votecast.packing.target import Target

_UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Connection refused|"
    r"Temporary failure in name resolution|Network is unreachable|connection broken|Connection aborted|"
    r"tests use no network",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"No matching distribution found for ([^\s;(]+)")
_NO_VERSION = re.compile(r"Could not find a version that satisfies the requirement (\S+).*\(from versions: ([^)]*)\)")
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Pip:
    """pip of this Python, for one target.

    Args:
        target: What the wheels are for.
        find_links: Folders or pages to look for wheels in, beside the index.
        no_index: Whether to ask no index at all.
        log: Where its whole output is kept when it fails.
    """

    target: Target
    log: Path
    find_links: Sequence[str] = ()
    no_index: bool = False
    said: list[str] = field(default_factory=list)

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
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-color", *words]
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
        )
        self.said.append(f"$ {' '.join(command)}\n{ran.stdout}")
        if ran.returncode == 0:
            return
        if "No module named pip" in ran.stdout:
            raise ConfigError(
                f"packs are made with pip, and {sys.executable} has none; install it with: {sys.executable} -m "
                "ensurepip, or run votecast pack from an environment that has pip"
            )
        raise ArtifactError(f"{self._reason(ran.stdout)}{self._kept()}")

    def _kept(self) -> str:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text("\n".join(self.said), "utf-8", "backslashreplace")
        except OSError as error:
            return f" (all that pip said could not be kept: {error})"
        return f"; all that pip said is in {self.log}"

    def _reason(self, said: str) -> str:
        where = f"Python {self.target.python} on {self.target.platform}"
        if "No space left on device" in said or "Disk quota exceeded" in said or "File too large" in said:
            return "the disk has no room for the wheels; make room, name another --out, or set TMPDIR"
        if _UNREACHABLE.search(said):
            return (
                "the package index cannot be reached; check the network and pip's settings (pip config list), or give "
                "a folder of wheels with --find-links FOLDER --no-index"
            )
        if "ResolutionImpossible" in said or "conflicting dependencies" in said:
            lines = [line.strip() for line in said.splitlines() if line.startswith("    ")][:4]
            return (
                f"no versions fit together for {where}: {'; '.join(lines)}; --versions newest does not keep to the "
                "versions installed here"
            )
        if (found := _NO_VERSION.search(said)) or (found := _ABSENT.search(said)):
            known = found[2] if found.re is _NO_VERSION and found[2] not in {"none", ""} else ""
            others = f" (there are {_some(known)}: --versions newest takes one of them)" if known else ""
            return (
                f"there is no wheel of {found[1]} for {where}{others}; name another --python or --platform, or give a "
                "folder that holds one with --find-links"
            )
        first = (_ERROR.findall(said) or said.strip().splitlines() or ["it said nothing"])[-1]
        return f"pip failed: {first[:300]}"


def _some(versions: str) -> str:
    names = versions.split(", ")
    return ", ".join(names[-3:])
