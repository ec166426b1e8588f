"""What the tests of the pages share: run a page and compare its outputs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import readme

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?![0-9a-f]*[a-f])")
_HASH = re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{52})?\b")


def skeleton(text: str) -> str:
    """Return an output without what may differ between machines: numbers, hashes, the width of columns."""
    without = _NUMBER.sub("#", _HASH.sub("HASH", text))
    return "\n".join(" ".join(line.split()) for line in without.splitlines())


def numbers(text: str) -> list[float]:
    """Return the numbers of an output, in order."""
    return [float(found.replace(",", "")) for found in _NUMBER.findall(_HASH.sub("HASH", text))]


def check_page(page: Path, folder: Path, service: str = readme.SERVICE_URL) -> int:
    """Run a page in `folder`, the current one, and compare its outputs; return the number of examples."""

    def compare(command: readme.Command, output: str) -> None:
        made = readme.elide(command.output, output)
        assert skeleton(made) == skeleton(command.output), command.words
        assert numbers(made) == pytest.approx(numbers(command.output), rel=0.2, abs=0.05), command.words

    return readme.run_page(page.read_text("utf-8"), folder, compare, service)
