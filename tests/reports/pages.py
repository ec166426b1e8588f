"""Parse pages like a browser, and make complete documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

from votecast.metrics import Figure
from votecast.reports.document import Chart, Document, Metric, Remark, Series
from votecast.reports.html import make_environment, render

VOID = {"meta", "br", "hr", "img", "link", "input"}
ALONE = {"line", "rect", "circle", "path"}


@dataclass
class Page(HTMLParser):
    """Elements, text and nesting errors of one page."""

    source: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.feed(self.source)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if len(dict(attrs)) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag in ALONE:
            self.handle_endtag(tag)
        elif tag not in VOID:
            self.faults.append(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """Return all visible or announced text."""
        return "\n".join(self.words)

    @property
    def ids(self) -> list[str]:
        """Return the anchors in order."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of every element of this kind."""
        return [attributes for name, attributes in self.elements if name == tag]


ITEMS = """
{% from "items.html" import section, table, chart, heatmap, example with context %}
{% for key in keys %}
{% call section(key, text) %}
<p dir="auto">{{ text }}</p>
<div class="items">
{% if rows %}
{{ table([text, "count", "number", "figure"], rows, text, ["figure"]) }}
{{ heatmap(text, names, names, [[0.5, none, 1.0], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], 0.5) }}
{% endif %}
{% for c in charts %}
{{ chart(c.kind, c.title, c.series, c.x_label, c.y_label, c.mark, c.log_x, c.percent) }}
{% endfor %}
{{ example(text, [(text, text)], text, [(text, text), (text, text)]) }}
</div>
{% endcall %}
{% endfor %}
"""


TEMPLATE = make_environment().from_string(ITEMS)


def document(text: str = "words") -> Document:
    """Return a document with every kind of item and one text."""
    names = [f"{text} {number}" for number in range(3)]
    numbers, low, high = [0.2, 0.4, 0.9], [0.1, 0.3, 0.8], [0.3, 0.5, 0.95]
    named = Series(text, names, numbers, low, high)
    drawn = Series(text, numbers, numbers, low, high, names)
    charts = [
        *(Chart(kind, text, text, text, [named, named], mark=0.5, percent=True) for kind in ("bars", "dots")),
        *(Chart(kind, text, text, text, [drawn, drawn]) for kind in ("lines", "scatter", "reliability")),
    ]
    rows = [[text, 1234567, 0.12345, Figure(0.61234, 0.5811, 0.6423)], [None, 0, 0.5, Figure(0.5, 0.4, 0.6)]]
    values = {"keys": ["one", "two", "two", "content"], "text": text, "rows": rows, "charts": charts, "names": names}
    remarks = [Remark("good", text), Remark("note", text), Remark("warning", text)]
    metrics = [Metric(text, Figure(0.61234, 0.5811, 0.6423), text, percent=True), Metric(text, 7)]
    return Document(text, text, metrics, remarks, [(text, text)], TEMPLATE, values)


def page_of(*charts: Chart, text: str = "t") -> Document:
    """Return a one-section document with charts and an example."""
    values = {"keys": ["one"], "text": text, "rows": [], "charts": charts}
    return Document("t", "", [], [], [], TEMPLATE, values)


def sections_of(page: Document) -> dict[str, ET.Element]:
    """Return the sections of a page by anchor, in order."""
    source = render(page)
    main = ET.fromstring(source[source.index("<main") : source.index("</main>") + len("</main>")])
    return {each.attrib["aria-labelledby"]: each for each in main.findall("section") if "class" not in each.attrib}


def words_of(element: ET.Element) -> str:
    """Return all words of an element."""
    return "\n".join(part.strip() for part in element.itertext() if part.strip())


def tables_of(element: ET.Element) -> list[list[list[str]]]:
    """Return the cells of every table, headings first."""
    return [
        [[" ".join(words_of(cell).split("\n")) for cell in row] for row in table.iter("tr")]
        for table in element.iter("table")
    ]


def charts_of(element: ET.Element) -> Mapping[str, ET.Element]:
    """Return the charts by title."""
    return {words_of(figure.find("figcaption")): figure for figure in element.iter("figure")}
