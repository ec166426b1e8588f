"""The page /docs, drawn from the OpenAPI description; it asks nobody but this service."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pydantic_core

from votecast.serving.pages import Page

FOLDER: Final = Path(__file__).with_name("docs_page")


def documentation(described: dict[str, Any]) -> dict[str, Page]:
    """The description, the page that shows it, and the style of that page, by their paths."""
    return {"/openapi.json": Page(pydantic_core.to_json(described), "application/json")}
