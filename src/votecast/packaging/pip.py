"""pip for another machine: resolve requirements and download wheels for its Python and platform.

`wheels` runs it; a failure becomes one clear error.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from votecast.errors import ArtifactError, ConfigError

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The version of this Python."""

PLATFORM = "manylinux_2_28_x86_64"
"""The default platform: glibc 2.28 or later, as the notebooks of contests have."""

_PLATFORM = re.compile(r"manylinux(?:_2_([0-9]{1,2})|(1|2010|2014))_(x86_64|aarch64)")
_LEGACY = {"1": 5, "2010": 12, "2014": 17}  # name of an older platform -> its glibc 2.N (PEP 600)
_OLDEST = 5

_UNREACHABLE = re.compile(
    r"Could not fetch URL \S+: (?!404)(?:connection error|timed out|There was a problem confirming the ssl)|"
    r"Retrying \(.*after connection broken|ProxyError|NameResolutionError",
    re.IGNORECASE,
)
_DISK_FULL = re.compile("No space left on device|Disk quota exceeded|File too large")
_NO_WHEEL = (
    re.compile(r"No matching distribution found for ([^\s;(]+)"),
    re.compile(r"no matching distributions available for your environment:\n((?:[ ]+\S+\n)+)"),
    re.compile(r"Given no hashes to check 0 links for project '([^']+)'"),  # all that older releases of pip report
)
_CONFLICT = re.compile(r"The conflict is caused by:\n((?:[ ]+\S.*\n)+)")
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class TargetMachine:
    """A machine without a network.

    Args:
        python: Its version of CPython, such as "3.11".
        platform: The newest manylinux that it runs.

    Raises:
        ConfigError: If votecast does not run there, or a name is invalid.

    Example:
        >>> TargetMachine("3.12", "manylinux2014_x86_64").platforms[:3]
        ['manylinux_2_17_x86_64', 'manylinux2014_x86_64', 'manylinux_2_16_x86_64']
    """

    python: str = RUNNING
    platform: str = PLATFORM

    def __post_init__(self) -> None:
        if not re.fullmatch(r"3\.[0-9]{1,2}", self.python):
            raise ConfigError(f"--python is {self.python!r}; allowed is a version of CPython such as 3.11")
        allowed = metadata.metadata("votecast")["Requires-Python"]
        if not SpecifierSet(allowed).contains(self.python):
            raise ConfigError(f"--python is {self.python}, and votecast needs {allowed}; name a newer one")
        if not _PLATFORM.fullmatch(self.platform) or self._glibc_and_machine[0] < _OLDEST:
            raise ConfigError(
                f"--platform is {self.platform!r}; allowed are manylinux_2_N_x86_64, manylinux_2_N_aarch64 and "
                f"manylinux2014 of either, N from {_OLDEST} to 99, such as manylinux_2_28_x86_64: `ldd --version` "
                "there prints 2.N"
            )

    @property
    def platforms(self) -> list[str]:
        """All platforms whose wheels it runs, newest first."""
        # pip does not derive the older ones
        newest, machine = self._glibc_and_machine
        legacy = {minor: f"manylinux{name}_{machine}" for name, minor in _LEGACY.items()}
        names = [(f"manylinux_2_{minor}_{machine}", legacy.get(minor)) for minor in range(newest, _OLDEST - 1, -1)]
        return [name for pair in names for name in pair if name]

    def environment(self, extra: str) -> dict[str, str]:
        """Return the values of environment markers on it."""
        full = f"{self.python}.0"
        python = {"python_version": self.python, "python_full_version": full, "implementation_version": full}
        python |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
        system = {"os_name": "posix", "platform_system": "Linux", "sys_platform": "linux"}
        return python | system | {"platform_machine": self._glibc_and_machine[1], "extra": extra}

    @property
    def _glibc_and_machine(self) -> tuple[int, str]:
        found = _PLATFORM.fullmatch(self.platform)
        assert found is not None
        return int(found[1] or _LEGACY[found[2]]), found[3]


@dataclass(frozen=True)
class Pip:
    """pip of this Python for a target, looking for wheels as `pack` does.

    Raises:
        ConfigError: If the places cannot hold a wheel.
    """

    target: TargetMachine
    log: Path  # keeps the output of a failure
    find_links: Sequence[str] = ()
    no_index: bool = False

    def __post_init__(self) -> None:
        if self.no_index and not self.find_links and "PIP_FIND_LINKS" not in os.environ:
            raise ConfigError("--no-index uses no index, so name a folder that holds them: --find-links FOLDER")
        for place in self.find_links:
            path = Path(place).expanduser()
            if "://" not in place and not path.exists():
                raise ConfigError(f"--find-links {place} does not exist; name a folder of wheels or the URL of a page")
            if self.no_index and path.is_dir() and not any(path.glob("*.whl")):
                raise ConfigError(
                    f"--find-links {place} holds no wheel; name a folder that does, filled with pip download or by an "
                    "earlier pack (its folder wheels)"
                )

    def resolve(self, requirements: Sequence[str], constraints: str) -> dict[str, dict[str, Any]]:
        """Return the metadata of the packages that satisfy requirements, by name, without a download.

        Raises:
            ConfigError: If there is no pip.
            ArtifactError: If a package cannot be found.
        """
        with tempfile.TemporaryDirectory(prefix="votecast-pip-") as folder:
            lines, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
            lines.write_text(constraints, "utf-8")
            # without --target pip refuses to resolve for another platform
            words = ["install", "--dry-run", "--ignore-installed", "--target", f"{folder}/none"]
            self._run(*words, "--report", str(report), "--constraint", str(lines), *requirements)
            found = json.loads(report.read_text("utf-8"))["install"]
        return {canonicalize_name(each["metadata"]["name"]): each["metadata"] for each in found}

    def download(self, pins: Sequence[str], folder: Path) -> None:
        """Download the wheels of pinned packages, without their dependencies; raises as `resolve` does."""
        self._run("download", "--no-deps", "--dest", str(folder), *pins)

    def _run(self, verb: str, *words: str) -> None:
        # without -vv pip does not print why an index fails
        options = ["-vv", "--disable-pip-version-check", "--no-input", "--no-color"]
        options += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", self.target.python]
        options += [word for name in self.target.platforms for word in ("--platform", name)]
        options += [word for place in self.find_links for word in ("--find-links", place)]
        options += ["--no-index"] if self.no_index else []
        # -P: a module called pip in the working folder is not run
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "pip", verb, *options, *words],
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
                f"votecast pack needs pip, and {sys.executable} has none; install it with: {sys.executable} -m "
                "ensurepip, or run votecast pack from an environment that has pip"
            )
        output = re.split(r"^.*Exception information:\n", ran.stdout, maxsplit=1, flags=re.MULTILINE)[0]
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(output, "utf-8")
            kept = f"; the output of pip is in {self.log}"
        except OSError as error:
            self.log.unlink(missing_ok=True)
            kept = f" (the output of pip could not be kept: {error})"
        raise ArtifactError(self._explain(ran.stdout) + kept)

    def _explain(self, output: str) -> str:
        """Return why pip has failed."""
        where = f"Python {self.target.python} on {self.target.platform}"
        if _DISK_FULL.search(output):
            return "the disk has no room for the wheels; make room, name another --out, or set TMPDIR"
        if _UNREACHABLE.search(output):
            return (
                "the package index cannot be reached; check the network and pip's settings (pip config list), or give "
                "a folder of wheels with --find-links FOLDER --no-index"
            )
        conflict = _CONFLICT.search(output)
        causes = [line.strip() for line in conflict[1].splitlines()] if conflict else []
        if len(causes) > 2:  # more than one requirement and the version installed here
            listed = "; ".join(causes[:4]).replace("The user requested (constraint)", "installed here is")
            return f"no versions fit together for {where}: {listed}; --versions newest does not keep to those here"
        if missing := next((found[1].split() for form in _NO_WHEEL if (found := form.search(output))), None):
            return (
                f"there is no wheel of {', '.join(missing)} for {where}, at least none of the version installed here; "
                "name another --python or --platform, try --versions newest, or give a folder that holds one with "
                "--find-links"
            )
        errors = _ERROR.findall(output) or output.strip().splitlines() or ["no output"]
        return f"pip failed: {errors[-1][:300]}"
