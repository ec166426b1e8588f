"""Test that the examples of all guides run as printed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import readme
from checks import check_page

from votecast.models import registry

GUIDES = [page for page in readme.PAGES if page.name != "README.md" and page.parent.name != "tutorials"]
EXECUTED = [page for page in GUIDES if re.search(r"^(```console|>>> )", page.read_text("utf-8"), re.MULTILINE)]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Run one service for all pages that need it."""
    with readme.running_service("bundled:baseline") as url:
        yield url


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.stem)
def test_a_page_shows_what_its_examples_print(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    needs_service = "service" in readme.needs(page.read_text("utf-8"))
    url = request.getfixturevalue("service") if needs_service else readme.SERVICE_URL
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(registry.FAMILIES, "length", "")  # removed when the test ends, though a page sets it
    assert check_page(page, tmp_path, url)
