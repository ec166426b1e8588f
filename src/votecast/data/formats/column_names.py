"""Names of columns and labels as files have them, and as the formats know them.

`VoteReader` and `as_battles` rename the columns of every batch; the error for unknown columns proposes how.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from votecast.data.io import RawBatch
from votecast.errors import ConfigError, DataError
from votecast.types import NO_VOTE_NAMES, WINNER_NAMES, winner_key

TARGETS = (
    *("prompt", "response_a", "response_b", "winner", "chosen", "rejected", "id", "model_a", "model_b"),
    *("language", "source", "weight", "probabilities", "winner_model_a", "winner_model_b", "winner_tie"),
    *("conversation_a", "conversation_b", "chosen_model", "rejected_model", "system"),
)
"""The columns that `columns` may name."""

_OF_VOTES = ("winner", "probabilities", "weight", "winner_model_a", "winner_model_b", "winner_tie")
_OTHER_NAMES = {
    "messages_a": "conversation_a",
    "messages_b": "conversation_b",
    "chosen_response": "chosen",
    "rejected_response": "rejected",
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SPACES = re.compile(r"[\s-]+")
_SIDE = re.compile(
    r"(?<![a-z0-9])(?:a|b|x|y|[012]|left|right|first|second)(?![a-z0-9])|(?<=[a-z])[012]$|(?<=[a-z])(?-i:[AB])$",
    re.IGNORECASE,
)
_SIDES = (("a", "b"), ("1", "2"), ("0", "1"), ("left", "right"), ("first", "second"), ("x", "y"))
ANSWER_NAMES = re.compile(
    r"response|answer|output|completion|reply|text|summary|generation|candidate|result", re.IGNORECASE
)
_PROMPTS = re.compile(r"prompt|question|instruction|query|input|context|history|post|request", re.IGNORECASE)
LABEL_NAMES = re.compile(
    r"winner|label|preferred|preference|choice|vote|better|best|verdict|judg|overall|rating", re.IGNORECASE
)
_GUESSES = {"left": "a", "right": "b", "first": "a", "second": "b", "same": "tie", "equal": "tie", "both": "tie"}
_MOST_LABELS = 6


class StandardNames:
    """Rename the columns of batches to those of the formats, and the labels in the column of the winner.

    Args:
        known: The columns that formats know; a name that differs from one by hyphens, spaces or case becomes it.
        columns: Names of the file by ours, such as {"prompt": "question"}.
        labels: Classes, "both_bad" or "none" by the labels of the file, such as {"1": "a", "2": "b", "0": "tie"}.
        keep: Columns that keep their names.

    Raises:
        ConfigError: If a column or a class is not allowed.

    Example:
        >>> StandardNames({"response_a", "prompt"}, {"prompt": "asked"}).rename(["asked", "Response-A", "Note"])
        ['prompt', 'response_a', 'Note']
    """

    def __init__(
        self,
        known: Collection[str],
        columns: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        keep: Iterable[str] = (),
    ) -> None:
        self._known, self._keep = frozenset(known), frozenset(keep)
        self._columns = {theirs: ours for ours, theirs in (columns or {}).items()}
        if unknown := [ours for ours in columns or {} if ours not in TARGETS]:
            raise ConfigError(f"columns names {', '.join(unknown)}; allowed are {', '.join(TARGETS)}")
        self._labels: dict[str, str | None] = {}
        for name, given in (labels or {}).items():
            key = winner_key(given)
            if key not in WINNER_NAMES and key not in NO_VOTE_NAMES:
                raise ConfigError(f"labels makes {name!r} {given!r}; allowed are a, b, tie, both_bad and none")
            self._labels[name.strip().lower()] = None if key in NO_VOTE_NAMES else given
        self.given: dict[str, str] = {}
        """The names of the file by ours, of columns that were renamed."""

    def check(self, names: Sequence[str], path: str, *, votes: bool = True) -> None:
        """Raise if a column that was named is not in the file; those of votes may be missing where none are read."""
        needed = [theirs for theirs, ours in self._columns.items() if votes or ours not in _OF_VOTES]
        if missing := [theirs for theirs in needed if theirs not in names]:
            raise DataError(f"{path} has no column {', '.join(missing)} to read; it has {', '.join(names) or 'none'}")

    def rename(self, names: Sequence[str]) -> list[str]:
        """Return what the columns are called here."""
        taken = set(names) | set(self._columns.values())
        found = []
        for name in names:
            ours = self._columns.get(name)
            if ours is None and name in self._columns.values():
                ours = f"{name} (of the file)"  # another column was named to be read as it
            if ours is None and name not in self._known and name not in self._keep:
                plain = _SPACES.sub("_", _CAMEL.sub("_", name.strip())).lower()
                plain = _OTHER_NAMES.get(plain, plain)
                ours = plain if plain in self._known and plain not in taken else None
            if ours is not None and ours != name:
                taken.add(ours)
                self.given[ours] = name
            found.append(ours or name)
        return found

    def apply(self, batch: RawBatch) -> RawBatch:
        """Return a batch under the names of the formats."""
        names = batch.table.column_names
        ours = self.rename(names)
        table = batch.table if ours == names else batch.table.rename_columns(ours)
        encoded = frozenset(dict(zip(names, ours, strict=True))[name] for name in batch.encoded)
        if self._labels and "winner" in ours:
            texts = [self._label(value) for value in table.column("winner").to_pylist()]
            place = ours.index("winner")
            table = table.set_column(place, "winner", pa.array(texts, pa.large_string()))
            encoded -= {"winner"}
        return replace(batch, table=table, encoded=encoded)

    def _label(self, value: object) -> str | None:
        if value is None:
            return self._labels.get("", None)
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        key = text.strip().lower()
        key = key if key in self._labels else key.removesuffix(".0")
        return self._labels.get(key, text)


def propose_options(names: Sequence[str], head: Sequence[pa.Table]) -> str:
    """Propose `--columns` and `--labels` for a file whose columns fit no format; "" where nothing fits.

    Example:
        >>> table = pa.table({"ask": ["Hi"], "question": ["Hi"], "answer_1": ["x"], "answer_2": ["y"], "label": [2]})
        >>> propose_options(table.column_names, [table])
        '--columns prompt=question,response_a=answer_1,response_b=answer_2,winner=label --labels "1=a,2=b"'
    """
    answers = next(
        (pair for one in names for pair in _partners(one, names) if ANSWER_NAMES.search(pair[0])),
        next((pair for one in names for pair in _partners(one, names) if not LABEL_NAMES.search(pair[0])), None),
    )
    if answers is None:
        return ""
    rest = [name for name in names if name not in answers]
    found = {"response_a": answers[0], "response_b": answers[1]}
    prompts = [name for name in rest if _PROMPTS.search(name) and not re.search(r"(^|_)(id|ids|hash)$", name)]
    if (prompt := next(iter(prompts), None)) is not None:
        found = {"prompt": prompt, **found}
    label = next((name for name in rest if name != prompt and LABEL_NAMES.search(name)), None)
    if label is not None:
        found["winner"] = label
    columns = ",".join(f"{ours}={theirs}" for ours, theirs in found.items())
    columns = f'"{columns}"' if " " in columns else columns
    return f"--columns {columns}" + (propose_labels(label, answers, head) if label else "")


def _partners(name: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of columns that differ by their side alone, with this one first."""
    return [
        (name, other)
        for other in names
        for stem, side in _split(name)
        if any((stem, second) in _split(other) for first, second in _SIDES if first == side)
    ]


def _split(name: str) -> list[tuple[str, str]]:
    """Return each way to divide a name into the column and its side."""
    return [(f"{name[: m.start()]}*{name[m.end() :]}".lower(), m[0].lower()) for m in _SIDE.finditer(name)]


def propose_labels(label: str, answers: tuple[str, str], head: Sequence[pa.Table]) -> str:
    """Propose a class for each label among the first rows, as far as its meaning can be guessed."""
    cells = itertools.chain.from_iterable(t.column(label).to_pylist() for t in head if label in t.column_names)
    values = {str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in cells if v is not None}
    known_names = WINNER_NAMES.keys() | NO_VOTE_NAMES
    labels = [each for each in sorted(values) if winner_key(each) not in known_names][:_MOST_LABELS]
    if not labels:
        return ""
    meanings = dict.fromkeys(answers, "") | {answers[0]: "a", answers[1]: "b"}
    numbers = {"1": "a", "2": "b", "0": "tie"} if answers[0][-1:] == "1" or "2" in labels else {}
    numbers = {"0": "a", "1": "b"} if answers[0][-1:] == "0" else numbers
    known = meanings | numbers | _GUESSES
    if set(labels) <= {"1", "2", "0"} and "2" in labels:
        labels = sorted({*labels, "1"})
    return ' --labels "' + ",".join(f"{each}={known.get(each.lower(), 'a|b|tie|none')}" for each in labels) + '"'
