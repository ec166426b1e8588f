"""Watch one visit: requests, console and axe-core violations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Route

PATIENCE = 60_000
"""Milliseconds before a test gives up on the page; machines are shared and loaded."""

AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


class Visit:
    """A page in its own browser context.

    Args:
        browser: The browser.
        url: Address of the service.
        view: Hash of the view, such as "#file".
        options: Of the context: color_scheme, viewport, reduced_motion.
    """

    def __init__(self, browser: Browser, url: str, view: str = "", **options: Any) -> None:
        self.url, self.expected = url, set[int]()
        self.context = browser.new_context(**({"viewport": {"width": 1120, "height": 900}} | options))
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.trouble: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("console", lambda answer: self._note(answer.type, answer.text))
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy: ' + e.violatedDirective))"
        )
        self.page.goto(f"{url}/{view}")
        self.page.locator("#judge:not([disabled])").wait_for()

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(f"status of {status}" in text for status in self.expected):
            self.trouble.append(f"{kind}: {text}")

    def check(self) -> None:
        """Assert that no request left and no error occurred."""
        own = urlsplit(self.url).netloc
        elsewhere = [
            url for url in self.asked if urlsplit(url).netloc != own and not url.startswith(("blob:", "data:"))
        ]
        assert elsewhere == []
        assert self.trouble == []

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def button(self, name: str, *, exact: bool = True) -> Locator:
        """Return a button by its label."""
        return self.page.get_by_role("button", name=name, exact=exact)

    def write(self, prompt: str, a: str, b: str, turn: int = 1) -> None:
        """Fill in one turn."""
        for key, text in (("prompt", prompt), ("a", a), ("b", b)):
            self[f"#{key}-{turn}"].fill(text)

    def compare(self) -> str:
        """Press the button; return the text of the result."""
        self.button("Compare").click()
        self["#result"].wait_for()
        return self["#result"].inner_text()

    def choose(self, name: str, content: str | bytes) -> None:
        """Choose a file of this content."""
        data = content.encode() if isinstance(content, str) else content
        self["#file"].set_input_files({"name": name, "mimeType": "text/csv", "buffer": data})

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until an element holds a text."""
        self[selector].filter(has_text=text).wait_for()

    def download(self, name: str, folder: Path) -> Path:
        """Press a download button; return the file's path."""
        with self.page.expect_download() as started:
            self.button(name).click()
        path = folder / started.value.suggested_filename
        started.value.save_as(path)
        return path

    def answer(self, path: str, *answers: dict[str, Any]) -> None:
        """Answer the first requests of a route with Playwright's `fulfill`."""
        left = list(answers)
        self.expected.update(answer["status"] for answer in answers)

        def reply(route: Route) -> None:
            if left:
                route.fulfill(**left.pop(0))
            else:
                route.continue_()

        self.page.route(f"**/{path}", reply)

    def violations(self, axe: str) -> list[str]:
        """Return axe-core violations; the test runs the script."""
        self.page.evaluate(axe)
        found = self.page.evaluate(f"axe.run(document, {json.dumps(AXE_RULES)})")
        return [f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}" for rule in found["violations"]]

    def wider_than_screen(self) -> list[str]:
        """Return elements that make the page scroll sideways."""
        return self.page.evaluate(
            "() => { const wide = document.documentElement.clientWidth;"
            "return document.documentElement.scrollWidth <= wide ? [] : [...document.querySelectorAll('body *')]"
            ".filter((e) => e.getBoundingClientRect().right > wide + 1).map((e) => e.outerHTML.slice(0, 120)) }"
        )
