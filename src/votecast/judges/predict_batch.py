"""Predict a batch of battles with any judge: checked, with truncations counted and unscorable rows listed.

The jobs, ensembles, cascades and leaderboards get their predictions here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from votecast.artifacts import atomic_file
from votecast.data.battles import Battles
from votecast.data.outputs import check_predictions
from votecast.errors import ConfigError, UnscoredRowsError
from votecast.judges.trained import TrainedJudge
from votecast.splits import PromptHashes
from votecast.text.truncation import PARTS
from votecast.types import CLASSES, Floats, Judge, Probabilities

_ARENA_SHARES = {"a": 0.345, "b": 0.345, "tie": 0.31}

Truncations = dict[str, Any] | None
"""Sums over rows: rows, rows_cut, and the tokens kept and full of prompt, a and b; None for a judge that reads all."""


@dataclass(frozen=True)
class Shard:
    """The predictions for some rows of a file."""

    ids: list[str]  # names of the rows
    probabilities: Probabilities  # shape (n, 3)
    cut: Truncations = None  # sums over the rows of what was truncated, for judges that truncate texts


def cite(judge: Judge) -> dict[str, str]:
    """Return the name and hash of a judge."""
    return {"name": judge.name, "hash": judge.hash}


# A judge need not be a TrainedJudge: the attributes read below are optional and default to empty.


def trained_prompts(judge: object) -> PromptHashes | None:
    """Return the hashes of the prompts on which a judge was trained; None where they are unknown."""
    found: PromptHashes | None = getattr(judge, "prompt_hashes", None)
    return found


def judge_notes(judge: object) -> dict[str, Any]:
    """Return the notes recorded with a judge."""
    found: dict[str, Any] = getattr(judge, "notes", {})
    return found


def reader_numbers(judge: object) -> dict[str, tuple[str, ...]]:
    """Return the reader option for the number columns that a judge needs beside the texts, if any."""
    names = tuple(getattr(judge, "numbers", ()))
    return {"numbers": names} if names else {}


def unknown_prompts(judge: Judge) -> list[str]:
    """Name the judges, this one or its members, whose training prompts are unknown.

    Example:
        >>> from votecast import load_judge
        >>> unknown_prompts(load_judge("bundled:baseline"))
        []
    """
    return [judge.name] if trained_prompts(judge) is None else list(judge_notes(judge).get("unknown_prompts") or [])


def is_link_unfitted(judge: Judge) -> bool:
    """Return whether a judge turns scores into probabilities with the default link."""
    return (judge_notes(judge).get("link") or {}).get("fitted") is False


def set_inference(judge: Judge, inference: Mapping[str, object]) -> None:
    """Set the inference settings of a judge, if any are given.

    Raises:
        ConfigError: If the judge has none, or a setting is unknown or not allowed.
    """
    if not inference:
        return
    if not hasattr(judge, "run_with"):
        raise ConfigError(f"judge {judge.name!r} has no settings of inference; drop {', '.join(inference)}")
    judge.run_with(**inference)


def predict_batch(judge: Judge, battles: Battles, *, after: int = 0) -> Shard:
    """Predict battles; DataError if a prediction of a judge that is not votecast's own is not a distribution.

    Args:
        judge: Any judge.
        battles: The rows.
        after: Rows before them, for messages.
    """
    if hasattr(judge, "predict_with_truncation"):  # votecast's own: it truncates, and checks what its members predict
        p, cut = judge.predict_with_truncation(battles)
    else:
        p, cut = np.asarray(judge.predict_proba(battles), dtype=np.float64), None
        check_predictions(battles.ids, p, after=after)
    if cut is None:
        return Shard(battles.ids, p)
    kept, full = cut.kept.sum(axis=0).tolist(), cut.full.sum(axis=0).tolist()
    return Shard(battles.ids, p, {"rows": len(cut), "rows_cut": cut.rows_cut, "kept": kept, "full": full})


def predict_scorable(judge: Judge, battles: Battles, *, after: int = 0) -> tuple[Shard, dict[int, str]]:
    """Predict the rows that can be scored; return reasons for the others.

    The arguments are those of `predict_batch`. Predictions of the others are NaN, and the reasons go by position.
    """
    rows, reasons, found = np.arange(len(battles)), dict[int, str](), None
    while found is None and len(rows):
        try:
            found = predict_batch(judge, battles if not reasons else battles.take(rows), after=after)
        except UnscoredRowsError as error:
            reasons |= {int(rows[place]): reason for place, reason in error.reasons.items()}
            rows = np.array([row for row in rows.tolist() if row not in reasons], dtype=np.int64)
    if not reasons and found is not None:
        return found, {}
    p = np.full((len(battles), len(CLASSES)), np.nan)
    if found is not None:
        p[rows] = found.probabilities
    return Shard(battles.ids, p, None if found is None else found.cut), dict(sorted(reasons.items()))


def class_prior(judge: Judge) -> Floats:
    """Return the shares of a, b and tie in a judge's training votes, a and b made equal, shape (3,).

    A judge without training votes gets the shares of a public arena: 0.345, 0.345 and 0.31.
    """
    shares = (judge.fitted.facts.get("labels") if isinstance(judge, TrainedJudge) else None) or _ARENA_SHARES
    a, b, tie = (float(shares[name]) for name in CLASSES)
    total = (a + b) + tie
    return np.array([(a + b) / 2 / total, (a + b) / 2 / total, tie / total])


def add_truncations(one: Truncations, other: Truncations) -> Truncations:
    """Add the truncations of two batches.

    Example:
        >>> first = {"rows": 1, "rows_cut": 0, "kept": [1, 2, 3], "full": [1, 2, 3]}
        >>> add_truncations(first, first)["kept"], add_truncations(None, first) is first
        ([2, 4, 6], True)
    """
    if one is None or other is None:
        return one or other
    counts = {name: one[name] + other[name] for name in ("rows", "rows_cut")}
    return counts | {name: [x + y for x, y in zip(one[name], other[name], strict=True)] for name in ("kept", "full")}


def truncation_shares(sums: Truncations) -> dict[str, object] | None:
    """Return truncations in the form of `votecast.text.truncation.TruncationReport.to_dict`.

    Example:
        >>> truncation_shares({"rows": 2, "rows_cut": 1, "kept": [4, 4, 0], "full": [4, 8, 0]})["kept"]
        {'prompt': 1.0, 'a': 0.5, 'b': 1.0}
    """
    if sums is None:
        return None
    shares = zip(PARTS, sums["kept"], sums["full"], strict=True)
    kept = {part: round(some / all_, 3) if all_ else 1.0 for part, some, all_ in shares}
    return {"rows": sums["rows"], "rows_cut": sums["rows_cut"], "kept": kept}


def unscored_path(out: str | Path) -> Path:
    """Return the path of the list of rows that could not be scored.

    Example:
        >>> unscored_path("runs/scores.parquet").name
        'scores.parquet.unscored.jsonl'
    """
    return Path(f"{out}.unscored.jsonl")


def write_unscored(out: str | Path, rows: Sequence[Mapping[str, object]]) -> Path | None:
    """Write the rows that could not be scored beside an output, as JSON lines; remove a list of an earlier run.

    Args:
        out: The output.
        rows: The id, the number and the reason of each.

    Returns:
        The file; None where there are no such rows.
    """
    path = unscored_path(out)
    if not rows:
        path.unlink(missing_ok=True)
        return None
    with atomic_file(path, overwrite=True) as part:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        part.write_text("".join(lines), "utf-8", "backslashreplace")
    return path
