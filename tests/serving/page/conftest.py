"""Open the page in Debian's Chromium against a running service."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serving.page.visit import Visit
from tests.serving.running import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
AXE = Path(__file__).parents[3] / ".venv" / "npm" / "node_modules" / "axe-core" / "axe.min.js"


def _missing(what: str) -> None:
    """Skip, or fail where the page tests are required."""
    if os.environ.get("VOTECAST_REQUIRE_PAGE_TESTS"):
        pytest.fail(f"{what}, and VOTECAST_REQUIRE_PAGE_TESTS is set")
    pytest.skip(f"{what}; the page is not tested")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start headless Chromium for one file."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        _missing(f"none of {', '.join(BROWSERS)} is installed")
    if importlib.util.find_spec("playwright") is None:
        _missing("playwright is not installed")
    from playwright.sync_api import sync_playwright

    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=[*sandbox, "--disable-dev-shm-usage"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Callable[..., Visit]]:
    """Open the page; at the end check requests and console."""
    visits: list[Visit] = []

    def open_page(view: str = "", *, url: str | None = None, **options: object) -> Visit:
        visits.append(Visit(browser, url or service.url, view, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.context.close()
    for each in visits:
        each.check()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the script of axe-core."""
    if not AXE.is_file():
        _missing(f"{AXE} is missing (make setup)")
    return AXE.read_text("utf-8")
