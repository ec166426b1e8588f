"""Test that the examples of README and tutorials run as printed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import readme
from checks import check_page

PAGES = [page for page in readme.PAGES if page.name == "README.md" or page.parent.name == "tutorials"]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_its_examples_print(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_page(page, tmp_path) >= 4
