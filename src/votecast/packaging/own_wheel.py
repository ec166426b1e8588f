"""votecast's own wheel, made of the package that runs: the same bytes from a checkout and from an installed wheel."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import votecast
from votecast import __version__
from votecast.errors import ArtifactError

_TIME = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: votecast\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_TOLD = ("METADATA", "entry_points.txt", "licenses/LICENSE", "licenses/NOTICE")


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel of the running votecast.

    Args:
        folder: Where to.

    Returns:
        The wheel.

    Raises:
        ArtifactError: If the package is not installed, or what pip knows of it is of another version.
    """
    facts = f"votecast-{__version__}.dist-info"
    files = dict(_package()) | {f"{facts}/{name}": data for name, data in _told().items()}
    files[f"{facts}/WHEEL"] = _WHEEL.encode()
    record = f"{facts}/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in sorted(files.items())]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    made = folder / f"votecast-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files, key=lambda name: (name.startswith(facts), name)):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            archive.writestr(entry, files[name])
    return made


def _package() -> Iterator[tuple[str, bytes]]:
    root = Path(votecast.__file__).parent
    for path in root.rglob("*"):
        inside = path.relative_to(root.parent)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if path.is_file() and not hidden and path.suffix not in {".pyc", ".part"}:
            yield inside.as_posix(), path.read_bytes()


def _told() -> dict[str, bytes]:
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
            "wheel says what it is"
        )
    found = {name: installed.read_text(name) for name in _TOLD}
    return {name: text.encode() for name, text in found.items() if text is not None}


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
