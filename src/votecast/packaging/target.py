"""The machine that a pack is for: its Python, its platform, and which wheels and requirements are for it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib import metadata

from packaging.specifiers import SpecifierSet

from votecast.errors import ConfigError

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The Python that runs here."""

PLATFORM = "manylinux_2_28_x86_64"
"""Runs where glibc is 2.28 or later; notebooks of contests do."""

_PLATFORM = re.compile(r"manylinux(?:_2_([0-9]{1,2})|(1|2010|2014))_(x86_64|aarch64)")
_OLD = {"1": 5, "2010": 12, "2014": 17}
_LEAST = 5


@dataclass(frozen=True)
class Target:
    """A machine without a network.

    Args:
        python: Its Python, such as "3.11".
        platform: The newest manylinux that it runs, such as "manylinux_2_28_x86_64".

    Raises:
        ConfigError: If votecast does not run there, or that is no such name.

    Example:
        >>> Target("3.12", "manylinux2014_x86_64").platforms[:3]
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
        if not _PLATFORM.fullmatch(self.platform) or self._parts[0] < _LEAST:
            raise ConfigError(
                f"--platform is {self.platform!r}; allowed are manylinux_2_N_x86_64, manylinux_2_N_aarch64 and "
                f"manylinux2014 of either, N from {_LEAST} to 99, such as manylinux_2_28_x86_64: `ldd --version` there "
                "tells 2.N"
            )

    @property
    def machine(self) -> str:
        """Its kind of processor."""
        return str(self._parts[1])

    @property
    def platforms(self) -> list[str]:
        """Names of all platforms whose wheels it runs, newest first."""
        newest, machine = self._parts
        found = []
        for minor in range(newest, _LEAST - 1, -1):
            old = [f"manylinux{name}_{machine}" for name, same in _OLD.items() if same == minor]
            found += [f"manylinux_2_{minor}_{machine}", *old]
        return found

    @property
    def options(self) -> list[str]:
        """What pip is told of it."""
        platforms = [word for name in self.platforms for word in ("--platform", name)]
        return ["--only-binary", ":all:", "--implementation", "cp", "--python-version", self.python, *platforms]

    def environment(self, extra: str = "") -> dict[str, str]:
        """What the markers of requirements ask of it."""
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def _parts(self) -> tuple[int, str]:
        found = _PLATFORM.fullmatch(self.platform)
        assert found is not None
        return int(found[1] or _OLD[found[2]]), found[3]
