"""What answers hold: one class for each, for the OpenAPI description; the answers themselves are built as they are."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from votecast.types import Winner


class Shape(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class Shares(Shape):
    """How people are expected to vote."""

    a: float = Field(ge=0, le=1)
    b: float = Field(ge=0, le=1)
    tie: float = Field(ge=0, le=1)


class Cited(Shape):
    """A judge by the name that a request may use, and its hash."""

    name: str
    hash: str


class Kept(Shape):
    """Share of each part that the judge read."""

    prompt: float
    a: float
    b: float


class Cut(Shape):
    """What the judge did not get to see."""

    rows: int
    rows_cut: int
    kept: Kept


class Orders(Shape):
    """The forecast with the answers as they were sent, and with the answers exchanged; a is the a that was sent."""

    given: Shares
    exchanged: Shares


class Reason(Shape):
    """What spoke for an answer."""

    name: str
    text: str
    effect: float


class Forecast(Shape):
    """The forecast of one battle; orders and reasons are there if it was to be explained."""

    id: str
    probabilities: Shares
    decision: Winner
    judge: Cited
    cut: Cut | None
    orders: Orders | None = None
    reasons: list[Reason] | None = None


class Forecasts(Shape):
    """The forecasts of several battles, in their order."""

    judge: Cited
    forecasts: list[Forecast]


class Ranked(Shape):
    """A candidate by its place in the request, and its expected win rate against the others."""

    index: int
    score: float


class Reranked(Shape):
    """All candidates, best first."""

    id: str
    ranking: list[Ranked]
    judge: Cited
    cut: Cut | None


class Model(Shape):
    """A model in a leaderboard; ends of an interval are null where the games leave it open."""

    model: str
    score: float | None
    low: float | None
    high: float | None
    rank: int
    rank_low: int
    rank_high: int
    battles: float


class Board(Shape):
    """A leaderboard, best model first, and what a reader must know."""

    models: list[Model]
    method: str
    games: int
    notes: list[str]


class JudgeInfo(Shape):
    """A judge of this service."""

    name: str
    title: str
    hash: str
    family: str
    order_matters: bool
    explains: bool
    figures: dict[str, Any]
    cuts: bool
    reads: int | None
    default: bool


class Limits(Shape):
    """How much one request may hold: bytes of its body, and rows of each kind."""

    body_bytes: int
    battles: int
    candidates: int
    games: int


class Judges(Shape):
    """All judges of this service, and how much one request may hold."""

    judges: list[JudgeInfo]
    limits: Limits


class Health(Shape):
    """The service is up."""

    status: Literal["ok"]
    version: str


class Ready(Shape):
    """The service takes requests."""

    status: Literal["ready"]
    workers: int
    judges: list[str]


class Place(Shape):
    """One place of a request that cannot be used."""

    path: str
    message: str


class Told(Shape):
    """What went wrong: a word for programs, a sentence for people, and the places."""

    type: str
    message: str
    errors: list[Place]


class Error(Shape):
    """Every answer that is no success."""

    error: Told
