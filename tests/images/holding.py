"""What an image holds, and what the files of requirements pin."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.images.dockerfile import Stage

ROOT = Path(__file__).parents[2]
OWN = {"votecast", "pip", "setuptools"}


def pip(*links: Path) -> dict[str, str]:
    """pip without an index and without settings of the user; what it compiles would be made again at the start."""
    told = {"PIP_FIND_LINKS": " ".join(map(str, links)), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    return told | {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def pins(name: str) -> dict[str, str]:
    """Package -> version, as a file of requirements pins them."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    found = [line.partition(" ")[0].partition("==") for line in lines if "==" in line and line[0] != "#"]
    return {name_of(package): version for package, _, version in found}


def name_of(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def held_in(stage: Stage) -> dict[str, str]:
    """Package -> version, of all that an image holds."""
    words = placed_in(stage, ["python3", "-m", "pip", "list", "--format", "json"])
    ran = subprocess.run(words, env=stage.environment() | pip(), capture_output=True, text=True, check=True)
    return {name_of(told["name"]): told["version"] for told in json.loads(ran.stdout)}


def placed_in(stage: Stage, words: list[str]) -> list[str]:
    return [f"{stage.root}/opt/votecast/bin/{words[0]}", *words[1:]]
