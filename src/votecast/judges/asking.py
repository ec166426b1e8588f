"""Asking any judge for forecasts: with other settings of inference, checked, and with what it cut from the texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.outputs import check_predictions
from votecast.data.shards import Shard
from votecast.errors import ConfigError, UnscoredRowsError
from votecast.text.report import PARTS
from votecast.types import CLASSES, Judge

_ARENA = {"a": 0.345, "b": 0.345, "tie": 0.31}

Cuts = dict[str, Any] | None
"""Sums over rows of what a judge did not get to see; None for a judge that reads texts whole."""


def cite(judge: Judge) -> dict[str, str]:
    """A judge by name and hash."""
    return {"name": judge.name, "hash": judge.hash}


def unknown_prompts(judge: Any) -> list[str]:
    """Names of judges, this one or such as lie inside it, of which it is not known on what prompts they were trained.

    Example:
        >>> from votecast.judges.load import load_judge
        >>> unknown_prompts(load_judge("bundled:baseline"))
        []
    """
    if getattr(judge, "prompt_hashes", None) is None:
        return [judge.name]
    return list(getattr(judge, "notes", {}).get("unknown_prompts") or [])


def set_inference(judge: Judge, inference: Mapping[str, Any]) -> None:
    """Let a judge run with settings of inference, if there are any.

    Raises:
        ConfigError: If it has none, or a setting is unknown or unfit.
    """
    if not inference:
        return
    if not hasattr(judge, "run_with"):
        raise ConfigError(f"judge {judge.name!r} has no settings of inference; drop {', '.join(inference)}")
    judge.run_with(**inference)


def numbers_of(judge: Any) -> dict[str, Any]:
    """Options of a reader for the battles a judge is asked for: the numbers it reads beside the texts, if any."""
    names = tuple(getattr(judge, "numbers", ()))
    return {"numbers": names} if names else {}


def ask(judge: Judge, battles: Battles, *, after: int = 0) -> Shard:
    """Forecast battles.

    Args:
        judge: Any judge.
        battles: The rows.
        after: Rows that came before, for messages.

    Raises:
        DataError: If what the judge says is no distribution.
    """
    cutting = getattr(judge, "predict_with_truncation", None)
    found, cut = (judge.predict_proba(battles), None) if cutting is None else cutting(battles)
    p = np.asarray(found, dtype=np.float64)
    check_predictions(battles.ids, p, after=after)
    if cut is None:
        return Shard(battles.ids, p)
    kept, full = cut.kept.sum(axis=0).tolist(), cut.full.sum(axis=0).tolist()
    return Shard(battles.ids, p, {"rows": len(cut), "rows_cut": cut.rows_cut, "kept": kept, "full": full})


def ask_or_tell(judge: Judge, battles: Battles, *, after: int = 0) -> tuple[Shard, dict[int, str]]:
    """Forecast what can be, and tell what cannot.

    Args:
        judge: Any judge.
        battles: The rows.
        after: Rows that came before, for messages.

    Returns:
        The forecasts, not numbers where there are none, and the reasons for these rows by position.

    Raises:
        DataError: If what the judge says is no distribution.
    """
    rows, reasons, found = np.arange(len(battles)), dict[int, str](), None
    while found is None and len(rows):
        try:
            found = ask(judge, battles if not reasons else battles.take(rows), after=after)
        except UnscoredRowsError as error:
            reasons |= {int(rows[place]): reason for place, reason in error.reasons.items()}
            rows = np.array([row for row in rows.tolist() if row not in reasons], dtype=np.int64)
    if not reasons and found is not None:
        return found, {}
    p = np.full((len(battles), len(CLASSES)), np.nan)
    if found is not None:
        p[rows] = found.probabilities
    return Shard(battles.ids, p, None if found is None else found.cut), dict(sorted(reasons.items()))


def class_prior(judge: Judge) -> NDArray[np.float64]:
    """The shares of a, b and tie among the votes a judge learnt from, those of a and b made equal, shape (3,).

    A judge that has learnt from none has those of a public arena: 0.345, 0.345 and 0.31.
    """
    facts = getattr(getattr(judge, "fitted", None), "facts", {})
    shares = facts.get("labels") or _ARENA
    a, b, tie = (float(shares[name]) for name in CLASSES)
    total = (a + b) + tie
    return np.array([(a + b) / 2 / total, (a + b) / 2 / total, tie / total])


def add_cuts(one: Cuts, other: Cuts) -> Cuts:
    """Sums over the rows of both.

    Example:
        >>> first = {"rows": 1, "rows_cut": 0, "kept": [1, 2, 3], "full": [1, 2, 3]}
        >>> add_cuts(first, first)["kept"], add_cuts(None, first) is first
        ([2, 4, 6], True)
    """
    if one is None or other is None:
        return one or other
    counts = {name: one[name] + other[name] for name in ("rows", "rows_cut")}
    return counts | {name: [x + y for x, y in zip(one[name], other[name], strict=True)] for name in ("kept", "full")}


def cut_shares(cut: Cuts) -> dict[str, Any] | None:
    """The form of `votecast.text.report.Cut.to_dict`.

    Example:
        >>> cut_shares({"rows": 2, "rows_cut": 1, "kept": [4, 4, 0], "full": [4, 8, 0]})["kept"]
        {'prompt': 1.0, 'a': 0.5, 'b': 1.0}
    """
    if cut is None:
        return None
    shares = zip(PARTS, cut["kept"], cut["full"], strict=True)
    kept = {part: round(some / all_, 3) if all_ else 1.0 for part, some, all_ in shares}
    return {"rows": cut["rows"], "rows_cut": cut["rows_cut"], "kept": kept}
