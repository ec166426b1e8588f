"""What a worker tells of a judge it has loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class JudgeFacts:
    """A judge that can be asked.

    Args:
        name: What it is called here, in requests and answers: as given at start, else the name of its folder.
        title: Its own name, which the other verbs tell.
        hash: Hash of its folder.
        family: Its family.
        order_matters: Whether it reads the answers in an order, so that `order` may change its answer.
        explains: Whether it can say what spoke for an answer.
        figures: Its out-of-fold figures.
        cuts: Whether it cuts long texts.
        reads: About the most tokens it reads of a battle; None where it reads all.

    Example:
        >>> facts = JudgeFacts("mine", "baseline", "0a1b", "baseline")
        >>> JudgeFacts.from_dict(facts.to_dict()) == facts
        True
    """

    name: str
    title: str
    hash: str
    family: str
    order_matters: bool = False
    explains: bool = False
    figures: dict[str, Any] = field(default_factory=dict)
    cuts: bool = False
    reads: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` made."""
        return cls(**values)
