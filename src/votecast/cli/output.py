"""Results as JSON, and the settings beside every output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from votecast import __version__
from votecast.artifacts import atomic_file, check_free

STANDARD = "-"


def settings_path(out: str | Path) -> Path:
    """Where the settings of an output lie.

    Example:
        >>> settings_path("runs/votes.parquet").name
        'votes.parquet.settings.json'
    """
    return Path(f"{out}.settings.json")


def settings_of_json(json: str | None) -> Path | None:
    """Where the settings of results as JSON lie; None where nothing lies beside them.

    Example:
        >>> settings_of_json("-") is settings_of_json(None) is None
        True
    """
    return None if json in (None, STANDARD) else settings_path(str(json))


def check_outputs(*paths: str | Path | None, overwrite: bool) -> None:
    """Refuse outputs that are in the way before any work is done.

    Raises:
        ArtifactError: If one exists and may not be replaced.
    """
    for path in paths:
        if path is not None and str(path) != STANDARD:
            check_free(path, overwrite=overwrite)


def write_json(values: Mapping[str, Any], path: str | Path, *, overwrite: bool = False) -> None:
    """Write results as JSON to a file, or to standard output where the path is "-"."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    if str(path) == STANDARD:
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        return
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, "utf-8", errors="backslashreplace")


def write_settings(out: str | Path, verb: str, settings: Mapping[str, Any], **facts: Any) -> None:
    """Write the resolved settings of a command beside what it has written.

    Args:
        out: The output; nothing is written beside standard output.
        verb: The command.
        settings: Every option it ran with.
        **facts: What else belongs beside the output, such as the judge.
    """
    if str(out) == STANDARD:
        return
    whole = {"votecast": __version__, "command": verb, "settings": dict(settings)} | facts
    write_json(whole, settings_path(out), overwrite=True)
