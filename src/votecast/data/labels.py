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
from votecast.types import CLASSES, rescale_shares

ONE_HOT = ("winner_model_a", "winner_model_b", "winner_tie")
WINNERS = {
    "a": "a",
    "model_a": "a",
    "b": "b",
    "model_b": "b",
    "tie": "tie",
    "tie (bothbad)": "tie",
    "both_bad": "tie",
    "bothbad": "tie",
}
"""Each name of a winner that files use, and its class; upper and lower case are one."""

BOTH_BAD = "both_bad"
"""The column, behind those of the schema, that marks ties that were votes against both answers."""

RESCALED = "rounded probabilities rescaled to sum to 1"
"""The kind of repair of a soft label."""

_SOFT = SCHEMA.field("probabilities").type
# pandas writes 1 as 1.0 in a column that once had missing values.
_DIGITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_NAMES = pa.array(list(WINNERS), pa.large_string())
_CLASS_OF_NAME = pa.array(list(WINNERS.values()), pa.large_string())
_BOTH_BAD_NAMES = pa.array(["tie (bothbad)", "both_bad", "bothbad"], pa.large_string())
_YES = pa.array(["1", "1.0", "true"], pa.large_string())
_CLASSES = pa.array(list(CLASSES), pa.large_string())
_DIGIT_NAMES = pa.array(list(_DIGITS), pa.large_string())
_WINNERS_ALLOWED = "allowed are " + ", ".join(WINNERS)
_SOFT_ALLOWED = (
    "allowed are three numbers from 0 to 1 that sum to 1, as a list in the order a, b, tie or an object with these keys"
)


def read_winner(batch: RowBatch, name: str = "winner", *, required: bool = True) -> pa.Array:
    """Read a column of winners as classes or null; an unknown winner is a fault, a missing one too if required."""
    return _CLASS_OF_NAME.take(_read_codes(batch, name, _NAMES, _WINNERS_ALLOWED, required=required))


def read_both_bad(batch: RowBatch, winner: pa.Array | None) -> pa.Array:
    """Find the votes against both answers, which `read_winner` reads as ties, as an array of type bool.

    Args:
        batch: The batch; a column `BOTH_BAD` of an earlier export counts too.
        winner: The votes as they were read, None where they were not; only ties can be against both answers.
    """
    is_named = pc.is_valid(_index_in(batch.text("winner"), _BOTH_BAD_NAMES))
    bad = pc.or_(is_named, pc.is_valid(_index_in(batch.text(BOTH_BAD), _YES)))
    return bad if winner is None else pc.and_(bad, pc.fill_null(pc.equal(winner, "tie"), fill_value=False))


def read_one_hot(batch: RowBatch) -> pa.Array:
    """Read the three columns of the LMSYS files as classes; exactly one of them must be 1 and the others 0."""
    columns = []
    for name in ONE_HOT:
        codes = _read_codes(batch, name, _DIGIT_NAMES, "allowed are 0 and 1", required=True)
        columns.append(np.array(list(_DIGITS.values()))[codes.fill_null(0).to_numpy(zero_copy_only=False)])
    # No default: a row with no 1, or with two, is a bad row.
    hot = np.stack(columns, axis=1)  # (n, 3)
    for position in np.flatnonzero(hot.sum(axis=1) != 1):
        shown = dict(zip(ONE_HOT, hot[position].tolist(), strict=True))
        which = "no winner is named" if not hot[position].any() else f"{hot[position].sum()} winners are named"
        batch.fault(int(position), ", ".join(ONE_HOT), shown, f"{which}; allowed is exactly one 1 among the three")
    return _CLASSES.take(pa.array(hot.argmax(axis=1)))


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


def _index_in(given: pa.Array, names: pa.Array) -> pa.Array:
    """Return the position of each text among the names, whatever its case and the spaces around it."""
    # Lower case and trimming cost more than the search: only when a name is not found as it is.
    exact = pc.index_in(given, names)
    return exact if not exact.null_count else pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(given)), names)


def _read_codes(batch: RowBatch, name: str, names: pa.Array, allowed: str, *, required: bool) -> pa.Array:
    """Return the position of each label among the names, null and a fault where it is unknown."""
    given = batch.text(name, required=required)
    codes = _index_in(given, names)
    if codes.null_count:
        unknown = pc.and_(pc.is_null(codes), pc.is_valid(given)).to_numpy(zero_copy_only=False)
        for position in np.flatnonzero(unknown).tolist():
            batch.fault(position, name, given[position].as_py(), f"the label is unknown; {allowed}")
    return codes


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
