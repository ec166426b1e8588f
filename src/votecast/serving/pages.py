"""The pages: files that are read once at start and kept with their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PAGE: Final = Path(__file__).with_name("page")
KINDS: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
"""Files that are served, by their ending."""


@dataclass(frozen=True)
class Page:
    """One file as it is served.

    Args:
        content: Its bytes.
        kind: Its media type.

    Example:
        >>> Page(b"x", "text/css").tag[:9]
        '"2d711642'
    """

    content: bytes
    kind: str

    @property
    def tag(self) -> str:
        """Hash of the content, by which a browser asks whether it has changed."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    async def answer(self, request: Request) -> Response:
        """The file, or word that the browser has it already."""
        headers = {"content-type": self.kind, "etag": self.tag, "cache-control": "no-cache"}
        known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
        if self.tag in known:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers)


def read_pages(folder: Path = PAGE) -> dict[str, Page]:
    """The files of a folder by the paths they are served at: index.html at "/", all others under "/static/".

    Args:
        folder: The folder; nothing is served where there is none.
    """
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix in KINDS:
            name = path.relative_to(folder).as_posix()
            found["/" if name == "index.html" else f"/static/{name}"] = Page(path.read_bytes(), KINDS[path.suffix])
    return found
