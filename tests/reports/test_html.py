"""Test pages: well-formed, offline, without scripts, escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reports.pages import Page, document, page_of

from votecast.errors import ArtifactError
from votecast.metrics import Figure
from votecast.reports.document import Chart, Series
from votecast.reports.html import render, write_page
from votecast.reports.page_format import (
    LONGEST,
    make_visible,
    shorten,
    show_cell,
    show_rows,
    show_tick,
    significant_decimals,
)

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title></svg></textarea></div><h1>gone</h1>",
    "\"><img src=x onerror=alert(1)> ' onload='alert(1)",
    "<!-- <![CDATA[ ]]> -->",
    "&lt;b&gt; &amp; {{ 7 * 7 }} {% raw %}",
    "javascript:alert(1) https://example.com/a.png",
    "lone \ud83d surrogate, nul \x00, escape \x1b[31m, C1 \x9b, next line \x85",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \ufffe\uffff",
    "line\r\nends\rof all\nkinds\u2028and\u2029two more",
    "مرحبا بالعالم 你好 👩‍👩‍👧‍👦 e\u0301",
    "",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_page_stays_whole_whatever_its_texts_hold(text: str) -> None:
    page = Page(render(document(text)))
    plain = Page(render(document("words")))
    assert page.faults == []
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {"td"}
    assert len(page.all("article")) == len(plain.all("article")) == 4
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


@settings(max_examples=25)
@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_can_be_written(text: str) -> None:
    source = render(document(text))
    source.encode("utf-8")
    assert Page(source).faults == []
    assert make_visible(text).strip() in "".join(Page(source).words) or not make_visible(text).strip()


def test_texts_are_shown_as_they_are() -> None:
    text = "<b>5 & 6</b> \"quoted\" 'single' {{ x }}"
    page = Page(render(document(text)))
    assert text in page.words
    assert page.all("b") == []


def test_control_characters_and_turns_of_direction_are_shown_and_not_obeyed() -> None:
    source = render(document("a\x00b\x1b[1m\u202egnp\x9b \ud83d"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e]", source)
    assert "a\u2400b\u241b[1m[U+202E]gnp[U+009B] \ufffd" in source


def test_pages_load_nothing_external_and_run_no_script() -> None:
    page = Page(render(document("https://example.com http://example.com")))
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "embed", "form"} == set()
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "xlink:href", "style", "action", "data"} & set(attributes), tag
        assert attributes.get("href", "#").startswith("#")
        assert all("http" not in value for name, value in attributes.items() if name != "aria-label"), attributes
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)
    assert style and not re.search(r"url\(|@import|http|expression", style[1])


def test_the_policy_allows_this_very_style_and_nothing_else() -> None:
    page = Page(render(document()))
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", page.source, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "script-src" not in policy
    assert page.source.index("Content-Security-Policy") < page.source.index("<style>")


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_page(document(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_anchors_are_unique_and_what_refers_to_them_finds_them() -> None:
    page = Page(render(document()))
    assert len(set(page.ids)) == len(page.ids)
    referred = [name for _, attributes in page.elements for name in attributes.get("aria-labelledby", "").split()]
    referred += [a["href"].removeprefix("#") for a in page.all("a")]
    assert set(referred) <= set(page.ids) and len(referred) > 10


def test_a_page_can_be_read_without_seeing_it() -> None:
    page = Page(render(document("words")))
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("a")[0]["href"] == "#content"
    pictures = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert pictures and all(svg["role"] == "img" and svg["aria-labelledby"] for svg in pictures)
    assert all(heading["scope"] in ("col", "row") for heading in page.all("th"))
    assert all(table["aria-labelledby"] for table in page.all("table"))
    assert page.text.count("Warning") == 1 and page.text.count("Good") == 1


def test_a_chart_describes_its_numbers_in_text() -> None:
    series = Series("votes", ["a wins", "b wins"], [120.0, 80.0])
    page = Page(render(page_of(Chart("bars", "Votes by outcome", "votes", "", [series]))))
    assert "votes. a wins: 120; b wins: 80." in page.text
    reliability = Chart(
        "reliability", "R", "forecast", "came true", [Series("judge", [0.1, 0.9], [0.2, 0.7])], percent=True
    )
    assert "came true against forecast. judge: 2 points from 0.100 to 0.900, 20.0% to 70.0%." in render(
        page_of(reliability)
    )


def test_long_texts_are_truncated_and_the_page_reports_it() -> None:
    page = Page(render(page_of(text="x" * 1_000_000)))
    assert "994,000 more characters are not shown" in page.text
    assert len(page.source) < 60_000
    assert len(render(document("long " * 200_000))) < 1_000_000
    assert shorten("z" * LONGEST) == ("z" * LONGEST, "")


def test_a_long_chart_becomes_several_pictures_for_printed_pages() -> None:
    names = [f"model {number}" for number in range(100)]
    page = Page(render(page_of(Chart("dots", "Scores", "score", "", [Series("", names, list(range(100)))]))))
    assert len(page.all("svg")) == 3
    assert max(float(svg["viewbox"].split()[3]) for svg in page.all("svg")) < 1000


@pytest.mark.parametrize("kind", ["bars", "dots", "lines", "scatter", "reliability"])
@pytest.mark.parametrize(
    "values",
    [[], [0.5], [0.0, 0.0], [float("nan"), 1.0], [float("nan")], [-3.0, 1e9], [1e-12, 2e-12], [float("inf"), 1.0]],
)
def test_charts_of_odd_numbers_are_drawn_inside_their_frame(kind: str, values: list[float]) -> None:
    names = [str(number) for number in range(len(values))]
    x = names if kind in ("bars", "dots") else list(range(len(values)))
    for log in (False, True):
        chart = Chart(kind, "t", "x", "y", [Series("s", x, values, values, values)], mark=0.5, log_x=log)
        page = Page(render(page_of(chart)))
        assert page.faults == []
        frame = [float(number) for number in page.all("svg")[0]["viewbox"].split()]
        for _, attributes in page.elements:
            for name, most in (("x", frame[2]), ("x2", frame[2]), ("cx", frame[2]), ("y", frame[3]), ("cy", frame[3])):
                if name in attributes:
                    assert 0 <= float(attributes[name]) <= most


def test_names_in_charts_stay_inside_with_full_titles() -> None:
    name = "a-model-with-a-name-that-nobody-can-read-in-one-breath-" * 4
    page = Page(render(page_of(Chart("bars", "t", "x", "", [Series("s", [name, "b"], [1.0, 2.0])]))))
    drawn = [word for word in page.words if word.startswith("a-model") and word.endswith("\u2026")]
    assert drawn and min(map(len, drawn)) < 60
    assert any(word.startswith(name[:100]) for word in page.words)


def test_numbers_have_the_digits_that_mean_something() -> None:
    assert show_cell(Figure(0.98765, 0.9712, 1.0041)) == show_cell(Figure(0.98765, 0.9712, 1.0041), decimals=3)
    assert show_cell(Figure(1043.2, 1011.9, 1075.1)).text == "1,043"
    assert show_cell(Figure(0.5, 0.5, 0.5)).text == "0.500"
    assert show_cell(Figure(float("nan"), float("nan"), float("nan"))).text == ""
    assert show_cell(-0.0001, decimals=2).text == "0.00"
    assert show_cell(-0.25).text == "\u22120.250"
    assert show_cell(0.0003, percent=True).text == "0.030%"
    assert [show_tick(value, 0.025) for value in (0.0, 0.025, -0.05)] == ["0.000", "0.025", "\u22120.050"]
    assert significant_decimals(1e-30) == 6
    cells = [Figure(0.12, 0.05, 0.19), Figure(-0.0964, float("nan"), float("nan"))]
    rows, _ = show_rows(["", "saved"], [["wide", cells[0]], ["untested", cells[1]]])
    assert [row[1].text for row in rows] == ["0.12", "\u22120.10"]


def test_a_column_of_mixed_cells_is_text() -> None:
    rows, _ = show_rows(["name", "value"], [["models", 3], ["family", "baseline"], ["empty", None]])
    assert [row[1].number for row in rows] == [False, False, False]
    rows, _ = show_rows(["name", "value"], [["models", 3], ["empty", None]])
    assert rows[0][1].number


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(ArtifactError, match="--overwrite"):
        write_page(document(), path)
    assert path.read_text() == "mine"
    write_page(document(), path, overwrite=True)
    assert path.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_print_gets_light_colours_and_whole_texts() -> None:
    style = re.search(r"<style>(.*?)</style>", render(document()), re.DOTALL)
    assert style
    dark, printed = style[1].index("prefers-color-scheme:dark"), style[1].index("@media print")
    assert style[1][:dark].endswith("@media screen and (")
    assert ".text{max-height:none" in style[1][printed:]
    assert style[1].count("{") == style[1].count("}")


def test_colours_have_contrast() -> None:
    style = render(document())
    light = _colours(style[style.index(":root{") : style.index("@media screen")])
    dark = light | _colours(style[style.index("@media screen") : style.index("*{box-sizing")])
    for colours in (light, dark):
        for name in ("ink", "soft", "link", "good", "note", "warn"):
            for ground in ("paper", "box"):
                assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert _contrast(colours["warn"], colours["warnbox"]) >= 4.5
        assert all(_contrast(colours[f"s{number}"], colours["paper"]) >= 3 for number in range(6))


def _colours(style: str) -> dict[str, str]:
    return {name: _six(value) for name, value in re.findall(r"--(\w+):#([0-9a-f]{3,6})", style)}


def _six(value: str) -> str:
    return value if len(value) == 6 else "".join(2 * digit for digit in value)


def _contrast(one: str, two: str) -> float:
    """Return the WCAG 2.2 contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(one), luminance(two)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
