"""Run a documentation page and compare its outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import readme


def numbers(text: str) -> list[float]:
    """Return the numbers of an output, in order."""
    return [float(found.replace(",", "")) for found in readme.NUMBER.findall(readme.HASH.sub("HASH", text))]


def check_page(page: Path, folder: Path, service: str = readme.SERVICE_URL) -> int:
    """Run a page in `folder` and compare outputs; return the examples."""

    def compare(command: readme.Command, output: str) -> None:
        made = readme.elide(command.output, output)
        assert readme.skeleton(made) == readme.skeleton(command.output), command.words
        assert numbers(made) == pytest.approx(numbers(command.output), rel=0.2, abs=0.05), command.words

    return readme.run_page(page.read_text("utf-8"), folder, compare, service)
