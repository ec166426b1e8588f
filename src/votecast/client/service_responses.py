"""The responses of the service, as pydantic models.

The client parses responses with them, and the service takes its OpenAPI schemas from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from votecast.types import CLASSES, ROUNDING, Winner


def _check_shares(shares: dict[str, float]) -> dict[str, float]:
    """Raise if shares are not a distribution over the three outcomes."""
    if set(shares) != set(CLASSES) or not abs(sum(shares.values()) - 1) <= ROUNDING:
        raise ValueError(f"the probabilities of {', '.join(shares) or 'nothing'} sum to {sum(shares.values()):.6g}")
    return shares


Shares = Annotated[dict[Winner, Annotated[float, Field(ge=0, le=1)]], AfterValidator(_check_shares)]
"""Probabilities of "a", "b" and "tie"."""

JudgeName = dict[Literal["name", "hash"], str]
"""The name that requests give to a judge, and the hash of its folder."""

Truncation = dict[str, int | dict[str, float]]
"""How many of `rows` were truncated (`rows_cut`), and the share of each part that the judge read (`kept`)."""


class Response(BaseModel):
    """A response of the service; fields that this version does not know are ignored."""

    model_config = ConfigDict(frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that the service sent."""
        return self.model_dump(exclude_unset=True)


class Prediction(Response):
    """The prediction of one vote.

    Example:
        >>> shares = {"a": 0.5, "b": 0.3, "tie": 0.2}
        >>> Prediction(id="1", probabilities=shares, decision="a", judge={"name": "j", "hash": "0"}).probabilities["a"]
        0.5
    """

    id: str = Field(description="Id of the battle.")
    probabilities: Shares = Field(description="Probabilities that A wins, that B wins, and of a tie.")
    decision: Winner = Field(description="The most probable of the three.")
    judge: JudgeName
    cut: Truncation | None = Field(None, description="What was truncated; null if nothing was.")
    orders: dict[Literal["given", "swapped"], Shares] | None = Field(
        None, description="With explain: predictions for the responses as given and swapped; a is always response_a."
    )
    reasons: list[dict[str, str | float]] | None = Field(
        None, description="With explain: name, text and effect of each reason; null if the judge gives none."
    )


class BatchResponse(Response):
    """The predictions of several battles, in their order."""

    judge: JudgeName
    predictions: list[Prediction]


class Reranked(Response):
    """Candidates for one prompt, best first.

    Example:
        >>> ranking = [{"index": 1, "score": 0.7}, {"index": 0, "score": 0.3}]
        >>> Reranked(id="", ranking=ranking, judge={"name": "j", "hash": "0"}).best
        1
    """

    id: str = Field(description="Id of the prompt.")
    ranking: list[dict[str, float]] = Field(
        description="Position of each candidate in the request (index), and its expected win rate (score)."
    )
    judge: JudgeName
    cut: Truncation | None = Field(None, description="What was truncated; null if nothing was.")

    @property
    def best(self) -> int:
        """Position of the best candidate in the request."""
        return int(self.ranking[0]["index"])

    @property
    def scores(self) -> list[float]:
        """Score of each candidate, in the order of the request."""
        return [row["score"] for row in sorted(self.ranking, key=lambda row: row["index"])]


class ServedLeaderboard(Response):
    """Models by strength, best first.

    Example:
        >>> ServedLeaderboard(models=[{"model": "x", "rank": 1}], method="bradley_terry", games=9).models[0]["model"]
        'x'
    """

    models: list[dict[str, Any]] = Field(
        description="Each with model, score, low, high, rank, rank_low, rank_high and battles; an end of an interval "
        "that the games do not determine is null."
    )
    method: str
    games: int
    notes: list[str] = Field([], description="What a reader must know, such as models that were left out.")


class ServedJudge(Response):
    """A judge that the service has loaded.

    Example:
        >>> ServedJudge(name="mine", hash="0", family="baseline").facts
        {'name': 'mine', 'hash': '0', 'family': 'baseline'}
    """

    name: str = Field(description="Name in requests and responses.")
    title: str = Field("", description="The judge's own name.")
    hash: str = Field(description="Hash of everything its predictions depend on.")
    family: str = ""
    order_matters: bool = Field(False, description="Whether the order of the responses may change its prediction.")
    explains: bool = Field(False, description="Whether it gives reasons.")
    figures: dict[str, Any] = Field({}, description="Its out-of-fold metrics.")
    cuts: bool = Field(False, description="Whether it truncates long texts.")
    reads: int | None = Field(None, description="About the most tokens it reads of a battle; null if it reads all.")
    default: bool = Field(False, description="Whether requests that name no judge get this one.")

    @property
    def facts(self) -> dict[str, Any]:
        """Everything the service reports about the judge."""
        return self.to_dict()


class Limits(Response):
    """The most that one request may hold."""

    body_bytes: int = 2_000_000
    battles: int = 32
    candidates: int = 32
    games: int = 10_000


class Judges(Response):
    """The judges of the service; the first is the default."""

    judges: list[ServedJudge]
    limits: Limits = Limits()
