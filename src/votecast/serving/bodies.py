"""What requests hold: one class for each body, and the way from JSON values to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from votecast.data.cells import mend
from votecast.serving.errors import Fault, UnfitError
from votecast.serving.faults import faults_of
from votecast.serving.fields import (
    ID,
    SHARES,
    TEXT_OR_TURNS,
    as_answer,
    as_id,
    as_shares,
    check_as_many,
    check_text,
    unfit,
)
from votecast.types import Battle, Turns, Winner

_NAME: Final = 200

_FIELDS: Final = 100
"""Most fields of an object, known or not: to tell of each of very many would take seconds."""

Order = Literal["both", "given"]
Method = Literal["bradley_terry", "davidson", "rao_kupper"]
Given = TypeVar("Given", bound=BaseModel)

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_Turns = Annotated[Turns, FailFast(), WithJsonSchema(TEXT_OR_TURNS)]
_Answer = Annotated[Any, PlainValidator(as_answer), WithJsonSchema(TEXT_OR_TURNS)]
_Id = Annotated[str, BeforeValidator(as_id), WithJsonSchema(ID)]
_Shares = Annotated[tuple[float, float, float] | None, WithJsonSchema(SHARES)]
_Model = Annotated[str, Field(min_length=1, max_length=_NAME)]


class BattleBody(Battle):
    """One prompt and two answers, each with as many turns as the prompt; a text stands for one turn.

    The fields of votes may be there and are not looked at.
    """

    model_config = _STRICT

    id: _Id = ""
    prompt: _Turns
    response_a: _Turns
    response_b: _Turns
    probabilities: _Shares = None

    @field_validator("probabilities", mode="before")
    @classmethod
    def _object_in_class_order(cls, value: Any) -> Any:
        return as_shares(value)

    @field_validator("prompt", "response_a", "response_b")
    @classmethod
    def _can_be_judged(cls, turns: Turns, info: ValidationInfo) -> Turns:
        check_text(turns)
        if (prompt := info.data.get("prompt")) is not None:
            check_as_many(len(turns), len(prompt))
        return turns


class CompareBody(BattleBody):
    """A battle to forecast, and how."""

    judge: str | None = None
    order: Order = "both"
    explain: bool = False


class BatchBody(BaseModel):
    """Battles to forecast, and how."""

    model_config = _STRICT

    battles: Annotated[list[BattleBody], Field(min_length=1)]
    judge: str | None = None
    order: Order = "both"
    explain: bool = False


class RerankBody(BaseModel):
    """A prompt, and answers to choose from; one that is a text answers the last turn of the prompt."""

    model_config = _STRICT

    id: _Id = ""
    prompt: _Answer
    candidates: Annotated[list[_Answer], Field(min_length=1)]
    judge: str | None = None

    @field_validator("candidates")
    @classmethod
    def _fit_the_prompt(cls, candidates: list[Any], info: ValidationInfo) -> list[Any]:
        if (prompt := info.data.get("prompt")) is not None:
            turns = 1 if isinstance(prompt, str) else len(prompt)
            for place, answer in enumerate(candidates):
                if not isinstance(answer, str):
                    check_as_many(len(answer), turns, at=place)
        return candidates


class GameBody(BaseModel):
    """Two models that met, and either how the vote went or how it is forecast."""

    model_config = _STRICT

    model_a: _Model
    model_b: _Model
    winner: Winner | None = None
    probabilities: Annotated[_Shares, BeforeValidator(as_shares)] = None

    @field_validator("model_a", "model_b")
    @classmethod
    def _is_unicode(cls, name: str) -> str:
        return mend(name, set())

    @field_validator("probabilities")
    @classmethod
    def _one_of_both(cls, shares: Any, info: ValidationInfo) -> Any:
        if shares is not None and info.data.get("winner") is not None:
            raise unfit("winner and probabilities are both given; give one of them")
        return shares


class LeaderboardBody(BaseModel):
    """Games between models, and how strengths are fitted."""

    model_config = _STRICT

    games: Annotated[list[GameBody], FailFast(), Field(min_length=1)]
    method: Method = "bradley_terry"


def read_body(kind: type[Given], values: Any, most: Mapping[str, int]) -> Given:
    """Check the values of a body.

    Args:
        kind: The class of the body.
        values: What its JSON holds.
        most: How many parts each of its lists may have.

    Raises:
        UnfitError: If they do not fit; it names the places.

    Example:
        >>> battle = {"prompt": "Why?", "response_a": ["So."], "response_b": "Because."}
        >>> read_body(BatchBody, {"battles": [battle]}, {"battles": 32}).battles[0].response_b
        ('Because.',)
    """
    if isinstance(values, dict):
        _check_sizes(values, most)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _refused(faults_of(error, _fields(kind))) from None


def _check_sizes(values: dict[str, Any], most: Mapping[str, int]) -> None:
    """Refuse lists and objects that are far too long before anybody looks at all that is in them."""
    _check_fields("", values)
    for name, limit in most.items():
        given = values.get(name)
        if not isinstance(given, list):
            continue
        if len(given) > limit:
            told = f"{len(given):,} {name} are given; at most {limit:,} are allowed: send several requests"
            raise _refused([Fault(name, told)])
        for place, each in enumerate(given):
            _check_fields(f"{name}.{place}", each)


def _check_fields(path: str, value: Any) -> None:
    if isinstance(value, dict) and len(value) > _FIELDS:
        raise _refused([Fault(path, f"{len(value):,} fields are given; GET /docs lists those that there are")])


def _refused(faults: list[Fault]) -> UnfitError:
    first = faults[0]
    where = f"{first.path}: " if first.path else ""
    more = f" (and {len(faults) - 1} more, see errors)" if len(faults) > 1 else ""
    return UnfitError(f"the body cannot be used: {where}{first.message}{more}", faults)


def _fields(kind: type[BaseModel]) -> tuple[list[str], list[str]]:
    """Names that a body may hold, and those that the objects in its list may hold."""
    inside: dict[type[BaseModel], type[BaseModel]] = {BatchBody: BattleBody, LeaderboardBody: GameBody}
    below = inside.get(kind)
    return list(kind.model_fields), list(below.model_fields if below else ())
