from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.serving.page.visit import Visit
from tests.serving.running import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Open = Callable[..., Visit]

HOSTILE = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>{{7*7}}"


def request_of(page: Visit) -> dict[str, Any]:
    """Compare; return the request of the page."""
    with page.page.expect_request("**/v1/compare") as sent:
        page.compare()
    found: dict[str, Any] = sent.value.post_data_json
    return found


def test_a_comparison_shows_the_answer_of_the_service(visit: Open, http: httpx.Client) -> None:
    page = visit()
    page.write("Name a colour.", "Blue, like the sea.", "I cannot say.")
    shown = page.compare()
    body = {"prompt": "Name a colour.", "response_a": "Blue, like the sea.", "response_b": "I cannot say."}
    answer = http.post("/v1/compare", json=body | {"explain": True}).json()
    p = answer["probabilities"]
    assert "Answer A is" in shown and answer["decision"] == "a"
    for key in ("a", "b", "tie"):
        share = page[f".verdict .shares .{key} dd"].inner_text()
        assert abs(int(share.rstrip("%")) - 100 * p[key]) < 1
    assert sum(int(text.rstrip("%")) for text in page[".verdict .shares dd"].all_inner_texts()) == 100
    assert answer["judge"]["hash"] in shown
    assert answer["reasons"][0]["name"] in shown and answer["reasons"][0]["text"] in shown
    assert "does not affect this judge" in shown and "reads whole texts" in shown
    assert page["#announcement"].inner_text().startswith("Answer A is")
    assert page["#stale"].is_hidden()
    page["#a-1"].fill("Red.")
    assert page["#stale"].is_visible()
    page.compare()
    page["#stale"].wait_for(state="hidden")


def test_the_page_works_with_the_keyboard(visit: Open) -> None:
    page = visit()
    keys = page.page.keyboard
    keys.press("Tab")
    assert page[":focus"].inner_text() == "Skip to the content"
    keys.press("Enter")
    reached = []
    while "prompt-1" not in reached:
        assert len(reached) < 12, reached
        keys.press("Tab")
        reached.append(page[":focus"].get_attribute("id") or page[":focus"].inner_text())
        assert page[":focus"].evaluate("e => getComputedStyle(e).outlineStyle") != "none"
    assert reached[0] == "judge"
    for text in ("Why?", "Because it is so, and for a reason.", "No."):
        keys.type(text)
        keys.press("Tab")
    assert page[":focus"].inner_text() == "Compare"
    keys.press("Enter")
    page["#result"].wait_for()
    keys.press("Shift+Tab")
    keys.type(" Never.")
    with page.page.expect_response("**/v1/compare") as answered:
        keys.press("Control+Enter")
    assert answered.value.request.post_data_json["response_b"] == "No. Never."


def test_turns_are_added_and_removed(visit: Open) -> None:
    page = visit()
    page.write("One?", "First a", "First b")
    page.button("Add a turn").click()
    assert page[":focus"].get_attribute("id") == "prompt-2"
    page.write("Two?", "Second a", "Second b", turn=2)
    assert request_of(page)["response_a"] == ["First a", "Second a"]
    page.button("Swap A and B").click()
    assert page["#a-2"].input_value() == "Second b"
    assert page["#result"].is_hidden()
    page.button("Remove turn 1").click()
    assert page["#prompt-1"].input_value() == "Two?"
    assert request_of(page)["prompt"] == "Two?"
    page.button("Clear").click()
    assert page["#prompt-1"].input_value() == "" and page["#result"].is_hidden()


def test_every_example_is_compared(visit: Open) -> None:
    page = visit()
    for example in page["#examples button"].all():
        example.click()
        assert "100 voters" in page.compare()
        page.button("Clear").click()


def test_empty_fields_are_named_beside_the_field(visit: Open) -> None:
    page = visit()
    page["#prompt-1"].fill("Why?")
    page.button("Compare").click()
    assert page["#a-1-problem"].inner_text() == "Write answer A, or paste it here."
    assert page["#a-1"].get_attribute("aria-invalid") == "true"
    assert page["#a-1"].get_attribute("aria-describedby") == "a-1-problem"
    assert page[":focus"].get_attribute("id") == "a-1"
    assert "missing" in page["#form-problem"].inner_text()
    assert page["#prompt-1-problem"].inner_text() == ""
    page["#a-1"].fill("So.")
    assert page["#a-1-problem"].inner_text() == ""


def test_an_error_of_the_service_stands_beside_its_field(visit: Open) -> None:
    page = visit()
    faults = [{"path": "response_b.0", "message": "is of the wrong kind"}, {"path": "judge", "message": "is unknown"}]
    error = {"error": {"type": "unfit", "message": "no", "errors": faults}}
    page.answer("v1/compare", {"status": 422, "json": error})
    page.write("Why?", "So.", "No.")
    page.button("Compare").click()
    page.wait_for_text("#b-1-problem", "is of the wrong kind")
    assert "judge: is unknown" in page["#form-problem"].inner_text()
    assert "100 voters" in page.compare()
    assert page["#b-1-problem"].inner_text() == "" and page["#form-problem"].inner_text() == ""


@pytest.mark.parametrize(
    ("status", "words"), [(413, "longer than a request may be"), (504, "took too long"), (401, "needs its key")]
)
def test_other_refusals_are_explained(visit: Open, status: int, words: str) -> None:
    page = visit()
    page.answer("v1/compare", {"status": status, "json": {"error": {"message": "x", "errors": []}}})
    page.write("Why?", "So.", "No.")
    page.button("Compare").click()
    page.wait_for_text("#form-problem", words)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_after_its_own_time(visit: Open, status: int) -> None:
    page = visit()
    busy = {"status": status, "headers": {"Retry-After": "1"}, "json": {"error": {"message": "later", "errors": []}}}
    page.answer("v1/compare", busy)
    page.write("Why?", "Because it is so.", "No.")
    page.button("Compare").click()
    page.wait_for_text("#form-status", "Trying again in 1 s")
    page["#result"].wait_for()
    assert page["#form-problem"].inner_text() == ""


def test_judges_that_load_are_waited_for(visit: Open, service: Service) -> None:
    page = visit()
    loading = {"status": 503, "headers": {"Retry-After": "1"}, "json": {"error": {"message": "x", "errors": []}}}
    page.answer("v1/judges", loading)
    page.page.reload()
    page.wait_for_text("#banner", "being loaded")
    page["#judge:not([disabled])"].wait_for()
    page["#banner"].wait_for(state="hidden")


def test_a_service_that_is_gone_is_reported(visit: Open, start: Callable[..., Service]) -> None:
    gone = start("--judge", "bundled:baseline", "--workers", "1").ready()
    page = visit(url=gone.url)
    page.write("Why?", "So.", "No.")
    gone.kill()
    page.button("Compare").click()
    page.wait_for_text("#form-problem", "cannot be reached")
    page.trouble.clear()


def test_hostile_text_is_shown_as_text(visit: Open) -> None:
    page = visit()
    page.write(HOSTILE, HOSTILE, "</textarea>" + HOSTILE)
    assert request_of(page)["prompt"] == HOSTILE
    page["#result summary"].click()
    assert "<script>window.hit" in page["#result pre"].first.inner_text()
    assert page["#result img, #result script"].count() == 0
    assert page.page.evaluate("window.hit") is None


def test_a_name_of_a_judge_is_shown_as_text(visit: Open) -> None:
    page = visit()
    judge = {"name": HOSTILE, "title": HOSTILE, "hash": "0" * 64, "family": HOSTILE, "figures": {}}
    page.answer("v1/judges", {"status": 200, "json": {"judges": [judge]}})
    page.page.reload()
    page.wait_for_text("#judge-facts", "<img")
    assert page["#judge option"].inner_text() == HOSTILE
    assert page.page.evaluate("window.hit") is None


def test_the_lead_is_put_in_words(visit: Open) -> None:
    page = visit()
    prediction = {
        "id": "0",
        "probabilities": {"a": 0.43, "b": 0.19, "tie": 0.38},
        "decision": "a",
        "judge": {"name": "baseline", "hash": "ab" * 32},
        "cut": None,
        "orders": None,
        "reasons": [
            {"name": "Length", "text": "Long.", "effect": 0.3},
            {"name": "Code", "text": "No.", "effect": -0.06},
        ],
    }
    judge = {"name": "baseline", "title": "my own <b>", "hash": "ab" * 32, "family": "baseline", "figures": {}}
    page.answer("v1/judges", {"status": 200, "json": {"judges": [judge]}})
    page.answer("v1/compare", {"status": 200, "json": prediction})
    page.page.reload()
    page.write("Why?", "So.", "No.")
    shown = page.compare()
    assert "Answer A is narrowly ahead of a tie" in shown
    assert "answer A is 24.0 points ahead of answer B, without ties." in shown
    assert f"Judge baseline (my own <b>), hash {'ab' * 32}" in shown


def test_truncation_and_position_bias_are_shown(visit: Open) -> None:
    page = visit()
    prediction = {
        "id": "0",
        "probabilities": {"a": 0.2, "b": 0.2, "tie": 0.6},
        "decision": "tie",
        "judge": {"name": "mine", "hash": "ab" * 32},
        "cut": {"rows": 1, "rows_cut": 1, "kept": {"prompt": 1.0, "a": 0.999, "b": 0.25}},
        "orders": {"given": {"a": 0.3, "b": 0.1, "tie": 0.6}, "swapped": {"a": 0.1, "b": 0.3, "tie": 0.6}},
        "reasons": None,
    }
    page.answer("v1/compare", {"status": 200, "json": prediction})
    page.write("Why?", "So.", "No.")
    shown = page.compare()
    assert "A tie is expected" in shown
    assert "all of the prompt, 99% of answer A and 25% of answer B" in shown
    assert "matters by up to 20.0 points" in shown
    assert "gives no reasons" in shown


def test_a_service_with_a_key_asks_for_it_as_a_password(
    browser: Browser, start: Callable[..., Service], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("a-key-of-some-length")
    words = ("--judge", "bundled:baseline", "--workers", "1", "--api-key-file", tmp_path / "key")
    guarded = start(*words, key="a-key-of-some-length").ready()
    page = Visit(browser, guarded.url, http_credentials={"username": "me", "password": "a-key-of-some-length"})
    page.button("Código").click()
    assert "100 voters" in page.compare()
    page.context.close()
    page.trouble = [answer for answer in page.trouble if "status of 401" not in answer]
    page.check()
