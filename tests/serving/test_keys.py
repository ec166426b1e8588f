"""Test API keys, and local host names without a key."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.serving.asking import BATTLE, GOOD, refused
from tests.serving.running import PATIENCE, Service, serving

KEY = "correct-horse-battery-staple"
READ = ["/v1/judges", "/ready", "/metrics", "/docs", "/openapi.json", "/", "/nowhere"]
WRONG = [
    "Bearer wrong-horse-battery-staple",
    f"Bearer {KEY}x",
    f"Bearer {KEY[:-1]}",
    f"Bearer {KEY.upper()}",
    "Bearer",
    KEY,
    f"Digest {KEY}",
    "Basic !!!",
    "Basic " + "A" * 10_000,
    "",
]
FOREIGN = ["votes.example", "127.0.0.1.votes.example", "10.0.0.1", "localhost:80:80", "evil@localhost", "[::1", ""]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_text(KEY + "\n")
    with serving("--judge", "bundled:baseline", "--workers", "1", "--api-key-file", path, key=KEY) as started:
        yield started


@pytest.fixture
def stranger(guarded: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("route", READ)
def test_nothing_is_read_without_the_key(stranger: httpx.Client, route: str) -> None:
    answer = stranger.get(route)
    refused(answer, 401)
    assert "basic" in answer.headers["www-authenticate"].lower()


@pytest.mark.parametrize("route", GOOD)
def test_no_route_answers_without_the_key(stranger: httpx.Client, route: str) -> None:
    refused(stranger.post(route, json=GOOD[route]), 401)
    refused(stranger.post(route, content=b"x" * 3_000_000), 401)


def test_health_needs_no_key(stranger: httpx.Client) -> None:
    assert stranger.get("/health").status_code == 200


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:20])
def test_wrong_keys(stranger: httpx.Client, value: str) -> None:
    refused(stranger.post("/v1/compare", json=BATTLE, headers={"authorization": value}), 401)


def test_a_key_in_another_form_is_answered_with_the_supported_ones(stranger: httpx.Client) -> None:
    for value in (KEY, f"Digest {KEY}"):
        message = refused(stranger.get("/v1/judges", headers={"authorization": value}), 401)["message"]
        assert "the scheme is unsupported; send Authorization: Bearer KEY, or Basic" in message


def test_a_wrong_key_as_a_password(stranger: httpx.Client) -> None:
    for user, password in ((KEY, ""), ("", "wrong"), ("me", KEY + "\n"), (KEY, "x")):
        refused(stranger.get("/v1/judges", auth=(user, password)), 401)


def test_a_header_of_odd_bytes(stranger: httpx.Client) -> None:
    headers = [(b"authorization", b"Bearer \xff\xfe"), (b"authorization", b"Bearer " + KEY.encode())]
    refused(stranger.get("/v1/judges", headers=headers[:1]), 401)
    refused(stranger.get("/v1/judges", headers=headers), 401)


def test_the_right_key_opens(guarded: Service, stranger: httpx.Client) -> None:
    for headers in ({"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}):
        assert stranger.post("/v1/compare", json=BATTLE, headers=headers).status_code == 200
    assert stranger.get("/", auth=("anyone", KEY)).status_code == 200
    assert (
        stranger.get("/v1/judges", headers={"authorization": f"Bearer {KEY}", "host": "votes.example"}).status_code
        == 200
    )


def test_the_key_stands_in_no_answer_and_no_log(guarded: Service, stranger: httpx.Client) -> None:
    answer = [stranger.get(route, auth=("", KEY)).text for route in READ]
    assert KEY not in "".join(answer) + guarded.output


@pytest.mark.parametrize("host", FOREIGN)
def test_without_a_key_other_names_are_refused(http: httpx.Client, host: str) -> None:
    answer = http.get("/v1/judges", headers={"host": host})
    assert answer.status_code in (400, 403)
    assert "judges" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
def test_without_a_key_names_of_this_machine_are_answered(http: httpx.Client, host: str) -> None:
    assert http.get("/v1/judges", headers={"host": host}).status_code == 200


def test_pages_of_other_sites_get_no_data(http: httpx.Client) -> None:
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for answer in (http.options("/v1/compare", headers=asked), http.post("/v1/compare", json=BATTLE, headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("route", ["/", "/v1/judges", "/docs", "/nowhere", "/metrics", "/health"])
def test_every_answer_carries_strict_headers(http: httpx.Client, route: str) -> None:
    headers = http.get(route).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers


def test_a_key_from_the_environment_guards_too() -> None:
    env = {"VOTECAST_API_KEY": KEY}
    with serving("--judge", "bundled:baseline", "--workers", "1", "--host", "0.0.0.0", env=env, key=KEY) as service:
        with service.client() as client:
            assert client.post("/v1/compare", json=BATTLE).status_code == 200
        refused(httpx.get(f"{service.url}/v1/judges", trust_env=False), 401)
