"""The contests whose submissions a pack writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ContestName = Literal["lmsys", "wsdm"]


@dataclass(frozen=True)
class Contest:
    """A contest.

    Args:
        title: What it is called.
        format: How votecast calls its submissions.
        test: Name of its test file.
        word: What the path of its folder holds.
    """

    title: str
    format: ContestName
    test: str
    word: str


CONTESTS: dict[ContestName, Contest] = {
    "lmsys": Contest("LMSYS - Chatbot Arena Human Preference Predictions", "lmsys", "test.csv", "lmsys"),
    "wsdm": Contest("WSDM Cup - Multilingual Chatbot Arena", "wsdm", "test.parquet", "wsdm"),
}
"""By name."""
