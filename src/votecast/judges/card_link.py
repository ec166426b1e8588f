"""What the card of a judge says of its link from scores to votes: whether it was fitted, on how much, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(link: Mapping[str, Any], scores: Mapping[str, Any] | None) -> list[str]:
    """A few lines of Markdown.

    Args:
        link: A `votecast.calibration.link.Link` as a dict.
        scores: What is known of the scores it was fitted on, if they came from a file.

    Example:
        >>> link = {"method": "davidson", "parameters": {"scale": 1.0}, "intervals": {}, "fitted": False, "votes": 0}
        >>> lines(link, None)
        ['- link fitted: no; davidson with scale 1, which assumes how scores become votes']
    """
    values = ", ".join(f"{name} {_value(name, link)}" for name in link["parameters"])
    if link["fitted"]:
        said = [f"- link fitted: yes; {link['method']} on {link['votes']:,} votes: {values} (95 % intervals)"]
    else:
        said = [f"- link fitted: no; {link['method']} with {values}, which assumes how scores become votes"]
    if scores is None:
        return said
    made = scores.get("made_by")
    if made is None:
        return [*said, "- scores: bare numbers; it forecasts only rows that bring score_a and score_b"]
    named = "; ".join(f"{key} {value}" for key, value in made.items() if isinstance(value, str | int))
    return [*said, f"- scores: {named}".replace("\n", " ")]


def _value(name: str, link: Mapping[str, Any]) -> str:
    ends = link["intervals"].get(name)
    value = f"{link['parameters'][name]:.4g}"
    return value if ends is None else f"{value} ({ends[0]:.4g} to {ends[1]:.4g})"
