"""Types that every package shares: `Battle`, `Probabilities`, `Judge`, and the run of a long job.

Everything below `votecast` imports them; they import nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

CLASSES = ("a", "b", "tie")
"""The three outcomes, in the order of every probability column."""

SUM_TOLERANCE = 5e-7
"""How far a row of probabilities may sum from 1 and stay as it is: float32 does, six decimals do not."""
ROUNDING = 0.02 + SUM_TOLERANCE
"""How far it may sum from 1 to be rescaled: three figures of two decimals are off by up to 0.015."""

_SURROGATE = re.compile("[\ud800-\udfff]")
FLOAT_ID = r"-?(?:0|[1-9][0-9]*)(?:\.0+|(?:\.[0-9]+)?[eE]\+[0-9]+)"
"""What a whole number becomes as text once it was a float: 475725.0, or 1e+15."""
_FLOAT_ID = re.compile(FLOAT_ID)
_DIGITS = 53  # binary digits of float64, which holds every whole number below 2^53

Winner = Literal["a", "b", "tie"]
Turns = tuple[str | None, ...]

BOTH_BAD_NAMES = frozenset({"bothbad", "tie(bothbad)", "bothbadvote"})
"""Names of a vote against both responses, as `winner_key` writes them; it counts as a tie."""

WINNER_NAMES: dict[str, Winner] = {
    **dict.fromkeys(("a", "modela", "responsea", "answera", "assistanta", "a>b", "a>>b", "leftvote"), "a"),
    **dict.fromkeys(("model1", "response1", "answer1", "assistant1", "output1"), "a"),
    **dict.fromkeys(("b", "modelb", "responseb", "answerb", "assistantb", "b>a", "b>>a", "rightvote"), "b"),
    **dict.fromkeys(("model2", "response2", "answer2", "assistant2", "output2"), "b"),
    **dict.fromkeys(("tie", "draw", "a=b", "tievote", "tie(inconsistent)", "tie(bothgood)", "bothgood"), "tie"),
    **dict.fromkeys(BOTH_BAD_NAMES, "tie"),
}
"""The class of each name of a winner that files use, as `winner_key` writes the name."""

NO_VOTE_NAMES = frozenset({"", "none", "null", "nan", "na", "n/a", "<na>"})
"""What files write where nobody voted, as `winner_key` writes it."""

_IGNORED_IN_WINNERS = re.compile(r"[\s_-]+")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Probabilities = NDArray[np.float64]
"""Float64 array of shape (n, 3), columns in the order of `CLASSES`, rows sum to 1 within 1e-9."""


Progress = Callable[[str, int, int], None]
"""A progress callback: takes the name of the step, the number of steps done, and the number of all steps."""


def no_progress(*_: object, **__: object) -> None:
    """Do nothing: the default progress callback."""


@dataclass(frozen=True)
class Run:
    """Where a resumable run keeps its partial output and its logs, and its progress callback.

    Args:
        folder: Holds the partial output of an earlier run, or nothing; None keeps nothing on disk.
        progress: Called at every step.
        name: The judge and the parts of its training that this run is, such as ("deberta", "fold_0").
        logs: Folder of trackers that write files; it stays when the run is done.
        place: Which of how many parts this is, such as "1 of 5", for messages.

    Example:
        >>> Run(name=("deberta",)).within("fold_0", place="1 of 5").label
        'fold_0 (1 of 5)'
    """

    folder: Path | None = None
    progress: Progress = no_progress
    name: tuple[str, ...] = ()
    logs: Path | None = None
    place: str = ""

    @property
    def label(self) -> str:
        """How messages name this run."""
        name = "/".join(self.name[1:] or self.name) or "training"
        return f"{name} ({self.place})" if self.place else name

    def within(self, name: str, place: str = "") -> Run:
        """Return the part of this run with a name, one folder down."""
        folder, place = self.folder and self.folder / name, place or self.place
        return replace(self, folder=folder, name=(*self.name, name), place=place)


def winner_key(name: str) -> str:
    """Return the name of a winner in lower case, without spaces, hyphens and underscores.

    Example:
        >>> winner_key(" Model_A"), winner_key("tie (both bad)")
        ('modela', 'tie(bothbad)')
    """
    return _IGNORED_IN_WINNERS.sub("", name).lower()


def read_winner_name(value: object) -> object:
    """Return the class that a name of a winner stands for, None where nobody voted; other values as they are.

    Example:
        >>> [read_winner_name(name) for name in ("model_a", "Tie (both bad)", "NaN", "c")]
        ['a', 'tie', None, 'c']
    """
    key = winner_key(value) if isinstance(value, str) else None
    return value if key is None else None if key in NO_VOTE_NAMES else WINNER_NAMES.get(key, value)


def read_model_name(name: str) -> str | None:
    """Return the name of a model without spaces around it; None for "", "None", "NaN" and their like.

    Example:
        >>> read_model_name(" fir "), read_model_name("NaN")
        ('fir', None)
    """
    name = name.strip()
    return None if name.lower() in NO_VOTE_NAMES else name


def swap_columns(p: Probabilities) -> Probabilities:
    """Swap the columns a and b, as if the responses had been swapped.

    Args:
        p: Probabilities, targets or their like; the last axis is a, b, tie.

    Returns:
        A contiguous array of the same shape.

    Example:
        >>> swap_columns(np.array([[0.6, 0.3, 0.1]]))
        array([[0.3, 0.6, 0.1]])
    """
    # an index array leaves the columns scattered in memory
    return np.ascontiguousarray(p[..., [1, 0, 2]])


class Battle(BaseModel):
    """One prompt, two responses and, where it is known, how people voted.

    Surrogates in its texts, which Unicode does not allow, become characters where they are pairs, else U+FFFD.

    Args:
        id: Name of the row, kept as text.
        prompt: The user's turns; a missing turn is None.
        response_a: The turns of the first response.
        response_b: The turns of the second response.
        winner: "a", "b" or "tie", or another name of these such as "model_a"; None without a vote.
        probabilities: A soft label (share of votes, or a teacher's prediction) in the order of `CLASSES`.
        model_a: Name of the model that wrote the first response.
        model_b: Name of the model that wrote the second response.
        weight: Weight of the row in training and in figures, at least 0.
        language: ISO 639 code or name of the prompt's language.
        source: Where the vote comes from.

    Example:
        >>> Battle(id="1", prompt="Why?", response_a="Because.", response_b="Gravity.", winner="b").prompt
        ('Why?',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = ""
    prompt: Turns
    response_a: Turns
    response_b: Turns
    winner: Winner | None = None
    probabilities: tuple[float, float, float] | None = None
    model_a: str | None = None
    model_b: str | None = None
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    language: str | None = None
    source: str | None = None

    @field_validator("prompt", "response_a", "response_b", mode="before")
    @classmethod
    def _text_is_one_turn(cls, value: object) -> object:
        turns = (value,) if isinstance(value, str) else value
        return tuple(map(_replace_surrogates, turns)) if isinstance(turns, list | tuple) else turns

    @field_validator("model_a", "model_b", mode="before")
    @classmethod
    def _model_is_named(cls, value: object) -> object:
        return read_model_name(str(_replace_surrogates(value))) if isinstance(value, str) else value

    @field_validator("language", "source", mode="before")
    @classmethod
    def _name_is_unicode(cls, value: object) -> object:
        return _replace_surrogates(value)

    @field_validator("id", mode="before")
    @classmethod
    def _id_is_text(cls, value: object) -> object:
        # files give ids as numbers as often as text; True is no id
        is_id = isinstance(value, int | float | str) and not isinstance(value, bool)
        return _replace_surrogates(spell_id(value) if is_id else value)

    @field_validator("winner", mode="before")
    @classmethod
    def _winner_has_many_names(cls, value: object) -> object:
        return read_winner_name(value)

    @field_validator("probabilities", mode="before")
    @classmethod
    def _object_in_class_order(cls, value: object) -> object:
        if isinstance(value, dict):
            if set(value) != set(CLASSES):
                raise ValueError(f"probabilities have keys {sorted(value)}; allowed are exactly {list(CLASSES)}")
            return tuple(value[name] for name in CLASSES)
        return value

    @field_validator("probabilities")
    @classmethod
    def _sums_to_one(cls, value: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        return None if value is None else rescale_shares(value)


def rescale_shares(shares: Sequence[float]) -> tuple[float, float, float]:
    """Rescale three shares that sum to 1 but for rounding.

    Raises:
        ValueError: If one leaves [0, 1], or they sum to something else.

    Example:
        >>> round(rescale_shares([0.42, 0.42, 0.14])[0], 4), rescale_shares([0.5, 0.3, 0.2])
        (0.4286, (0.5, 0.3, 0.2))
    """
    a, b, tie = map(float, shares)
    total = a + b + tie
    if not all(0 <= share <= 1 for share in (a, b, tie)) or not abs(total - 1) <= ROUNDING:
        raise ValueError(f"the probabilities sum to {total:.6g}, not 1, or leave the range; each must lie in [0, 1]")
    return (a, b, tie) if abs(total - 1) <= SUM_TOLERANCE else (a / total, b / total, tie / total)


def spell_id(value: object) -> str:
    """Spell the id of a row as text; whole numbers that became floats are integers again.

    A column of ids with a missing value is one of floats in pandas, and `475725` becomes `475725.0`, also in text.

    Raises:
        ValueError: If it is a float that cannot hold every digit of an id, or a number as spreadsheets shorten it.

    Example:
        >>> spell_id(475725.0), spell_id("475725.0"), spell_id("1e+15"), spell_id("007"), spell_id(7)
        ('475725', '475725', '1000000000000000', '007', '7')
    """
    if isinstance(value, str) and not _FLOAT_ID.fullmatch(value):
        return value
    if isinstance(value, str) and "E" in value:
        raise ValueError(
            "the id is a number as spreadsheets shorten it, which drops digits; write the column as integers or text"
        )
    if not isinstance(value, str | float | np.floating):
        return str(value)
    number = float(value)
    if not abs(number) < 2**_DIGITS:
        raise ValueError(lost_digits(_DIGITS))
    return str(int(number)) if number.is_integer() else str(value)


def lost_digits(digits: int) -> str:
    """Compose the reason why a float of so many binary digits, or more, is no id."""
    return (
        f"the id is a float of 2^{digits} or more, which cannot hold every digit; write the column as integers or "
        "text (in pandas: astype('Int64') before ids pass through a float)"
    )


def _replace_surrogates(value: object) -> object:
    if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


@runtime_checkable
class Judge(Protocol):
    """Anything that predicts how people vote: four verbs, and a name with a hash to cite it by.

    Battles are `votecast.data.battles.Battles`, a data frame, or a list of battles or dicts.
    """

    @property
    def name(self) -> str:
        """Name to show beside every figure."""

    @property
    def hash(self) -> str:
        """Hash of everything the predictions depend on; empty before the first fit."""

    def fit(self, battles: Any, valid: Any | None = None) -> Self:
        """Fit the judge on battles with votes."""

    def predict_proba(self, battles: Any) -> Probabilities:
        """Predict how people vote: probabilities of shape (n, 3)."""

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the judge folder atomically."""

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Read a judge folder; predictions are bit-equal."""
