"""Pages read back as a browser would, and a document with everything a page can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from votecast.metrics import Figure
from votecast.reports.document import Chart, Document, Example, Heatmap, Metric, Remark, Section, Series, Table

VOID = {"meta", "br", "hr", "img", "link", "input"}
ALONE = {"line", "rect", "circle", "path"}


@dataclass
class Page(HTMLParser):
    """One page: its elements, its text, and what is wrong with its nesting."""

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
        """Everything a reader can see or is read out."""
        return "\n".join(self.words)

    @property
    def ids(self) -> list[str]:
        """The anchors, in order."""
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of this kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def document(text: str = "words") -> Document:
    """A document with every kind of item, all of whose texts are this one."""
    names = [f"{text} {number}" for number in range(3)]
    numbers, low, high = [0.2, 0.4, 0.9], [0.1, 0.3, 0.8], [0.3, 0.5, 0.95]
    named = Series(text, names, numbers, low, high)
    drawn = Series(text, numbers, numbers, low, high, names)
    charts = [
        *(Chart(kind, text, text, text, [named, named], mark=0.5, percent=True) for kind in ("bars", "dots")),
        *(Chart(kind, text, text, text, [drawn, drawn]) for kind in ("lines", "scatter", "reliability")),
    ]
    rows = [[text, 1234567, 0.12345, Figure(0.61234, 0.5811, 0.6423)], [None, 0, 0.5, Figure(0.5, 0.4, 0.6)]]
    items = [
        Table([text, "count", "number", "figure"], rows, text, frozenset({"figure"})),
        *charts,
        Heatmap(text, names, names, [[0.5, None, 1.0], [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]], middle=0.5),
        Example(text, [(text, text)], (text, text), [(text, text), (text, text)]),
    ]
    remarks = [Remark("good", text), Remark("note", text), Remark("warning", text)]
    sections = [Section(key, text, [text], items) for key in ("one", "two", "two", "content")]
    metrics = [Metric(text, Figure(0.61234, 0.5811, 0.6423), text, percent=True), Metric(text, 7)]
    return Document(text, text, remarks, [(text, text)], sections, metrics)
