from collections.abc import Callable

import pytest
from tests.serving.page.visit import Visit

Open = Callable[..., Visit]
SCHEMES = ["light", "dark"]


def written(page: Visit) -> None:
    page.button("Two turns").click()


def show_errors(page: Visit) -> None:
    page.button("Clear").click()
    page.button("Compare").click()
    page.wait_for_text("#form-problem", "missing")


def offered(page: Visit) -> None:
    page["#view-file summary"].click()
    page.button("Use the sample").click()
    page.button("Predict 16 pairs").wait_for()


def refused(page: Visit) -> None:
    page.choose("wrong.csv", "a,b\n1,2\n")
    page.wait_for_text("#file-problem", "no column")


def finished(page: Visit) -> None:
    page.choose("torn.csv", "prompt,response_a,response_b,model_a,model_b,winner\n" + "Hi,a,b,m,n,a\n" * 3 + "Hi,a\n")
    page.button("Predict 3 pairs").click()
    page.page.get_by_text("Leaderboard by predictions").wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_in_the_comparison(visit: Open, axe: str, scheme: str) -> None:
    page = visit("#compare", color_scheme=scheme, reduced_motion="reduce")
    assert page.violations(axe) == []
    written(page)
    page.compare()
    page["#result summary"].click()
    assert page.violations(axe) == []
    show_errors(page)
    assert page.violations(axe) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_in_the_file_view(visit: Open, axe: str, scheme: str) -> None:
    page = visit("#file", color_scheme=scheme, reduced_motion="reduce")
    assert page.violations(axe) == []
    for state in (offered, refused, finished):
        state(page)
        assert page.violations(axe) == [], state.__name__


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_while_a_file_is_predicted(visit: Open, axe: str, scheme: str) -> None:
    page = visit("#file", color_scheme=scheme)
    busy = {"status": 429, "headers": {"Retry-After": "20"}, "json": {"error": {"message": "later", "errors": []}}}
    page.answer("v1/compare/batch", busy)
    page.choose("one.csv", "prompt,response_a,response_b\nHi,a,b\n")
    page.button("Predict 1 pair").click()
    page.page.locator(".progress p", has_text="busy").wait_for()
    assert page.violations(axe) == []


def test_axe_finds_nothing_while_judges_load(visit: Open, axe: str) -> None:
    page = visit()
    loading = {"status": 503, "headers": {"Retry-After": "5"}, "json": {"error": {"message": "x", "errors": []}}}
    page.answer("v1/judges", *[loading] * 100)
    page.page.reload()
    page.wait_for_text("#banner", "being loaded")
    assert page.violations(axe) == []


def test_both_schemes_have_their_colours(visit: Open) -> None:
    paper = [
        visit(color_scheme=scheme)["body"].evaluate("e => getComputedStyle(e).backgroundColor") for scheme in SCHEMES
    ]
    assert paper == ["rgb(255, 255, 255)", "rgb(21, 25, 30)"]


@pytest.mark.parametrize("width", [320, 768])
def test_nothing_is_wider_than_the_screen(visit: Open, width: int) -> None:
    page = visit(viewport={"width": width, "height": 640})
    page.write("word" * 200, "x" * 3000, "https://example.invalid/" + "y" * 500)
    page.compare()
    page["#result summary"].click()
    assert page.wider_than_screen() == []
    page.page.goto(f"{page.url}/#file")
    for state in (offered, refused, finished):
        state(page)
        assert page.wider_than_screen() == []


def test_motion_is_left_out_where_it_is_not_wanted(visit: Open) -> None:
    page = visit(reduced_motion="reduce")
    written(page)
    page.compare()
    times = page[".verdict .part"].first.evaluate("e => getComputedStyle(e).transitionDuration")
    assert times == "0s"


def test_an_address_that_names_no_view_shows_the_first(visit: Open) -> None:
    page = visit("#constructor")
    assert page["#view-compare"].is_visible() and not page["#view-file"].is_visible()
