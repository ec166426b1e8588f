"""Test that every layout on the page of file formats is read as the page says, and that the page has every format."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import readme

from votecast.data import read_votes
from votecast.data.formats import FORMATS

PAGE = readme.ROOT / "docs" / "reference" / "file-formats.md"


def test_every_layout_of_the_page_is_read(tmp_path: Path) -> None:
    shown = set()
    for _, title, content in readme.blocks(PAGE.read_text("utf-8")):
        if title is None:
            continue
        path = tmp_path / title
        path.write_text(content, "utf-8")
        name = path.stem.partition("-")[0]
        battles = read_votes(path, ranking=name == "names")
        assert battles.report is not None
        assert battles.report.format == name, title
        assert battles.labelled.all(), title
        assert len(battles) >= len(content.splitlines()) - 2, title
        shown.add(name)
    assert shown == {*FORMATS, "names"}
