"""votecast env: versions, machine and settings for a bug report."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version

from votecast import __version__
from votecast.cli.options import Output
from votecast.cli.screen import print_facts
from votecast.config.extras import PINNED, how_to_install, need
from votecast.errors import MissingExtraError


def env(*, output: Output = Output()) -> None:
    """Show versions, machine and settings for a bug report."""
    from votecast.config import user_settings
    from votecast.judges.load import bundled_names

    output.check(settings=False)
    core, extra = set(), set()
    for requirement in requires("votecast") or []:
        bare, _, marker = requirement.partition(";")
        name = re.split(r"[\[<>=!~ ]", bare)[0]
        if "extra" not in marker:
            core.add(name)
        elif re.search(r"extra == .(neural|keras|onnx|plot|quant)\b", marker):
            extra.add(name)
    extra |= {pin.partition("==")[0] for _, pin in PINNED.values()}
    facts: dict[str, object] = {
        "votecast": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "default judge": user_settings().default_judge,
        "bundled judges": ", ".join(bundled_names()) or "none",
        "neural judges": _describe_torch(),
    }
    packages = {name: _version(name) or "missing" for name in sorted(core)}
    extras = {name: found for name in sorted(extra - core - {"votecast"}) if (found := _version(name))}
    if output.write(facts | {"packages": packages, "extras": extras}):
        print_facts(facts | packages | extras)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _describe_torch() -> str:
    """Describe the device and precision of neural judges."""
    try:
        torch = need("torch")
    except MissingExtraError:
        return f"not installed ({how_to_install('torch')})"
    except (ImportError, OSError) as error:
        # installed and broken, such as without a CUDA library
        return f"torch does not start: {error}"
    from votecast.config.precision import choose_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names = [torch.cuda.get_device_name(each) for each in range(torch.cuda.device_count())]
    where = f"{', '.join(names)}, CUDA {torch.version.cuda}" if names else f"CPU, {torch.get_num_threads()} threads"
    return f"{where}, computing in {choose_precision('auto', device, setting='precision')}"
