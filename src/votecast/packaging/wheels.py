"""The wheels of a pack: votecast's own, and those of the packages that its judge needs on the target.

`pack` fills the folder of wheels with `collect_wheels`.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import votecast
from votecast import __version__
from votecast.errors import ArtifactError, ConfigError
from votecast.packaging.packed_judge import Needs
from votecast.packaging.pip import Pip, TargetMachine

Versions = Literal["here", "newest"]

_ROUNDS = 5
_WHEEL = "Wheel-Version: 1.0\nGenerator: votecast\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_DIST_INFO = ("METADATA", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")


def collect_wheels(
    folder: Path, needs: Needs, pip: Pip, *, without: Sequence[str] = (), versions: Versions = "here"
) -> dict[str, str]:
    """Fill a folder with votecast's own wheel and the packages a judge needs.

    Returns:
        Package -> version, of all that were downloaded.

    Raises:
        ConfigError: If a name in `without` is not needed, or there is no pip.
        ArtifactError: If a wheel cannot be found.
    """
    asked = [f"{needs.requirement} @ {write_own_wheel(folder).resolve().as_uri()}"]
    installed = {each.metadata["Name"]: each.version for each in metadata.distributions()} if versions == "here" else {}
    # without the build of this machine, such as +cpu
    lines = [f"{name}=={re.sub('[+].*', '', has)}\n" for name, has in installed.items() if name and name != "votecast"]
    # pip evaluates markers for the running Python, not for the target: what is missing is added in a further round
    for _ in range(_ROUNDS):
        found = pip.resolve(asked, "".join(sorted(lines)))
        needed, missing = _follow_requirements(found, needs.extras, without, pip.target)
        if not missing:
            break
        asked += sorted(missing)
    if unknown := [name for name in without if canonicalize_name(name) not in found]:
        raise ConfigError(
            f"--without {', '.join(unknown)}: the judge does not need it; needed are {', '.join(sorted(found))}"
        )
    pins = {name: str(found[name]["version"]) for name in sorted(needed)}
    pins |= {canonicalize_name(name): version for name, _, version in (pin.partition("==") for pin in needs.no_deps)}
    pip.download([f"{name}=={version}" for name, version in pins.items()], folder)
    return pins


def _follow_requirements(
    found: Mapping[str, Mapping[str, Any]], extras: Sequence[str], without: Sequence[str], target: TargetMachine
) -> tuple[set[str], set[str]]:
    """Return the packages needed on the target, and missing requirements."""
    left_out = {canonicalize_name(name) for name in without}
    seen: set[tuple[str, str]] = set()
    missing: set[str] = set()
    waiting = [("votecast", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        environment = target.environment(extra)
        for requirement in map(Requirement, found[name].get("requires_dist") or []):
            needed = canonicalize_name(requirement.name)
            is_used = requirement.marker is None or requirement.marker.evaluate(environment)
            if not is_used or needed in left_out:
                continue
            if needed in found:
                waiting += [(needed, each) for each in ("", *requirement.extras)]
            else:
                requirement.marker = None
                missing.add(str(requirement))
    return {name for name, _ in seen} - {"votecast"}, missing


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the running votecast.

    A checkout and an installed wheel give the same bytes.

    Raises:
        ArtifactError: If votecast is not installed, or as another version.
    """
    try:
        installed = metadata.distribution("votecast")
    except metadata.PackageNotFoundError as error:
        raise ArtifactError(
            "votecast runs from a folder and is not installed, so its wheel cannot be made; install it with: "
            "pip install --editable FOLDER"
        ) from error
    if installed.version != __version__:
        raise ArtifactError(
            f"votecast is {__version__}, and was installed as {installed.version}; install it again, so that its "
            "wheel has the right version"
        )
    info = f"votecast-{__version__}.dist-info"
    texts = {name: installed.read_text(name) for name in _DIST_INFO} | {"WHEEL": _WHEEL}
    files = {f"{info}/{name}": text.encode() for name, text in texts.items() if text is not None}
    root = Path(votecast.__file__).parent
    for path in root.rglob("*"):
        inside = path.relative_to(root.parent)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if path.is_file() and not hidden and path.suffix not in {".pyc", ".part"}:
            files[inside.as_posix()] = path.read_bytes()
    record = ""
    for name, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"votecast-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files, key=lambda name: (name.startswith(info), name)):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # no times: equal contents give equal bytes
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, files[name])
    return wheel
