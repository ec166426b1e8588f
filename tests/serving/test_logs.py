"""Test logs without user text, and metrics."""

from __future__ import annotations

import json
import re

from tests.serving.asking import BATTLE, GOOD, RERANK, SECRET
from tests.serving.running import Start, wait_for


def counted(text: str, route: str, status: int) -> float:
    found = re.search(rf'^votecast_requests_total{{route="{route}",status="{status}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_logs_and_metrics_record_what_happened(start: Start) -> None:
    service = start("--judge", "mine=bundled:baseline", "--workers", "1").ready()
    with service.client() as client:
        assert client.post("/v1/compare", json=BATTLE).status_code == 200
        assert client.post("/v1/compare/batch", json={"battles": [BATTLE] * 5}).status_code == 200
        assert client.post("/v1/rerank", json=RERANK).status_code == 200
        assert client.post("/v1/compare", json=BATTLE | {SECRET: SECRET, "order": SECRET}).status_code == 422
        assert client.post("/v1/compare", json=BATTLE | {"judge": SECRET}).status_code == 422
        assert client.post("/v1/compare", json=BATTLE | {"id": SECRET, "language": SECRET}).status_code == 200
        assert client.post("/v1/compare", content=f'{{"prompt": "{SECRET}'.encode()).status_code in (400, 415)
        assert client.get(f"/{SECRET}?q={SECRET}").status_code == 404
        assert client.post("/v1/compare", content=SECRET.encode() * 300_000).status_code in (413, 415)
        assert client.get("/v1/judges", headers={"user-agent": SECRET, "x": SECRET}).status_code == 200
        text = client.get("/metrics").text
    assert (counted(text, "/v1/compare", 200), counted(text, "/v1/compare/batch", 200)) == (2, 1)
    assert counted(text, "/v1/compare", 422) == 2
    assert counted(text, "other", 404) == 1
    assert not re.search(r'route="/v1/[a-z/]*",status="5', text)
    wait_for(lambda: len([line for line in service.log if line.get("route") == "/metrics"]) >= 1, "the log")
    assert SECRET not in service.output + text
    asked = [line for line in service.log if line["route"].startswith("/v1/compare") and line["status"] == 200]
    assert [line["rows"] for line in asked] == [1, 5, 1]
    assert {line["judge"] for line in asked} == {"mine"}
    assert all({"time", "id", "route", "status", "seconds", "judge", "rows"} <= set(line) for line in service.log)
    assert len({line["id"] for line in service.log}) == len(service.log)


def test_odd_paths_do_not_make_lines_or_labels_of_their_own(start: Start) -> None:
    service = start("--judge", "bundled:baseline", "--workers", "1").ready()
    with service.client() as client:
        for path in ("/a%0a{}", "/%22", "/v1/compare%0d%0ax", "/\u2028", "/v1/%7b%7d"):
            assert client.get(path).status_code == 404
        text = client.get("/metrics").text
    assert counted(text, "other", 404) == 5
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert routes <= {*GOOD, "/v1/judges", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/", "other"}
    wait_for(lambda: sum(line.get("status") == 404 for line in service.log) == 5, "the log")
    assert all(json.loads(line) for line in service.lines if line.startswith("{"))
