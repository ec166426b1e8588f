"""The ways in which files hold votes, found by their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from votecast.data.battles import TEXT_COLUMNS
from votecast.data.formats.base import Options, Source, text_cells
from votecast.data.formats.conversations import Arena, MtBench
from votecast.data.formats.numbers import Names, Numbers
from votecast.data.formats.pairs import Pairs, RewardBench
from votecast.data.formats.sides import Lmsys, Votecast, Wsdm
from votecast.data.labels import ONE_HOT
from votecast.errors import ConfigError, DataError

__all__ = ["FORMATS", "Options", "Source", "find_source"]

FORMATS: dict[str, type[Source]] = {
    source.name: source for source in (Lmsys, Wsdm, Arena, Pairs, RewardBench, MtBench, Votecast)
}
"""The sources by name."""

_ONLY_RANKED: Final = (
    "models and votes without texts serve `votecast rank` only, and here prompts and answers are needed"
)
_ARENA_ONLY = {"language", "tstamp", "anony", "conv_metadata", "evaluation_session_id"}


def find_source(
    path: str,
    names: Sequence[str],
    head: Sequence[pa.Table],
    options: Options,
    *,
    wanted: str = "auto",
    open_ended: bool = False,
) -> Source:
    """Choose how to read a file.

    Args:
        path: Name of the file, for messages.
        names: Its columns.
        head: Its first rows.
        options: How to read it.
        wanted: A name in `FORMATS`, "names" for a leaderboard's files without texts, or "auto" to go by the columns.
        open_ended: Whether later rows can bring further columns, as in JSON lines.

    Raises:
        ConfigError: If there is no such format, or it is only for leaderboards and this is none.
        DataError: If the columns are not those of the format, of any format, or votes are required and there are none.
    """
    kinds: dict[str, type[Source]] = FORMATS | {Names.name: Names}
    if wanted != "auto" and wanted not in kinds:
        raise ConfigError(f"the format {wanted!r} is unknown; allowed are auto, {', '.join(kinds)}")
    if wanted == Names.name and not options.ranking:
        raise ConfigError(f"{path}: the format {wanted} does not fit: {_ONLY_RANKED}")
    kind = kinds[wanted] if wanted != "auto" else _by_columns(set(names), head, open_ended)
    if kind is None and options.numbers and {"id", *options.numbers} <= set(names):
        kind = Numbers
    if kind is None and options.ranking and {*Names.needs} <= set(names):
        kind = Names
    missing = [name for name in kind.needs if name not in names] if kind else []
    if kind is None or missing:
        lacks = (
            f"the columns {', '.join(missing)} are missing for the format {wanted}" if missing else _unfit(set(names))
        )
        more = "; for a leaderboard model_a, model_b and the vote suffice" if options.ranking and not kind else ""
        raise DataError(f"{path}: {lacks}; it has {', '.join(names) or 'none'}, and votecast reads {_needs()}{more}")
    source = kind(names, head, options)
    _check_labels(path, source)
    return source


def _unfit(names: set[str]) -> str:
    is_ranked = names >= set(Names.needs) and names & set(Names.label_columns) and not names & set(TEXT_COLUMNS)
    return f"no format fits its columns ({_ONLY_RANKED if is_ranked else 'rename them, or convert the file'})"


def _by_columns(names: set[str], head: Sequence[pa.Table], open_ended: bool) -> type[Source] | None:
    if names >= set(TEXT_COLUMNS):
        if names & set(ONE_HOT):
            return Lmsys
        if "winner" in names and "probabilities" not in names:
            said = (bytes(cell).strip().lower() for cell in text_cells("winner", head))
            return Wsdm if next(said, b"").startswith(b"model_") else Votecast
        lists = any("prompt" in t.column_names and pa.types.is_nested(t.schema.field("prompt").type) for t in head)
        return Votecast if open_ended or lists or names & {"probabilities", "winner", "weight"} else Lmsys
    if names >= set(MtBench.needs) and not names & _ARENA_ONLY:
        return MtBench
    return next((kind for kind in (Arena, RewardBench, Pairs) if names >= set(kind.needs)), None)


def _check_labels(path: str, source: Source) -> None:
    given = [name for name in source.label_columns if name in source.uses]
    if isinstance(source, Lmsys) and source.reads_labels and len(given) < len(ONE_HOT):
        absent = ", ".join(name for name in ONE_HOT if name not in given)
        raise DataError(f"{path}: the columns {absent} are missing beside {', '.join(given)}; votes need all three")
    if source.options.labels == "required" and not source.has_labels:
        raise DataError(
            f"{path} holds no votes; the format {source.name} has them in {', '.join(source.label_columns)}: add the "
            "columns, or give a file with votes"
        )


def _needs() -> str:
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for kind in FORMATS.values():
        by_columns.setdefault(kind.needs, []).append(kind.name)
    return "; ".join(f"{', '.join(columns)} ({', '.join(kinds)})" for columns, kinds in by_columns.items())
