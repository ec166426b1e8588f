"""Test malformed, odd and oversized request bodies."""

from __future__ import annotations

import contextlib
import itertools
import json

import httpx
import pytest
from tests.serving.asking import BATTLE, GOOD, refused

JSON = {"content-type": "application/json"}
BODY = json.dumps(BATTLE).encode()

NO_JSON = {
    "nothing": b"",
    "spaces": b"  \n",
    "half an object": b'{"prompt": "x"',
    "single quotes": b"{'prompt': 'x'}",
    "trailing text": BODY + b"x",
    "two objects": BODY + BODY,
    "no UTF-8": b'{"prompt": "\xff\xfe", "response_a": "x", "response_b": "y"}',
    "UTF-8 cut off": b'{"prompt": "\xe2\x82", "response_a": "x", "response_b": "y"}',
    "surrogates in UTF-8": b'{"prompt": "\xed\xa0\x80", "response_a": "x", "response_b": "y"}',
    "Latin-1": '{"prompt": "für"}'.encode("latin-1"),
    "UTF-16": json.dumps(BATTLE).encode("utf-16"),
    "zero bytes": b"\0" * 1000,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "deep lists": b"[" * 100_000,
    "deep lists that end": b"[" * 50_000 + b"]" * 50_000,
    "deep objects": b'{"prompt":' * 50_000,
    "a deep field": b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b', "response_a": "x", "response_b": "y"}',
    "NaN": b'{"prompt": NaN, "response_a": "x", "response_b": "y"}',
    "Infinity": b'{"prompt": "x", "response_a": "x", "response_b": "y", "weight": Infinity}',
    "an unescaped line break": b'{"prompt": "x\ny", "response_a": "x", "response_b": "y"}',
    "a broken escape": b'{"prompt": "\\u12", "response_a": "x", "response_b": "y"}',
}
LISTS = ("battles", "candidates", "games")
ODD_NUMBERS = ["1e999", "-1e999", "1" * 5000, "1" * 100_000, "0." + "1" * 100_000, "1e-999", "-0", "1E400", "00", "+1"]


@pytest.mark.parametrize("route", GOOD)
def test_bodies_that_are_not_json(http: httpx.Client, route: str) -> None:
    for name, content in NO_JSON.items():
        answer = http.post(route, content=content, headers=JSON)
        refused(answer, 422 if name == "a deep field" and answer.status_code == 422 else 400)


@pytest.mark.parametrize("route", GOOD)
def test_odd_numbers_anywhere_are_refused_or_ignored(http: httpx.Client, route: str) -> None:
    good, fields = json.dumps(GOOD[route]), ("prompt", "id", "weight", "judge", "explain", *LISTS, "winner")
    for number, field in itertools.product(ODD_NUMBERS, fields):
        answer = http.post(route, content=good[:-1] + f', "{field}": {number}}}', headers=JSON)
        assert answer.status_code in (200, 400, 422), (number[:9], field, answer.text[:300])
        if answer.status_code != 200:
            refused(answer, answer.status_code)


@pytest.mark.parametrize("route", ["/v1/compare", "/v1/compare/batch", "/v1/rerank"])
def test_odd_characters_in_texts_are_answered(http: httpx.Client, route: str) -> None:
    for text in (r"\ud800", r"\udc00x", r"\ud83d\ude00", r"\u0000", r"\ud83d", r"\uffff\ufeff", "😀"):
        content = json.dumps(GOOD[route]).replace("No idea.", f"No {text} idea.")
        answer = http.post(route, content=content.encode(), headers=JSON)
        assert answer.status_code == 200, (text, answer.text)
        json.dumps(answer.json(), ensure_ascii=False).encode()


def test_odd_characters_in_names_are_returned_as_unicode(http: httpx.Client) -> None:
    content = BODY[:-1] + rb', "id": "a\ud800b"}'
    assert http.post("/v1/compare", content=content, headers=JSON).json()["id"] == "a\ufffdb"
    for field in ("judge", "order", r"\ud800", r"\u0000"):
        refused(http.post("/v1/compare", content=BODY[:-1] + rb', "%b": "\ud800"}' % field.encode(), headers=JSON), 422)


def test_the_last_of_duplicate_keys_counts(http: httpx.Client) -> None:
    twice = BODY[:-1] + b', "id": "1", "id": "2"}'
    assert http.post("/v1/compare", content=twice, headers=JSON).json()["id"] == "2"


@pytest.mark.parametrize("route", GOOD)
def test_three_megabytes_in_chunks_are_refused(http: httpx.Client, route: str) -> None:
    text = b'"' + b"x" * 99_998 + b'",'
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # it may close the door while we still speak
        answer = http.post(route, content=iter([b"[", *[text] * 30, b"1]"]), headers=JSON)
        refused(answer, 413)
    text = b"x" * 2_100_000
    refused(http.post(route, content=b'{"prompt": "' + text + b'"}', headers=JSON), 413)


def test_a_body_just_under_the_limit_is_read(http: httpx.Client) -> None:
    shell = json.dumps(BATTLE | {"response_b": ""}).encode()
    for size, status in ((2_000_000, 200), (2_000_001, 413)):
        content = shell.replace(b'"response_b": ""', b'"response_b": "' + b"x " * 10**6)[: size - 2] + b'"}'
        assert http.post("/v1/compare", content=content, headers=JSON).status_code == status
