"""The texts of battles as a template reads them, before they are tokenized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.cells import json_cell
from votecast.text.pieces import Counts
from votecast.text.sequences import offsets_of
from votecast.text.settings import TextSettings

Turns = Sequence[str | None]

_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True)
class Columns:
    """Prompt, A and B, each with the same number of turns in a row.

    Args:
        texts: The turns of each column, all rows one after the other.
        rows: Where each row starts among the turns, and the end of the last, shape (n + 1,).
        dropped: Characters of each column and turn that were dropped from it or behind it, shape (3, turns).
    """

    texts: tuple[list[str], list[str], list[str]]
    rows: Counts
    dropped: Counts

    @property
    def hidden(self) -> Counts:
        """Roughly the tokens that were dropped."""
        return -(-self.dropped // _CHARACTERS_A_TOKEN)


def read_columns(battles: Battles, settings: TextSettings) -> Columns:
    """The texts of battles; a turn that was never written is empty, and lists of different lengths are filled up."""
    texts: tuple[list[str], list[str], list[str]] = ([], [], [])
    turns: list[int] = []
    dropped: list[tuple[int, int, int]] = []
    columns = [battles.column(name).to_pylist() for name in TEXT_COLUMNS]
    for cells in zip(*columns, strict=True):
        row = _row(cells, settings)
        gone = [(0, 0, 0)] * len(row)
        if settings.characters is not None:
            row, gone = _shortened(row, settings.characters)
        turns.append(len(row))
        dropped.extend(gone)
        for column, text in zip(texts, zip(*row, strict=True), strict=True):
            column.extend(text)
    return Columns(texts, offsets_of(np.array(turns, np.int64)), np.array(dropped, np.int64).reshape(-1, 3).T)


def _row(cells: Sequence[Turns], settings: TextSettings) -> list[tuple[str, str, str]]:
    """The turns of a battle: (prompt, A, B) each; at least one."""
    if settings.raw_cell:
        return [(json_cell(cells[0]), json_cell(cells[1]), json_cell(cells[2]))]
    most = 1 if settings.only_first else max(1, *map(len, cells))
    filled = [[turn or "" for turn in cell[:most]] + [""] * (most - len(cell)) for cell in cells]
    return list(zip(*filled, strict=True))


def _shortened(
    row: list[tuple[str, str, str]], most: tuple[int, int, int]
) -> tuple[list[tuple[str, str, str]], list[tuple[int, int, int]]]:
    """System 2's rule: late turns go until all has `most[0]` characters; a single turn that is too long is cut."""
    used, stays = 0, 0
    for turn in row:
        used += sum(map(len, turn))
        if used > most[0]:
            break
        stays += 1
    kept = row[:stays]
    if not kept:
        prompt, a, b = row[0]
        kept = [(prompt[: most[1]], a[: most[2]], b[: most[2]])]
    lost = [sum(len(turn[part]) for turn in row) - sum(len(turn[part]) for turn in kept) for part in range(3)]
    return kept, [(0, 0, 0)] * (len(kept) - 1) + [(lost[0], lost[1], lost[2])]


def joined_turns(texts: Sequence[str], rows: Counts, joint: str) -> list[str]:
    """The turns of each row with a joint between each two."""
    return [joint.join(texts[start:stop]) for start, stop in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True)]


def led_turns(texts: Sequence[str], rows: Counts, joint: str, lead: str) -> list[str]:
    """Each turn with what stands before it: the lead before the first that holds text, the joint before the others.

    Example:
        >>> led_turns(["", "a", "", "b"], np.array([0, 4]), "/", " ")
        ['', ' a', '', '/b']
    """
    if not (joint or lead):
        return list(texts)
    out = []
    for start, stop in zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True):
        before = lead
        for text in texts[start:stop]:
            out.append(before + text if text else "")
            before = joint if text else before
    return out
