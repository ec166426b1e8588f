"""The findings of a page as texts in a YAML file of `templates`, with their values in braces.

Every page module loads its own with `load_texts`, and fills the values in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from votecast.reports.document import Level, Remark


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
        found: Any = self._texts
        for part in key.split("."):
            found = found[part]
        return str(found).format(**values)

    def names(self, key: str) -> dict[str, str]:
        """Return the texts under one key, by name."""
        return dict(self._texts[key])

    def remark(self, level: Level, key: str, **values: object) -> Remark:
        """Return a finding of the summary."""
        return Remark(level, self(f"findings.{key}", **values))


@cache
def load_texts(page: str) -> PageTexts:
    """Load the texts of a page: audit, votes, leaderboard or cascade."""
    return PageTexts(yaml.safe_load((files("votecast.reports") / "templates" / f"{page}.yaml").read_text("utf-8")))
