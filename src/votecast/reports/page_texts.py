"""The texts of a page: titles, paragraphs, captions and findings from a YAML file in `templates`.

Every page module loads its own with `load_texts`, and fills the values in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from votecast.reports.document import Cell, Chart, Item, Remark, Section, Series, Table


class PageTexts:
    """Texts by dotted key, with their values in braces as `str.format` reads them.

    Args:
        texts: The parsed YAML file.

    Example:
        >>> PageTexts({"findings": {"few": "Only {rows:,} rows"}})("findings.few", rows=1200)
        'Only 1,200 rows'
    """

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self._texts = texts

    def __call__(self, key: str, **values: object) -> str:
        """Return one text with its values."""
        return str(self.find(key)).format(**values)

    def find(self, key: str) -> Any:
        """Return whatever stands under a dotted key, as it stands."""
        found: Any = self._texts
        for part in key.split("."):
            found = found[part]
        return found

    def remark(self, level: Literal["good", "note", "warning"], key: str, **values: object) -> Remark:
        """Return a finding of the summary."""
        return Remark(level, self(f"findings.{key}", **values))

    def section(self, key: str, items: Sequence[Item] = (), more: Sequence[str] = (), **values: object) -> Section:
        """Return a section with its title and paragraphs.

        Args:
            key: Its key below "sections", and its anchor.
            items: What is shown.
            more: Further paragraphs.
            **values: Values of the paragraphs.
        """
        texts = self.find(f"sections.{key}")
        paragraphs = [paragraph.format(**values) for paragraph in texts.get("text", ())]
        return Section(key.replace("_", "-"), texts["title"], [*paragraphs, *more], items)

    def short_section(self, key: str, text: str) -> Section:
        """Return a section with one paragraph that stands in for the others."""
        return Section(key.replace("_", "-"), self(f"sections.{key}.title"), [self(f"sections.{key}.{text}")])

    def table(
        self, key: str, rows: Sequence[Sequence[Cell]], columns: Sequence[str] | None = None, **values: object
    ) -> Table:
        """Return a table with its caption and, unless others are given, its columns."""
        texts = self.find(f"sections.{key}")
        caption = texts.get("caption", "").format(**values)
        return Table(columns or texts["columns"], rows, caption, frozenset(texts.get("percent", ())))

    def chart(
        self, key: str, series: Sequence[Series], mark: float | None = None, log_x: bool = False, **values: object
    ) -> Chart:
        """Return a chart with its kind, title and labels."""
        texts = {"y_label": "", "mark": mark, "log_x": log_x} | self.find(f"sections.{key}")
        filled = {name: text.format(**values) for name, text in texts.items() if name in ("title", "x_label")}
        return Chart(series=series, **texts | filled)


@cache
def load_texts(page: str) -> PageTexts:
    """Load the texts of a page.

    Args:
        page: Its name: audit, votes, leaderboard or cascade.
    """
    return PageTexts(yaml.safe_load((files("votecast.reports") / "templates" / f"{page}.yaml").read_text("utf-8")))
