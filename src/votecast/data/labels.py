"""Read votes as files write them: names of the winner, one-hot columns, soft labels, weights.

The formats call these on every batch. There is no default label: an unknown one is a bad row.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import SCHEMA
from votecast.data.cells import json_kind
from votecast.data.row_batch import RowBatch
from votecast.types import BOTH_BAD_NAMES, CLASSES, NO_VOTE_NAMES, WINNER_NAMES, rescale_shares

ONE_HOT = ("winner_model_a", "winner_model_b", "winner_tie")
BOTH_BAD = "both_bad"
"""The column, behind those of the schema, that marks ties that were votes against both answers."""

RESCALED = "rounded probabilities rescaled to sum to 1"
"""The kind of repair of a soft label."""

_SOFT = SCHEMA.field("probabilities").type
# pandas writes 1 as 1.0 in a column that once had missing values.
_DIGITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_KEYS = pa.array(list(WINNER_NAMES), pa.large_string())
_CLASS_OF_KEY = pa.array(list(WINNER_NAMES.values()), pa.large_string())
_BOTH_BAD_KEYS = pa.array(sorted(BOTH_BAD_NAMES), pa.large_string())
_NO_VOTE_KEYS = pa.array(sorted(NO_VOTE_NAMES), pa.large_string())
_YES = pa.array(["1", "1.0", "true"], pa.large_string())
_CLASSES = pa.array(list(CLASSES), pa.large_string())
_DIGIT_NAMES = pa.array(list(_DIGITS), pa.large_string())
_WINNERS_ALLOWED = (
    "allowed are a, model_a, b, model_b, tie, both_bad, tie (bothbad), A>B, A=B, B>A, or nothing for no vote"
)
_SOFT_ALLOWED = (
    "allowed are three numbers from 0 to 1 that sum to 1, as a list in the order a, b, tie or an object with these keys"
)


def read_winner(batch: RowBatch, name: str = "winner", *, required: bool = True) -> pa.Array:
    """Read a column of winners as classes or null; an unknown winner is a fault, a missing one too if required."""
    given = batch.text(name)
    keys = _winner_keys(given)
    codes = pc.index_in(keys, _KEYS)
    if codes.null_count:
        missing = pc.or_kleene(pc.is_null(given), pc.is_in(keys, _NO_VOTE_KEYS))
        lost = pc.is_null(codes) if required else pc.and_(pc.is_null(codes), pc.invert(missing))
        for position in np.flatnonzero(lost.to_numpy(zero_copy_only=False)).tolist():
            if missing[position].as_py():
                batch.fault_missing(position, name)
            else:
                batch.fault(position, name, given[position].as_py(), f"the label is unknown; {_WINNERS_ALLOWED}")
    return _CLASS_OF_KEY.take(codes)


def read_both_bad(batch: RowBatch, winner: pa.Array | None) -> pa.Array:
    """Find the votes against both answers, which `read_winner` reads as ties, as an array of type bool.

    Args:
        batch: The batch; a column `BOTH_BAD` of an earlier export counts too.
        winner: The votes as they were read, None where they were not; only ties can be against both answers.
    """
    is_named = pc.is_in(_winner_keys(batch.text("winner")), _BOTH_BAD_KEYS)
    bad = batch.spread(pc.or_(is_named, pc.is_in(_winner_keys(batch.text(BOTH_BAD)), _YES)))
    return bad if winner is None else pc.and_(bad, pc.fill_null(pc.equal(winner, "tie"), fill_value=False))


def read_one_hot(batch: RowBatch, *, required: bool = True) -> pa.Array:
    """Read the three columns of the LMSYS files as classes: exactly one is 1, or all are missing: no vote."""
    columns = []
    unvoted = np.ones(len(batch), dtype=bool)
    given = [batch.text(name) for name in ONE_HOT]
    for texts in given:
        missing = pc.or_kleene(pc.is_null(texts), pc.is_in(_winner_keys(texts), _NO_VOTE_KEYS))
        unvoted &= missing.to_numpy(zero_copy_only=False)
    for name, texts in zip(ONE_HOT, given, strict=True):
        codes = pc.index_in(texts, _DIGIT_NAMES)
        codes = codes if not codes.null_count else pc.index_in(_winner_keys(texts), _DIGIT_NAMES)
        lost = pc.is_null(codes).to_numpy(zero_copy_only=False) & (required | ~unvoted)
        for position in np.flatnonzero(lost).tolist():
            if texts[position].as_py() is None:
                batch.fault_missing(position, name)
            else:
                batch.fault(position, name, texts[position].as_py(), "the label is unknown; allowed are 0 and 1")
        columns.append(np.array(list(_DIGITS.values()))[codes.fill_null(0).to_numpy(zero_copy_only=False)])
    # No default: a row with no 1, or with two, is a bad row.
    hot = np.stack(columns, axis=1)  # (n, 3)
    for position in np.flatnonzero((hot.sum(axis=1) != 1) & ~unvoted).tolist():
        shown = dict(zip(ONE_HOT, hot[position].tolist(), strict=True))
        which = "no winner is named" if not hot[position].any() else f"{hot[position].sum()} winners are named"
        batch.fault(position, ", ".join(ONE_HOT), shown, f"{which}; allowed is exactly one 1 among the three")
    return _CLASSES.take(pa.array(hot.argmax(axis=1), mask=unvoted))


def read_probabilities(batch: RowBatch) -> pa.Array:
    """Read soft labels: lists in class order, objects, or either as JSON text; others are a fault."""
    soft: list[list[float] | None] = [None] * len(batch)
    for position, value in enumerate(batch.values("probabilities")):
        value = batch.decoded(position, "probabilities", value)
        try:
            if value is not None:
                given = _soft_label(value)
                soft[position] = list(rescale_shares(given))
                batch.repair([RESCALED] if soft[position] != given else [], position)
        except ValueError as error:
            batch.fault(position, "probabilities", value, f"{error}; {_SOFT_ALLOWED}")
    return pa.array(soft, _SOFT)


def read_weight(batch: RowBatch) -> pa.Array:
    """Read the weights; a missing one is 1, one that is not a finite number of at least 0 is a fault."""
    weights = np.ones(len(batch))
    for position, text in enumerate(batch.text("weight").to_pylist()):
        try:
            weights[position] = 1.0 if text is None else float(text)
        except ValueError:
            weights[position] = math.nan
        if not 0 <= weights[position] < math.inf:
            reason = "the weight is not a number; allowed are finite numbers from 0 up"
            batch.fault(position, "weight", text, reason)
    return pa.array(weights)


def _winner_keys(names: pa.Array) -> pa.Array:
    """Return names as `winner_key` does; few are distinct, so that each is rewritten once."""
    encoded = names.dictionary_encode()
    keys = pc.utf8_lower(pc.replace_substring_regex(encoded.dictionary, r"[\s\p{Z}_-]+", ""))
    return keys.take(encoded.indices)


def _soft_label(value: object) -> list[float]:
    if isinstance(value, dict):
        if set(value) != set(CLASSES):
            raise ValueError(f"the keys are {', '.join(map(str, value)) or 'none'}")
        value = [value[name] for name in CLASSES]
    if not isinstance(value, list) or len(value) != len(CLASSES):
        raise ValueError(
            f"the soft label is {json_kind(value)}" + (f" of {len(value)}" if isinstance(value, list) else "")
        )
    wrong = next((p for p in value if isinstance(p, bool) or not isinstance(p, int | float)), None)
    if wrong is not None or None in value:
        raise ValueError(f"{json_kind(wrong)} is among the probabilities")
    return [float(p) for p in value]
