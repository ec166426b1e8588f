"""votecast env: what a bug report needs to say about the machine."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Annotated, Any

from cyclopts import Parameter

from votecast import __version__
from votecast.cli.options import JsonPath
from votecast.cli.output import check_outputs, write_json
from votecast.cli.screen import facts
from votecast.config.extras import PINNED, how_to_install, need
from votecast.errors import MissingExtraError


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
        packages, extras = found.pop("packages"), found.pop("extras")
        facts(found | packages | extras)


def describe() -> dict[str, Any]:
    """Versions, machine and settings as JSON-able values."""
    from votecast.config import user_settings
    from votecast.judges.load import bundled_names

    core, extras = _required()
    return {
        "votecast": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "default judge": user_settings().get("default_judge", "bundled:baseline"),
        "bundled judges": ", ".join(bundled_names()) or "none",
        "neural judges": _neural(),
        "packages": {name: _version(name) or "missing" for name in core},
        "extras": {name: found for name in extras if (found := _version(name))},
    }


def _required() -> tuple[list[str], list[str]]:
    """The packages that votecast cannot do without, and those that its extras bring."""
    core, extras = set(), set()
    for requirement in requires("votecast") or []:
        bare, _, marker = requirement.partition(";")
        name = re.split(r"[\[<>=!~ ]", bare)[0]
        if "extra" not in marker:
            core.add(name)
        elif re.search(r"extra == .(neural|keras|onnx|plot|quant)\b", marker):
            extras.add(name)
    pinned = {pin.partition("==")[0] for _, pin in PINNED.values()}
    return sorted(core), sorted((extras | pinned) - core - {"votecast"})


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _neural() -> str:
    """What neural judges would run on."""
    try:
        torch = need("torch")
    except MissingExtraError:
        return f"not installed ({how_to_install('torch')})"
    except (ImportError, OSError) as error:
        return f"torch does not start: {error}"
    from votecast.training.precision import choose_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())]
    where = f"{', '.join(names)}, CUDA {torch.version.cuda}" if names else f"CPU, {torch.get_num_threads()} threads"
    return f"{where}, computing in {choose_precision('auto', device)}"
