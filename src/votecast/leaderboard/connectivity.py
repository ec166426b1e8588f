"""Which models votes can compare: groups that met, at least through others, and groups that never lost.

Called before every fit of strengths, which are finite only within such groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from votecast.errors import DataError
from votecast.leaderboard.game_rows import Cells
from votecast.types import Bools, Ints

_SHOWN: Final = 8  # names in a sentence
_LONGEST: Final = 80  # characters of a name in a sentence


def join_names(names: Sequence[str]) -> str:
    """Join the first eight names by commas, truncating long ones.

    Example:
        >>> join_names(["x", "y"]), join_names(list("abcdefghij"))
        ('x, y', 'a, b, c, d, e, f, g, h and 2 more')
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    shown = (name if len(name) <= _LONGEST else f"{name[:_LONGEST]}\u2026" for name in names[:_SHOWN])
    return ", ".join(shown) + more


def comparable(names: Sequence[str], rows: Cells, disconnected: str) -> tuple[Bools, tuple[str, ...]]:
    """Return which of the named models can be ranked together, shape (models,), and notes.

    Raises:
        DataError: If `disconnected` is refuse, and there are groups of models without a comparison between them.
    """
    count, group = connected_components(_graph(rows.models, rows.first, rows.second), directed=False)
    if count <= 1:
        return np.ones(rows.models, dtype=bool), ()
    sizes, weights = np.bincount(group), np.bincount(group[rows.first], rows.votes.sum(axis=1), minlength=count)
    order = np.lexsort((np.arange(count), -weights, -sizes))
    members = [[name for name, of in zip(names, group, strict=True) if of == each] for each in order]
    if disconnected == "refuse":
        shown = "; ".join(f"({join_names(each)})" for each in members[:_SHOWN])
        more = f" and {len(members) - _SHOWN} more groups" if len(members) > _SHOWN else ""
        raise DataError(
            f"the votes compare {rows.models} models in {count} groups that never met, not even through third models: "
            f"{shown}{more}; scores of different groups say nothing about each other: give votes between the "
            'groups, or rank the largest group alone with --disconnected largest (disconnected="largest")'
        )
    left_out = [name for each in members[1:] for name in each]
    lost = int(np.sum(group[rows.first] != order[0]))
    note = (
        f"{join_names(left_out)} left out, and {lost:,} of {len(rows):,} rows of votes with them: never compared with "
        f"the largest group of {len(members[0])} models, not even through third models"
    )
    return group == order[0], (note,)


def loss_groups(cells: Cells) -> Ints:
    """Number the groups within which every model lost or drew."""
    # strengths are finite if and only if all models are of one such group (Ford 1957, assumption of section 2)
    won = cells.votes[:, 0] + 0.5 * cells.votes[:, 2] > 0
    lost = cells.votes[:, 1] + 0.5 * cells.votes[:, 2] > 0
    return _strong_groups(cells, won, lost)


def bounds_ties(cells: Cells) -> bool:
    """Return whether the number for ties is finite."""
    # only where models beat each other in a circle (a over b over a is one): without one, ever larger chances of a tie
    # and ever larger leads fit ever better
    groups = _strong_groups(cells, cells.votes[:, 0] > 0, cells.votes[:, 1] > 0)
    return len(np.unique(groups)) < cells.models


def _strong_groups(cells: Cells, won: Bools, lost: Bools) -> Ints:
    above = np.concatenate([cells.first[won], cells.second[lost]])
    below = np.concatenate([cells.second[won], cells.first[lost]])
    found = connected_components(_graph(cells.models, above, below), directed=True, connection="strong")[1]
    return np.asarray(found, dtype=np.int64)


def _graph(models: int, above: Ints, below: Ints) -> coo_matrix:
    return coo_matrix((np.ones(len(above)), (above, below)), shape=(models, models)).tocsr()
