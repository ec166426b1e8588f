"""The folder of a pack: written whole or not at all, and what it holds told in its manifest."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from votecast.artifacts import check_free, digest_of, replace_folder
from votecast.errors import ArtifactError

KIND, FORMAT_VERSION = "votecast-pack", 1
MANIFEST, NOTEBOOK, README, WHEELS = "manifest.json", "notebook.ipynb", "README.md", "wheels"


@contextlib.contextmanager
def whole_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a folder beside `out` to write to; rename it to `out` when the block ends well, remove it when not.

    Args:
        out: The folder to end up with.
        overwrite: Whether an existing pack may be replaced.

    Raises:
        ArtifactError: If something is in the way, or the disk refuses; nothing is left behind.
    """
    check_place(out, overwrite=overwrite)
    part: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
        yield part
        _settle_modes(part)
        replace_folder(part, out)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{out} could not be written: {error}; nothing was left behind") from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def check_place(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place where something lies, unless it is a pack that may be replaced.

    Raises:
        ArtifactError: If something is in the way; the message names the way out.
    """
    if not overwrite or not out.exists():
        check_free(out)
    elif not _may_be_pack(out):
        raise ArtifactError(f"{out} is not a pack; it is left alone, name another output")
    else:
        check_free(out / MANIFEST, overwrite=True)


def write_manifest(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write what a pack holds: facts, and size and SHA-256 of every file that lies in it by now.

    Returns:
        What was written.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest_of(path)} for path in paths
    }
    whole = {"kind": KIND, "format_version": FORMAT_VERSION} | dict(facts) | {"files": files}
    (folder / MANIFEST).write_text(json.dumps(whole, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    return whole


def _may_be_pack(out: Path) -> bool:
    """Whether a folder is a pack, or empty."""
    try:
        if not any(out.iterdir()):
            return True
        found = json.loads((out / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def _settle_modes(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
