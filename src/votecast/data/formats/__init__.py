"""The formats in which files hold votes, found by their columns.

`VoteReader` and `as_battles` call `find_format`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.formats.base import FormatOptions, VoteFormat, text_cells
from votecast.data.formats.conversations import Arena, ChosenRejected, MtBench, RewardBench
from votecast.data.formats.plain import Lmsys, Names, Numbers, Votecast, Wsdm
from votecast.data.labels import ONE_HOT
from votecast.errors import ConfigError, DataError

__all__ = ["FORMATS", "FormatOptions", "VoteFormat", "find_format"]

FORMATS: dict[str, type[VoteFormat]] = {
    kind.name: kind for kind in (Lmsys, Wsdm, Arena, ChosenRejected, RewardBench, MtBench, Votecast)
}
"""The formats by name."""

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
        raise DataError(f"{path}: {_explain(names, missing, wanted, options)}")
    found = kind(names, head, options)
    given = [name for name in found.label_columns if name in found.uses]
    if isinstance(found, Lmsys) and found.reads_labels and len(given) < len(ONE_HOT):
        lacking = ", ".join(name for name in ONE_HOT if name not in given)
        raise DataError(f"{path}: the columns {lacking} are missing beside {', '.join(given)}; votes need all three")
    if options.labels == "required" and not found.has_labels:
        raise DataError(
            f"{path} holds no votes; the format {found.name} has them in {', '.join(found.label_columns)}: add the "
            "columns, or give a file with votes"
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
    return next((kind for kind in (Arena, RewardBench, ChosenRejected) if names >= set(kind.needs)), None)


def _explain(names: Sequence[str], missing: Sequence[str], wanted: str, options: FormatOptions) -> str:
    """Compose the message for columns that fit no format, or not the one that is wanted."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for kind in FORMATS.values():
        by_columns.setdefault(kind.needs, []).append(kind.name)
    reads = "; ".join(f"{', '.join(needs)} ({', '.join(kinds)})" for needs, kinds in by_columns.items())
    given = set(names)
    is_ranked = given >= set(Names.needs) and given & set(Names.label_columns) and not given & set(TEXT_COLUMNS)
    why = f"no format fits its columns ({_ONLY_RANKED if is_ranked else 'rename them, or convert the file'})"
    if missing:
        why = f"the columns {', '.join(missing)} are missing for the format {wanted}"
    more = "; for a leaderboard model_a, model_b and the vote suffice" if options.ranking and not missing else ""
    return f"{why}; it has {', '.join(names) or 'none'}, and votecast reads {reads}{more}"
