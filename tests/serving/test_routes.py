"""Routes, methods and content types that are not served."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.serving.asking import BATTLE, GOOD, refused

OTHER_KINDS = [
    None,
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/jsonx",
    "",
    "json",
]
JSON_KINDS = ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"]
NOWHERE = [
    "/v1",
    "/v2/compare",
    "/v1/compare/",
    "//v1/compare",
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2f..%2fapp.py",
    "/static/page.js%00",
    "/static/",
    "/redoc",
    "/%ff",
    "/\u2603",
    "/" + "x" * 5000,
]


@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("route", GOOD)
def test_other_content_types(http: httpx.Client, route: str, kind: str | None) -> None:
    content = json.dumps(GOOD[route]).encode()
    headers = {} if kind is None else {"content-type": kind}
    refused(http.post(route, content=content, headers=headers), 415)


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_json_by_other_spellings(http: httpx.Client, kind: str) -> None:
    assert http.post("/v1/compare", content=json.dumps(BATTLE), headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("route", GOOD)
def test_other_methods(http: httpx.Client, route: str, method: str) -> None:
    answer = http.request(method, route)
    refused(answer, 405)
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("route", ["/v1/judges", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/"])
def test_what_is_only_read(http: httpx.Client, route: str, method: str) -> None:
    refused(http.request(method, route), 405)


@pytest.mark.parametrize("route", NOWHERE, ids=lambda route: route[:30])
def test_routes_that_do_not_exist(http: httpx.Client, route: str) -> None:
    refused(http.get(route), 404)
