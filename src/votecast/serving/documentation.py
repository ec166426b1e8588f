"""The page /docs, drawn from the OpenAPI description; it asks nobody but this service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jinja2
import pydantic_core

from votecast.serving.pages import KINDS, Page

FOLDER: Final = Path(__file__).with_name("docs_page")
_STYLE: Final = "docs.css"


def documentation(described: dict[str, Any]) -> dict[str, Page]:
    """The description, the page that shows it and the style of that page, by their paths.

    Args:
        described: The description, as OpenAPI.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    routes = [_shown(described, path, *each) for path, of in described["paths"].items() for each in of.items()]
    guarded = "securitySchemes" in described["components"]
    page = environment.get_template("docs.html").render(info=described["info"], routes=routes, guarded=guarded)
    return {
        "/docs": Page(page.encode(), KINDS[".html"]),
        f"/{_STYLE}": Page((FOLDER / _STYLE).read_bytes(), KINDS[".css"]),
        "/openapi.json": Page(pydantic_core.to_json(described), KINDS[".json"]),
    }


def _shown(described: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    kind, success = next(iter(operation["responses"]["200"]["content"].items()))
    statuses = {status: each["description"] for status, each in operation["responses"].items() if status != "200"}
    return {
        "name": operation["operationId"],
        "path": path,
        "method": method.upper(),
        "summary": operation["summary"],
        "takes": list(_fields(described, body.get("schema", {}))),
        "gives": list(_fields(described, success["schema"])),
        "kind": kind,
        "example": json.dumps(body["example"], indent=2, ensure_ascii=False) if body else "",
        "locked": "security" in operation,
        "statuses": statuses,
    }


def _fields(described: dict[str, Any], schema: dict[str, Any], before: str = "") -> Iterator[dict[str, Any]]:
    """The fields of an object, and of the objects in them."""
    found = _resolved(described, schema)
    for name, part in found.get("properties", {}).items():
        yield {
            "name": before + name,
            "kind": _kind(described, part),
            "needed": name in found.get("required", ()),
            "default": json.dumps(part["default"]) if part.get("default") not in (None, "") else "",
            "text": part.get("description", ""),
        }
        for below in _objects(part):
            sign = "[]." if part.get("type") == "array" else "."
            yield from _fields(described, below, f"{before}{name}{sign}")


def _objects(part: dict[str, Any]) -> list[dict[str, Any]]:
    """References to objects in a field."""
    inside = [part, part.get("items", {}), *part.get("anyOf", ())]
    inside += [each.get("items", {}) for each in part.get("anyOf", ())]
    return [each for each in inside if "$ref" in each]


def _resolved(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"][name] if name else schema
    return found


def _kind(described: dict[str, Any], part: dict[str, Any]) -> str:
    """What values a field has, in words."""
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(_kind(described, each) for each in part["anyOf"]))
    if "enum" in part or "const" in part:
        return ", ".join(json.dumps(value) for value in part.get("enum", [part.get("const")]))
    if part.get("type") == "array":
        most = f", at most {part['maxItems']:,}" if "maxItems" in part else ""
        return f"list of {_PLURAL.get(_kind(described, part['items']), _kind(described, part['items']))}{most}"
    return _WORDS.get(part.get("type", "object"), "object")


_WORDS: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true, false",
    "null": "null",
    "object": "object",
}
_PLURAL: Final = {
    "text": "texts",
    "object": "objects",
    "text or null": "texts or null",
    "whole number": "whole numbers",
}
