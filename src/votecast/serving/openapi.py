"""The OpenAPI description, made of the same classes that check the bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from votecast import __version__
from votecast.serving.meanings import meaning
from votecast.serving.operations import COMING_BACK, GUARDED, OPERATIONS, SAID, Operation
from votecast.serving.settings import ServiceSettings
from votecast.serving.shapes import Error

_REF: Final = "#/components/schemas/{model}"
_UNGUARDED: Final = ("/health",)
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "any name, the key as password"},
}


def description(settings: ServiceSettings, *, guarded: bool, judges: Sequence[str] = ()) -> dict[str, Any]:
    """The service as OpenAPI 3.1.

    Args:
        settings: What is allowed.
        guarded: Whether a key is needed.
        judges: Names of the judges, where they are known.

    Example:
        >>> sorted(description(ServiceSettings(), guarded=True)["paths"]["/v1/compare"]["post"]["responses"])[:2]
        ['200', '400']
    """
    schemas = _schemas(settings, judges)
    paths = {each.path: {each.method.lower(): _operation(each, guarded=guarded)} for each in OPERATIONS}
    components: dict[str, Any] = {"schemas": schemas} | ({"securitySchemes": _SCHEMES} if guarded else {})
    info = {
        "title": "votecast",
        "version": __version__,
        "description": "Forecasts how people vote between two answers to a prompt.",
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _schemas(settings: ServiceSettings, judges: Sequence[str]) -> dict[str, Any]:
    models: list[type[BaseModel]] = [Error]
    models += [model for each in OPERATIONS for model in (each.body, each.answer) if model is not None]
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    schemas: dict[str, Any] = found["$defs"]
    for name, field in (("BatchBody", "battles"), ("RerankBody", "candidates"), ("LeaderboardBody", "games")):
        schemas[name]["properties"][field]["maxItems"] = getattr(settings, field)
    for name in ("CompareBody", "BatchBody", "RerankBody") if judges else ():
        named = {"anyOf": [{"type": "string", "enum": list(judges)}, {"type": "null"}]}
        schemas[name]["properties"]["judge"] |= named
    for name, schema in schemas.items():
        for field, part in schema.get("properties", {}).items():
            if (said := meaning(name, field)) is not None:
                part["description"] = said
    return schemas


def _operation(operation: Operation, *, guarded: bool) -> dict[str, Any]:
    locked = operation.path not in _UNGUARDED
    statuses = sorted({*operation.statuses, *([GUARDED[0] if guarded else GUARDED[1]] if locked else [])})
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {"200": _success(operation)} | {str(status): _error(status) for status in statuses},
    }
    if operation.body is not None:
        content = {"schema": _ref(operation.body), "example": operation.example}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    if guarded and locked:
        found["security"] = [{name: []} for name in _SCHEMES]
    return found


def _success(operation: Operation) -> dict[str, Any]:
    if operation.answer is None:
        return {"description": "The counts", "content": {"text/plain": {"schema": {"type": "string"}}}}
    told = (operation.answer.__doc__ or "").partition("\n")[0]
    return {"description": told, "content": {"application/json": {"schema": _ref(operation.answer)}}}


def _error(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"description": SAID[status], "content": {"application/json": {"schema": _ref(Error)}}}
    if status in COMING_BACK:
        seconds = {"description": "Seconds to wait", "required": True, "schema": {"type": "integer", "minimum": 1}}
        found["headers"] = {"Retry-After": seconds}
    return found


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
