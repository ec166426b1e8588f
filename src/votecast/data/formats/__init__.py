"""The formats in which files hold votes, found by their columns.

`VoteReader` and `as_battles` call `find_format`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.formats.answer_pairs import ChosenRejected, RewardBench
from votecast.data.formats.base import ANONYMOUS, FormatOptions, VoteFormat, text_cells
from votecast.data.formats.column_names import ANSWER_NAMES, LABEL_NAMES, StandardNames, propose_labels, propose_options
from votecast.data.formats.conversations import Arena, MtBench
from votecast.data.formats.plain import Lmsys, Names, Numbers, Votecast, Wsdm
from votecast.data.formats.public_sets import PUBLIC_SETS, PublicSet
from votecast.data.labels import ONE_HOT
from votecast.errors import ConfigError, DataError

__all__ = ["FORMATS", "KNOWN_COLUMNS", "FormatOptions", "StandardNames", "VoteFormat", "find_format"]

_KINDS: tuple[type[VoteFormat], ...] = (
    *(Lmsys, Wsdm, Arena, ChosenRejected, RewardBench, MtBench, Votecast),
    *PUBLIC_SETS,
)
_ALL_KINDS: tuple[type[VoteFormat], ...] = (*_KINDS, Names, Numbers)
FORMATS: dict[str, type[VoteFormat]] = {kind.name: kind for kind in _KINDS}
"""The formats by name."""

KNOWN_COLUMNS = frozenset(
    name for kind in _ALL_KINDS for name in (*kind.needs, *kind.takes, *kind.label_columns, ANONYMOUS)
)
"""The columns that some format reads."""

_ONLY_RANKED: Final = (
    "models and votes without texts serve `votecast rank` only, and here prompts and answers are needed"
)
_ARENA_ONLY = {"language", "tstamp", "anony", "conv_metadata", "evaluation_session_id"}


def find_format(
    path: str,
    names: Sequence[str],
    head: Sequence[pa.Table],
    options: FormatOptions,
    *,
    wanted: str = "auto",
    open_ended: bool = False,
) -> VoteFormat:
    """Find the format of a file.

    Raises:
        ConfigError: If there is no such format, or it is only for leaderboards and this is none.
        DataError: If the columns are not those of the format, of any format, or votes are required and there are none.
    """
    if reason := _explain_shape(names, head):
        raise DataError(f"{path}: {reason}")
    kinds: dict[str, type[VoteFormat]] = FORMATS | {Names.name: Names}
    if wanted == Names.name and not options.ranking:
        raise ConfigError(f"{path}: the format {wanted} does not fit: {_ONLY_RANKED}")
    kind = kinds[wanted] if wanted != "auto" else _by_columns(set(names), head, open_ended)
    if kind is None and options.numbers and {"id", *options.numbers} <= set(names):
        kind = Numbers
    if kind is None and options.ranking and {*Names.needs} <= set(names):
        kind = Names
    missing = [name for name in kind.needs if name not in names] if kind else []
    if kind is None or missing:
        raise DataError(f"{path}: {_explain(names, missing, wanted, options, head)}")
    found = kind(names, head, options)
    if found.unread and not options.columns:
        raise DataError(
            f"{path}: the columns {', '.join(found.unread)} seem to belong to the prompt and are not read; name the "
            f"column of the prompt, as in --columns prompt={found.unread[0]}, or remove the others"
        )
    given = [name for name in found.label_columns if name in found.uses]
    if isinstance(found, Lmsys) and found.reads_labels and len(given) < len(ONE_HOT):
        lacking = ", ".join(name for name in ONE_HOT if name not in given)
        raise DataError(f"{path}: the columns {lacking} are missing beside {', '.join(given)}; votes need all three")
    if options.label_names and options.labels != "ignored" and "winner" not in found.label_columns:
        raise ConfigError(
            f"labels are named, and the format {found.name} has no column winner; name the column, as in --columns "
            "winner=COLUMN"
        )
    proposal = None if found.has_labels or options.columns else _propose_winner(names, head, found.known)
    if proposal is not None:
        found.notes.append(f"no votes are read; if they are in another column, name it: {proposal}")
    if options.labels == "required" and not found.has_labels:
        raise DataError(
            f"{path} holds no votes; the format {found.name} has them in {', '.join(found.label_columns)}: add the "
            f"columns, name the one that has them ({proposal or '--columns winner=...'}), or give a file with votes"
        )
    return found


def _by_columns(names: set[str], head: Sequence[pa.Table], open_ended: bool) -> type[VoteFormat] | None:
    if names >= set(TEXT_COLUMNS):
        if names & set(ONE_HOT):
            return Lmsys
        if "winner" in names and "probabilities" not in names:
            winners = (bytes(cell).strip().lower() for cell in text_cells("winner", head) or ())
            return Wsdm if next(winners, b"").startswith(b"model_") else Votecast
        lists = any("prompt" in t.column_names and pa.types.is_nested(t.schema.field("prompt").type) for t in head)
        return Votecast if open_ended or lists or names & {"probabilities", "winner", "weight"} else Lmsys
    if names >= set(MtBench.needs) and not names & _ARENA_ONLY:
        return MtBench
    # a ranking of many answers is read where no answer is chosen
    of_many = [kind for kind in PUBLIC_SETS if kind.layout.read_ranked is not None]
    of_two = [kind for kind in PUBLIC_SETS if kind not in of_many]
    kinds: list[type[VoteFormat]] = [Arena, *of_two, RewardBench, ChosenRejected, *of_many]
    return next((kind for kind in kinds if names >= set(kind.needs)), None)


def _propose_winner(names: Sequence[str], head: Sequence[pa.Table], known: Collection[str]) -> str | None:
    """Propose how to read the votes of a file that has the texts, if a column seems to hold them."""
    found = next((name for name in names if LABEL_NAMES.search(name) and name not in known), None)
    return found and f"--columns winner={found}{propose_labels(found, ('', ''), head)}"


def _explain(
    names: Sequence[str], missing: Sequence[str], wanted: str, options: FormatOptions, head: Sequence[pa.Table]
) -> str:
    """Compose the message for columns that fit no format, or not the one that is wanted."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for kind in FORMATS.values():
        if not issubclass(kind, PublicSet):
            by_columns.setdefault(kind.needs, []).append(kind.name)
    reads = "; ".join(f"{', '.join(needs)} ({', '.join(kinds)})" for needs, kinds in by_columns.items())
    reads += f"; and the public sets {', '.join(kind.name for kind in PUBLIC_SETS)}"
    given = set(names)
    is_ranked = given >= set(Names.needs) and given & set(Names.label_columns) and not given & set(TEXT_COLUMNS)
    answers = [name for name in names if ANSWER_NAMES.search(name)]
    if len(answers) == 1 and not is_ranked and not propose_options(names, head):
        return f"its rows hold one answer ({answers[0]}), and a vote is between two; give a file with both"
    cure = propose_options(names, head) or "name them: --columns prompt=...,response_a=...,response_b=...,winner=..."
    why = f"no format fits its columns ({_ONLY_RANKED if is_ranked else cure})"
    if missing:
        why = f"the columns {', '.join(missing)} are missing for the format {wanted}"
    more = "; for a leaderboard model_a, model_b and the vote suffice" if options.ranking and not missing else ""
    return f"{why}; it has {', '.join(names) or 'none'}, and votecast reads {reads}{more}"


def _explain_shape(names: Sequence[str], head: Sequence[pa.Table]) -> str | None:
    """Name files that hold one answer a row, or a whole table in one object."""
    given = set(names)
    if given >= {"message_id", "text", "role"}:
        return (
            "its rows are single messages of conversation trees, and a row must hold a pair; give the file of trees "
            "(message_tree_id, prompt with replies)"
        )
    if given >= {"columns", "data"} or given >= {"schema", "data"}:
        return _PANDAS.format("split" if "columns" in given else "table")
    first = head[0].slice(0, 1).to_pylist()[0] if head and len(head[0]) else {}
    cells = [cell for cell in first.values() if cell is not None]
    if cells and all(isinstance(cell, dict) for cell in cells):
        if all(key.isdigit() for key in cells[0]):
            return _PANDAS.format("columns")
        if all(name.isdigit() for name in names):
            return _PANDAS.format("index")
    rows = [name for name, cell in first.items() if isinstance(cell, list) and cell and isinstance(cell[0], dict)]
    wrapper = next((name for name in rows if name in _WRAPPERS), None)
    if wrapper is not None and (len(names) == 1 or len(head[0]) == 1):
        return f"its rows stand inside one object, in {wrapper!r}; write that list alone, or one object a line"
    return None


_WRAPPERS: Final = ("rows", "data", "examples", "instances", "items", "records")
_PANDAS: Final = (
    "it is one object with a whole table, as pandas writes with orient={!r}; write one object a row, as "
    'DataFrame.to_json(path, orient="records", lines=True) does'
)
