"""votecast env: what a bug report needs to say about the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Annotated, Any

from cyclopts import Parameter

from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, write_json
from votecast.cli.screen import facts
from votecast.version import __version__


def env(*, json: JsonPath = None, overwrite: Annotated[bool, Parameter(negative=())] = False) -> None:
    """Show versions, machine and settings, for a bug report.

    Args:
        json: Write them as JSON ("-" is standard output).
        overwrite: Replace an existing file.
    """
    check_outputs(json, overwrite=overwrite)
    found = describe()
    if json is not None:
        write_json(found, json, overwrite=overwrite)
    if json != "-":
        packages = found.pop("packages")
        facts(found | packages)


def describe() -> dict[str, Any]:
    """Versions, machine and settings as JSON-able values."""
    from votecast.config import user_settings
    from votecast.judges.loading import bundled_names

    return {
        "votecast": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "default judge": user_settings().get("default_judge", "bundled:baseline"),
        "bundled judges": ", ".join(bundled_names()) or "none",
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    """Versions of the packages that votecast cannot do without."""
    found = {}
    for requirement in sorted(requires("votecast") or []):
        name, _, marker = requirement.partition(";")
        if "extra" in marker:
            continue
        bare = name.split(">")[0].split("=")[0].split("<")[0].strip()
        try:
            found[bare] = version(bare)
        except PackageNotFoundError:
            found[bare] = "missing"
    return found
