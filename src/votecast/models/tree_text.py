"""Check a LightGBM model in text before LightGBM, whose parser trusts its input, reads it.

`models.boosting` and `judges.tree_stack` write and read their trees through it. Only what a prediction needs is kept,
number by number, so that LightGBM never sees a byte that somebody else wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from votecast.types import Floats, Ints

MOST_LEAVES: Final = 4096
"""Leaves of a tree; the setting `trees.leaves` allows no more."""

_OUTPUTS = 2  # strength and closeness
_MOST_COLUMNS = 100_000
_MOST_VALUE = 1e9  # of a leaf, in logits: sums over all trees stay finite
_MOST_COUNT = 2**31 - 1
_DECISIONS = (0, 2, 4, 6, 8, 10)  # numerical splits: where missing values go (bit 2), and which count (bits 4, 8)
_NAME = re.compile(r"[A-Za-z0-9_]{1,100}")


def check_trees(text: str, columns: int | None = None) -> str:
    r"""Check a model of two outputs in LightGBM's text format, and return what predictions need of it.

    Every tree must be whole: as many numbers as its leaves ask for, every node and leaf reached once, from a parent
    that stands before it, every split on a column that exists, and every number finite.

    Args:
        text: What `Booster.model_to_string` returned, or a file that claims to be that; empty for no trees.
        columns: How many columns the trees must read; None takes what the text says.

    Returns:
        The same model without the parameters and statistics of its training; empty for no trees.

    Raises:
        ValueError: If anything is missing, impossible, or of another kind of model.

    Example:
        >>> check_trees("tree\nversion=v4\nnum_class=3\nend of trees\n")
        Traceback (most recent call last):
            ...
        ValueError: num_class is '3', expected 2
    """
    if not text:
        return ""
    body, end, _ = text.partition("\nend of trees\n")
    if not end:
        raise ValueError("the line 'end of trees' is missing")
    header, *trees = body.split("\nTree=")
    facts = _fields(header.splitlines()[1:])
    if not header.startswith("tree\n") or "average_output" in header.split("\n"):
        raise ValueError("it is not a model of boosted trees")
    for name in ("num_class", "num_tree_per_iteration"):
        if facts.get(name) != str(_OUTPUTS):
            raise ValueError(f"{name} is {facts.get(name)!r}, expected {_OUTPUTS}")
    width = 1 + int(_integers(facts, "max_feature_idx", 1, 0, _MOST_COLUMNS - 1)[0])
    if columns is not None and width != columns:
        raise ValueError(f"its trees read {width} columns, expected {columns}")
    if len(trees) % _OUTPUTS:
        raise ValueError(f"it has {len(trees)} trees, expected a multiple of {_OUTPUTS}")
    names = facts.get("feature_names", "").split(" ")
    if len(names) != width or not all(map(_NAME.fullmatch, names)):
        raise ValueError(f"feature_names should be {width} plain words")
    lines = [
        "tree\nversion=v4",
        f"num_class={_OUTPUTS}\nnum_tree_per_iteration={_OUTPUTS}\nlabel_index=0\nmax_feature_idx={width - 1}",
        f"feature_names={' '.join(names)}\nfeature_infos={' '.join(['none'] * width)}\n",
    ]
    for number, tree in enumerate(trees):
        first, *rest = tree.split("\n")
        if first != str(number):
            raise ValueError(f"tree {number} is named {first[:20]!r}")
        try:
            lines += [f"Tree={number}", *_tree_lines(_fields(rest), width), ""]
        except ValueError as error:
            raise ValueError(f"tree {number}: {error}") from error
    return "\n".join([*lines, "end of trees", ""])


def _tree_lines(tree: Mapping[str, str], columns: int) -> Iterator[str]:
    """Yield the lines of one checked tree."""
    leaves = int(_integers(tree, "num_leaves", 1, 1, MOST_LEAVES)[0])
    if tree.get("num_cat") != "0" or tree.get("is_linear", "0") != "0":
        raise ValueError("it has categorical splits or linear leaves, which votecast does not make")
    yield f"num_leaves={leaves}"
    yield "num_cat=0"
    nodes = leaves - 1
    if nodes:
        left, right = (_integers(tree, f"{side}_child", nodes, -leaves, nodes - 1) for side in ("left", "right"))
        children = np.concatenate([left, right])
        # leaf k is written as -1 - k; node 0 is the root, which no other node leads to
        whole = np.concatenate([np.arange(-leaves, 0), np.arange(1, nodes)])
        if not np.array_equal(np.sort(children), whole):
            raise ValueError("left_child and right_child do not reach every node and leaf once")
        if ((children >= 0) & (children <= np.tile(np.arange(nodes), 2))).any():
            raise ValueError("left_child or right_child leads back to an earlier node")
        decisions = _integers(tree, "decision_type", nodes, 0, max(_DECISIONS))
        if not np.isin(decisions, _DECISIONS).all():
            raise ValueError(f"decision_type should be one of {', '.join(map(str, _DECISIONS))}")
        yield _line("split_feature", _integers(tree, "split_feature", nodes, 0, columns - 1))
        yield _line("threshold", _numbers(tree, "threshold", nodes, np.finfo(np.float64).max))
        yield _line("decision_type", decisions)
        yield _line("left_child", left)
        yield _line("right_child", right)
    yield _line("leaf_value", _numbers(tree, "leaf_value", leaves, _MOST_VALUE))
    if nodes:  # contributions divide by the rows of a node
        yield _line("leaf_count", _integers(tree, "leaf_count", leaves, 1, _MOST_COUNT))
        yield _line("internal_count", _integers(tree, "internal_count", nodes, 1, _MOST_COUNT))
    yield "is_linear=0"
    yield "shrinkage=1"


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the keys and values of lines `key=value`."""
    pairs = [line.partition("=")[::2] for line in lines if "=" in line]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a line occurs twice")
    return found


def _integers(fields: Mapping[str, str], name: str, size: int, least: int, most: int) -> Ints:
    """Return the integers of a line; ValueError if they are not `size` numbers from `least` to `most`."""
    words = fields.get(name, "").split()
    try:
        found = np.array([int(word) for word in words if len(word) < 20], dtype=np.int64)
    except ValueError:
        found = np.empty(0, dtype=np.int64)
    if len(found) != size or len(words) != size or ((found < least) | (found > most)).any():
        raise ValueError(f"{name} should be {size} integers from {least} to {most}")
    return found


def _numbers(fields: Mapping[str, str], name: str, size: int, most: float) -> Floats:
    """Return the numbers of a line; ValueError if they are not `size` finite ones of at most `most`."""
    words = fields.get(name, "").split()
    try:
        found = np.array([float(word) for word in words], dtype=np.float64)
    except ValueError:
        found = np.empty(0)
    if len(found) != size or not (np.abs(found) <= most).all():  # NaN is not at most anything
        raise ValueError(f"{name} should be {size} finite numbers of at most {most:g}")
    return found


def _line(name: str, values: Floats | Ints) -> str:
    """Write numbers as LightGBM does: 17 digits keep every bit."""
    return f"{name}=" + " ".join(
        format(value, ".17g" if values.dtype == np.float64 else "d") for value in values.tolist()
    )
