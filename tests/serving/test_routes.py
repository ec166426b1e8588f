"""Test routes, methods and content types that are not served."""

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


@pytest.mark.parametrize("route", GOOD)
def test_other_content_types_and_methods(http: httpx.Client, route: str) -> None:
    content = json.dumps(GOOD[route]).encode()
    for kind in OTHER_KINDS:
        refused(http.post(route, content=content, headers={} if kind is None else {"content-type": kind}), 415)
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        answer = http.request(method, route)
        refused(answer, 405)
        assert "POST" in answer.headers["allow"]


def test_json_by_other_spellings(http: httpx.Client) -> None:
    for kind in JSON_KINDS:
        assert http.post("/v1/compare", content=json.dumps(BATTLE), headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize("route", ["/v1/judges", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/"])
def test_read_only_routes(http: httpx.Client, route: str) -> None:
    for method in ("POST", "PUT", "DELETE"):
        refused(http.request(method, route), 405)


def test_routes_that_do_not_exist(http: httpx.Client) -> None:
    for route in NOWHERE:
        refused(http.get(route), 404)
