"""What a service answers, as plain frozen classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Forecast:
    """The forecast of one vote.

    Args:
        id: Name of the battle.
        probabilities: That A wins, B wins, or a tie, by "a", "b" and "tie".
        decision: The likeliest of the three.
        judge: Name of the judge, as a request may use it, and its hash.
        cut: What the judge cut from the texts; None if nothing.
        orders: If asked to explain: the probabilities for the answers as given and exchanged, both by the battle's own
            "a" and "b".
        reasons: If asked to explain: what spoke for whom, each with name, text and effect; None from a judge that
            cannot tell.

    Example:
        >>> Forecast("1", {"a": 0.5, "b": 0.3, "tie": 0.2}, "a", {"name": "j", "hash": "0"}).probabilities["a"]
        0.5
    """

    id: str
    probabilities: dict[str, float]
    decision: str
    judge: dict[str, str]
    cut: dict[str, Any] | None = None
    orders: dict[str, dict[str, float]] | None = None
    reasons: list[dict[str, Any]] | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what the service sent."""
        told = {name: answer[name] for name in ("id", "probabilities", "decision", "judge")}
        return cls(**told, cut=answer.get("cut"), orders=answer.get("orders"), reasons=answer.get("reasons"))

    def to_dict(self) -> dict[str, Any]:
        """The shape the service sent."""
        names = ["id", "probabilities", "decision", "judge", "cut", *(["orders", "reasons"] if self.orders else [])]
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Reranked:
    """Candidates for one prompt, best first.

    Args:
        id: Name of the prompt.
        ranking: Of each candidate `index`, its place among those given, and `score`, its expected share of wins against
            the others.
        judge: Name of the judge, as a request may use it, and its hash.
        cut: What the judge cut from the texts; None if nothing.

    Example:
        >>> Reranked("", [{"index": 1, "score": 0.7}, {"index": 0, "score": 0.3}], {"name": "j", "hash": "0"}).best
        1
    """

    id: str
    ranking: list[dict[str, Any]]
    judge: dict[str, str]
    cut: dict[str, Any] | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what the service sent."""
        return cls(answer["id"], answer["ranking"], answer["judge"], answer.get("cut"))

    @property
    def best(self) -> int:
        """Place of the best candidate among those given, from 0."""
        return int(self.ranking[0]["index"])

    @property
    def scores(self) -> list[float]:
        """The score of each candidate, in the order they were given."""
        return [row["score"] for row in sorted(self.ranking, key=lambda row: row["index"])]

    def to_dict(self) -> dict[str, Any]:
        """The shape the service sent."""
        return {"id": self.id, "ranking": self.ranking, "judge": self.judge, "cut": self.cut}


@dataclass(frozen=True)
class Leaderboard:
    """Models by their strength, best first.

    Args:
        models: Of each its name as `model`, `score`, `low`, `high`, `rank`, `rank_low`, `rank_high` and `battles`.
        method: How strengths were fitted.
        games: How many games were given.
        notes: What a reader must know, such as models that were left out.

    Example:
        >>> Leaderboard([{"model": "x", "score": 1_010.0, "rank": 1}], "bradley_terry", 9).models[0]["model"]
        'x'
    """

    models: list[dict[str, Any]]
    method: str
    games: int
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what the service sent."""
        return cls(answer["models"], answer["method"], answer["games"], list(answer.get("notes") or []))

    def to_dict(self) -> dict[str, Any]:
        """The shape the service sent."""
        return {"models": self.models, "method": self.method, "games": self.games, "notes": self.notes}


@dataclass(frozen=True)
class ServedJudge:
    """One judge of a service.

    Args:
        name: What to call it in a request.
        hash: Hash of everything its forecasts depend on.
        facts: Everything the service tells of it, these two included.

    Example:
        >>> ServedJudge.of({"name": "mine", "hash": "0", "family": "baseline"}).facts["family"]
        'baseline'
    """

    name: str
    hash: str
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what the service sent."""
        return cls(answer["name"], answer["hash"], dict(answer))

    def to_dict(self) -> dict[str, Any]:
        """The shape the service sent."""
        return dict(self.facts)
