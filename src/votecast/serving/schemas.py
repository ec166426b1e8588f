"""The bodies of requests and plain responses, as pydantic models; FastAPI makes the OpenAPI description from them.

`app` declares them at its routes, `request_validation` parses bodies into them; responses that the client parses too
are in `votecast.client.service_responses`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from votecast.data.cells import json_kind, mend
from votecast.types import CLASSES, Battle, Turns, Winner, read_winner_name, rescale_shares

CUSTOM: Final = "unfit"
"""Type of the validation errors whose message is shown as it is."""

_MOST_TURNS: Final = 1_000
_TURNS: Final = "allowed is a text, or a list of turns (texts, or null for a missing turn)"
_SHARES: Final = "allowed are the shares of a, b and tie, as an object or in this order, from 0 to 1, that sum to 1"
# a schema's pattern is that of JavaScript
_SEEN: Final = r"[^\s\x1c-\x1f\x85\ufeff]"  # neither Python nor JavaScript takes it for white space
_VISIBLE: Final = re.compile(_SEEN)

# JSON Schemas of fields that take several forms; a request that fits them is accepted.
_TEXT_SCHEMA: Final = {"type": "string", "pattern": _SEEN}
_TURN_SCHEMA: Final = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_TURNS_SCHEMA: Final[dict[str, object]] = {
    "anyOf": [
        _TEXT_SCHEMA,
        {"type": "array", "items": _TURN_SCHEMA, "minItems": 1, "maxItems": _MOST_TURNS, "contains": _TEXT_SCHEMA},
    ]
}
_SHARE_SCHEMA: Final = {"type": "number", "minimum": 0, "maximum": 1}
_SHARES_SCHEMA: Final[dict[str, object]] = {
    "anyOf": [
        {
            "type": "object",
            "properties": dict.fromkeys(CLASSES, _SHARE_SCHEMA),
            "required": list(CLASSES),
            "additionalProperties": False,
        },
        {"type": "array", "items": _SHARE_SCHEMA, "minItems": len(CLASSES), "maxItems": len(CLASSES)},
        {"type": "null"},
    ]
}


def _invalid(message: str, *, at: int | None = None) -> PydanticCustomError:
    """Return the error of a validator, perhaps at an item of a list."""
    return PydanticCustomError(CUSTOM, "{message}", {"message": message, "at": at})


def _parse_turns(value: object) -> str | list[str | None]:
    """Check a text, or a list of turns with at least one text."""
    if isinstance(value, str):
        _check_turns([value])
        return mend(value, set())
    if not isinstance(value, list):
        raise _invalid(f"{json_kind(value)} is given; {_TURNS}")
    for place, turn in enumerate(value):
        if not (turn is None or isinstance(turn, str)):
            raise _invalid(f"{json_kind(turn)} is given; {_TURNS}", at=place)
    _check_turns(value)
    return [turn and mend(turn, set()) for turn in value]


def _parse_shares(value: object) -> object:
    """Normalise shares of a, b and tie to a tuple."""
    if value is None:
        return None
    if isinstance(value, list) and len(value) == len(CLASSES):
        value = dict(zip(CLASSES, value, strict=True))
    if not isinstance(value, dict) or set(value) != set(CLASSES):
        raise _invalid(f"{json_kind(value)}{' with other keys' * isinstance(value, dict)} is given; {_SHARES}")
    shares = [value[name] for name in CLASSES]
    if not all(isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1 for share in shares):
        raise _invalid(f"a share is not a number from 0 to 1; {_SHARES}")
    try:
        return rescale_shares(shares)
    except ValueError:
        raise _invalid(f"the shares sum to {sum(shares):.6g}; {_SHARES}") from None


def _check_turns(turns: Sequence[str | None]) -> None:
    if not any(turn and _VISIBLE.search(turn) for turn in turns):
        given = "there is only white space" if turns else "there is no turn"
        raise _invalid(f"{given}; give at least one visible character")
    if len(turns) > _MOST_TURNS:
        raise _invalid(f"{len(turns):,} turns are given; at most {_MOST_TURNS:,} are allowed")


def _check_as_many(turns: int, prompt: int, *, at: int | None = None) -> None:
    if turns != prompt:
        raise _invalid(
            f"{turns:,} turn{'s' * (turns != 1)} of a response and {prompt:,} of the prompt are given; give a response "
            "(or null) for each turn of the prompt",
            at=at,
        )


_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True)
_Id = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
]
_Judge = Annotated[str | None, Field(description="Name of the judge, as GET /v1/judges lists them; the first if null.")]
_Order = Annotated[
    Literal["both", "given"],
    Field(description="both: average over both orders, as votecast compare does; given: the given order alone."),
]
_Explain = Annotated[bool, Field(description="Whether to return the predictions of both orders, and reasons.")]
_Shares = Annotated[tuple[float, float, float] | None, WithJsonSchema(_SHARES_SCHEMA)]
_Turns = Annotated[Turns, FailFast(), WithJsonSchema(_TURNS_SCHEMA)]
_Candidate = Annotated[str | list[str | None], PlainValidator(_parse_turns), WithJsonSchema(_TURNS_SCHEMA)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]

_BATTLE: Final = {
    "prompt": "Why is the sky blue?",
    "response_a": "Air scatters blue light more than red light, so blue reaches us from everywhere.",
    "response_b": "Because it mirrors the sea.",
}


def _example(**body: JsonValue) -> ConfigDict:
    return ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra={"examples": [body]})


class BattleRequest(Battle):
    """One prompt and two responses, each with as many turns as the prompt; a text is one turn."""

    model_config = _STRICT

    id: Annotated[_Id, Field(description="Returned with the prediction; the position in the request if empty.")] = ""
    prompt: Annotated[_Turns, Field(description="What the user wrote: a text, or a list of turns.")]
    response_a: Annotated[_Turns, Field(description="The first response: a text, or as many turns as the prompt.")]
    response_b: Annotated[_Turns, Field(description="The second response, in the same form.")]
    probabilities: _Shares = None
    language: Annotated[str | None, Field(description="Language, for judges that are calibrated by language.")] = None
    source: Annotated[str | None, Field(description="Source, for judges that are calibrated by source.")] = None

    @field_validator("id", mode="before")
    @classmethod
    def _id_is_text(cls, value: object) -> object:
        return mend(value, set()) if isinstance(value, str) else value  # returned as it came, however it is spelled

    @field_validator("probabilities", mode="before")
    @classmethod
    def _object_in_class_order(cls, value: object) -> object:
        return _parse_shares(value)

    @field_validator("prompt", "response_a", "response_b")
    @classmethod
    def _can_be_scored(cls, turns: Turns, info: ValidationInfo) -> Turns:
        _check_turns(turns)
        if (prompt := info.data.get("prompt")) is not None:
            _check_as_many(len(turns), len(prompt))
        return turns


class CompareRequest(BattleRequest):
    """A battle to predict; its vote (winner, probabilities, model_a, model_b, weight) is ignored."""

    model_config = _example(**_BATTLE)

    judge: _Judge = None
    order: _Order = "both"
    explain: _Explain = False


class BatchRequest(BaseModel):
    """Battles to predict; their votes (winner, probabilities, model_a, model_b, weight) are ignored."""

    model_config = _example(battles=[{**_BATTLE}])

    battles: Annotated[list[BattleRequest], Field(min_length=1, description="The battles.")]
    judge: _Judge = None
    order: _Order = "both"
    explain: _Explain = False


class RerankRequest(BaseModel):
    """A prompt and the responses to rank; one that is a text answers the last turn of the prompt."""

    model_config = _example(prompt=_BATTLE["prompt"], candidates=[_BATTLE["response_b"], _BATTLE["response_a"]])

    id: Annotated[_Id, Field(description="Returned with the ranking.")] = ""
    prompt: Annotated[_Candidate, Field(description="What the user wrote: a text, or a list of turns.")]
    candidates: Annotated[list[_Candidate], Field(min_length=1, description="The responses: texts, or lists of turns.")]
    judge: _Judge = None

    @field_validator("candidates")
    @classmethod
    def _have_the_turns_of_the_prompt(cls, candidates: list[_Candidate], info: ValidationInfo) -> list[_Candidate]:
        if (prompt := info.data.get("prompt")) is not None:
            turns = 1 if isinstance(prompt, str) else len(prompt)
            for place, candidate in enumerate(candidates):
                if not isinstance(candidate, str):
                    _check_as_many(len(candidate), turns, at=place)
        return candidates


class GameRequest(BaseModel):
    """Two models that met, and either the vote or its prediction."""

    model_config = _STRICT

    model_a: Annotated[_Name, Field(description="Name of the first model.")]
    model_b: Annotated[_Name, Field(description="Name of the second model.")]
    winner: Annotated[Winner | None, Field(description="The vote; or give probabilities.")] = None
    probabilities: Annotated[
        _Shares, BeforeValidator(_parse_shares), Field(description="The prediction of the vote; or give the winner.")
    ] = None

    @field_validator("model_a", "model_b")
    @classmethod
    def _is_unicode(cls, name: str) -> str:
        return mend(name.strip() or name, set())

    @field_validator("winner", mode="before")
    @classmethod
    def _winner_has_many_names(cls, value: object) -> object:
        return read_winner_name(value)

    @field_validator("probabilities")
    @classmethod
    def _is_alone(cls, shares: object, info: ValidationInfo) -> object:
        if shares is not None and info.data.get("winner") is not None:
            raise _invalid("winner and probabilities are both given; give one of them")
        return shares


class LeaderboardRequest(BaseModel):
    """Games between models."""

    model_config = _example(
        games=[
            {"model_a": "old", "model_b": "new", "winner": "b"},
            {"model_a": "new", "model_b": "old", "probabilities": {"a": 0.5, "b": 0.25, "tie": 0.25}},
        ]
    )

    games: Annotated[list[GameRequest], FailFast(), Field(min_length=1, description="The games.")]
    method: Annotated[
        Literal["bradley_terry", "davidson", "rao_kupper"], Field(description="How strengths are fitted.")
    ] = "bradley_terry"


class Health(BaseModel):
    """The service is running."""

    status: Literal["ok"]
    version: str


class Ready(BaseModel):
    """The service takes requests."""

    status: Literal["ready"]
    workers: int
    judges: list[str]


class InvalidPlace(BaseModel):
    """One invalid place of a request."""

    path: str
    message: str


class ErrorDetail(BaseModel):
    """What went wrong: a word for programs, a sentence for people, and the invalid places of the body."""

    type: str
    message: str
    errors: list[InvalidPlace]


class ErrorResponse(BaseModel):
    """Every response that is not a success."""

    error: ErrorDetail
