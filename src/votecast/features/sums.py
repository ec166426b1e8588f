"""Arithmetic that a text claims: how many sums of whole or decimal numbers are right, how many wrong."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from votecast.features.codes import Texts

_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)"
_SUM = re.compile(_NUMBER + r"\s{0,2}([-+*/×÷x])\s{0,2}" + _NUMBER + r"\s{0,2}=\s{0,2}\$?" + _NUMBER)
_MOST = 100


def sums_of(texts: Texts) -> dict[str, NDArray[np.float64]]:
    """Count right and wrong sums, differences, products and quotients, such as `12 + 30 = 42`.

    Args:
        texts: The texts.

    Returns:
        Logarithms of the counts, one value a text.
    """
    counts = np.zeros((len(texts), 2))
    equal = np.flatnonzero(texts.codes == ord("="))
    hits = np.searchsorted(equal, texts.starts)
    for row in np.flatnonzero(np.diff(hits)).tolist():
        for place in equal[hits[row] : min(hits[row + 1], hits[row] + _MOST)].tolist():
            first = max(int(texts.starts[row]), place - 30)
            window = texts.codes[first : place + 20].astype("<u4").tobytes().decode("utf-32-le")
            for found in _SUM.finditer(window):
                if found.start() < place - first < found.end():
                    counts[row, int(not is_right(*found.groups()))] += 1
    return {"right_sums": np.log1p(counts[:, 0]), "wrong_sums": np.log1p(counts[:, 1])}


def is_right(left: str, sign: str, right: str, claimed: str) -> bool:
    """Whether `left sign right = claimed` holds to the digits that are written.

    Example:
        >>> is_right("12", "+", "30", "42"), is_right("10", "/", "3", "3.33"), is_right("2", "*", "2", "5")
        (True, True, False)
    """
    x, y = float(left), float(right)
    if sign in "/÷" and y == 0:
        return False
    value = {"+": x + y, "-": x - y, "*": x * y, "×": x * y, "x": x * y}.get(sign, x / y if y else 0.0)
    digits = len(claimed.partition(".")[2])
    return (
        abs(value - float(claimed)) <= 0.5 * 10.0**-digits + 1e-9
        if digits or sign in "/÷"
        else abs(value - float(claimed)) < 1e-9
    )
