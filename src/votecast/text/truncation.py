"""Choose the tokens of a battle that stay when there are more than `max_length`.

The encoder calls `plan_truncation`; judges report the result as `TruncationReport`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from votecast.text.sequences import (
    Bools,
    Ints,
    Sequences,
    TurnTokens,
    assemble,
    offsets_of,
    per_row,
    ranges,
    within_row,
)
from votecast.text.settings import TextSettings
from votecast.text.tokenization import Tokenizer


def in_shares(needs: Ints, budget: Ints, prompt_share: float) -> Ints:
    """Share out unevenly: the prompt's share, half of the rest for A, the remainder for B.

    Args:
        needs: Tokens of prompt and responses, in their order, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share that the prompt has at most.

    Example:
        >>> in_shares(np.array([[200, 300, 300], [9, 900, 9]]), np.array([510, 510]), 0.25).tolist()
        [[127, 191, 192], [9, 250, 9]]
    """
    kept = np.empty_like(needs)
    kept[:, 0] = np.minimum(needs[:, 0], (budget * prompt_share).astype(np.int64))
    left = budget - kept[:, 0]
    for part in range(1, needs.shape[1]):
        last = part == needs.shape[1] - 1
        kept[:, part] = np.minimum(needs[:, part], left if last else left // 2)
        left = left - kept[:, part]
    return kept


def balanced(needs: Ints, budget: Ints, prompt_share: float) -> Ints:
    """Share out independently of the order of the responses; unused tokens go to the other parts.

    Args:
        needs: Tokens of prompt and responses, shape (n, parts).
        budget: Tokens to share out in each row, shape (n,).
        prompt_share: Share of the prompt; the responses share the rest equally.

    Returns:
        Tokens of each part, at most its needs, in all at most the budget. An odd last token that both responses need
        goes to neither.

    Example:
        >>> balanced(np.array([[300, 300, 300], [10, 300, 50]]), np.array([100, 100]), 0.2).tolist()
        [[20, 40, 40], [10, 45, 45]]
    """
    prompt, answers = needs[:, 0], needs[:, 1:]
    per_token = prompt_share / (1 - prompt_share) * answers.shape[1]
    low = np.minimum(budget // answers.shape[1], 1)
    high = np.maximum(low, budget)
    while (low < high).any():  # bisect: the most tokens a response can have while the prompt has its share
        middle = (low + high + 1) // 2
        own = np.ceil(middle * per_token - 1e-9).astype(np.int64)
        fits = np.minimum(answers, middle[:, None]).sum(axis=1) + np.minimum(prompt, own) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    kept = np.empty_like(needs)
    kept[:, 1:] = np.minimum(answers, low[:, None])
    kept[:, 0] = np.minimum(prompt, budget - kept[:, 1:].sum(axis=1))
    return kept


def level(needs: Ints, rows: Ints, budget: Ints) -> Ints:
    """Share out equally among the turns of each row; unused tokens go to the other turns.

    Example:
        >>> level(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 48, 47]
    """
    turns = np.diff(rows)
    low, high = np.zeros(len(turns), np.int64), np.maximum(budget, 0)
    while (low < high).any():  # bisect: the most tokens that every turn can have
        middle = (low + high + 1) // 2
        fits = per_row(np.minimum(needs, np.repeat(middle, turns)), rows) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    each = np.repeat(low, turns)
    kept = np.minimum(needs, each)
    needy = (needs > each).astype(np.int64)
    spare = np.repeat(budget - per_row(kept, rows), turns)
    return kept + (needy * (within_row(needy, rows) < spare)).astype(np.int64)


def fill(needs: Ints, rows: Ints, budget: Ints) -> Ints:
    """Give the turns of each row what they need, the first first, until the budget is used.

    Example:
        >>> fill(np.array([5, 90, 90]), np.array([0, 3]), np.array([100])).tolist()
        [5, 90, 5]
    """
    kept: Ints = np.clip(np.repeat(budget, np.diff(rows)) - within_row(needs, rows), 0, needs)
    return kept


@dataclass(frozen=True)
class Room:
    """Budget of a sequence.

    Args:
        total: Tokens of a sequence, less those that are in every one.
        frames: Tokens of a chat's frames by its number of turns, from 0 turns on; longer chats do not fit. None where
            the texts are laid out column by column, and turns have no frame.
        lent: Tokens over `total` that are shared out and then taken from the last response: 1 for "shares".
    """

    total: int
    frames: Ints | None = None
    lent: int = 0

    def for_texts(self, turns: Ints) -> Ints:
        """Return the tokens left for the texts of rows of so many turns; negative where the frames do not fit."""
        if self.frames is None:
            return np.full(len(turns), self.total, np.int64)
        known = len(self.frames) - 1
        return np.where(turns > known, -1, self.total - self.frames[np.minimum(turns, known)])


def plan_truncation(
    needs: Ints, rows: Ints, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings
) -> tuple[Bools, list[Ints]]:
    """Decide which turns stay, and how many tokens of each.

    Args:
        needs: Tokens of prompt, A and B, shape (turns, 3).
        rows: First turn of each battle, and the end of the last, shape (n + 1,).
        sides: The sequences of a battle, as the parts in each: one with all three, or two with one response each. All
            show the same turns.
        room: The budget of a sequence.
        settings: The settings of the truncation.

    Returns:
        Which turns stay, shape (turns,), and for each side the tokens kept of each turn and part, shape (turns, parts).
    """
    turns = np.diff(rows)
    stays = np.ones(len(needs), np.bool_)
    kept = [needs[:, list(side)] for side in sides]
    over = np.full(len(turns), settings.cut == "shares")  # truncates even where all would fit
    for part in kept:
        over |= per_row(part.sum(axis=1), rows) > room.for_texts(turns)
    if not over.any():
        return stays, kept
    # Only the battles that are too long are planned.
    which = ranges(rows[:-1][over], turns[over])
    needs, rows = needs[which], offsets_of(turns[over])
    shown = _choose_turns(needs, rows, sides, room, settings)
    stays[which] = shown
    budget = room.for_texts(per_row(shown, rows))
    for part, side in zip(kept, sides, strict=True):
        part[which] = _choose_tokens(needs[:, list(side)] * shown[:, None], rows, budget, room, settings)
    return stays, kept


def _choose_turns(needs: Ints, rows: Ints, sides: Sequence[Sequence[int]], room: Room, settings: TextSettings) -> Bools:
    """Mark the turns that stay, shape (turns,)."""
    turns = np.diff(rows)
    number = ranges(np.zeros_like(turns), turns)  # place of each turn in its battle
    stays = np.ones(len(needs), np.bool_)
    if settings.cut in ("right", "left", "shares"):
        if room.frames is None:
            return stays
        # As many turns as leave half of the room to their texts.
        most = max(1, int(np.searchsorted(room.frames, room.total // 2, side="right")) - 1)
        return np.asarray(np.repeat(turns, turns) - number <= most if settings.cut == "left" else number < most)
    for side in sides:
        own = needs[:, list(side)].sum(axis=1)
        if settings.cut != "drop_turns":
            own = np.minimum(own, settings.floor)
        stays &= (number == 0) | (within_row(own, rows) + own <= room.for_texts(number + 1))
    if settings.cut == "drop_turns":
        return stays
    # Where a response would lose all its turns, the first turn of each part stays instead of the first turns.
    lost = np.zeros(len(turns), np.bool_)
    for column in needs[:, 1:].T:
        lost |= (per_row(column, rows) > 0) & (per_row(column * stays, rows) == 0)
    first = np.zeros_like(stays)
    for column in needs.T:
        first |= (column > 0) & (within_row(column, rows) == 0)
    return np.where(np.repeat(lost, turns), first, stays)


def _choose_tokens(needs: Ints, rows: Ints, budget: Ints, room: Room, settings: TextSettings) -> Ints:
    """Return the tokens kept of each turn and part, shape (turns, parts)."""
    turns = np.diff(rows)
    totals = np.stack([per_row(column, rows) for column in needs.T], axis=1)  # (n, parts)
    if settings.cut == "shares":
        shares = in_shares(totals, budget + room.lent, settings.share)
        shares[:, -1] -= np.maximum(shares.sum(axis=1) - budget, 0)
        return np.stack([fill(need, rows, share) for need, share in zip(needs.T, shares.T, strict=True)], axis=1)
    if settings.cut in ("right", "left"):
        if room.frames is not None:  # turn by turn
            before = within_row(needs.sum(axis=1), rows)[:, None] + np.cumsum(needs, axis=1) - needs
        else:  # column by column
            inside = np.stack([within_row(column, rows) for column in needs.T], axis=1)
            before = np.repeat(np.cumsum(totals, axis=1) - totals, turns, axis=0) + inside
        room_for = np.repeat(budget, turns)[:, None] - before
        if settings.cut == "left":
            excess = np.maximum(totals.sum(axis=1) - budget, 0)
            room_for = before + needs - np.repeat(excess, turns)[:, None]
        return np.asarray(np.clip(room_for, 0, needs), np.int64)
    share = settings.share
    if settings.cut == "drop_turns" and settings.prompt_share is None and needs.shape[1] == 2:
        share = 1 / 4  # one response: system 2 keeps 1000 characters of the prompt for 3000 of the response
    return balanced(needs, level(needs.sum(axis=1), rows, budget), share)


def keep_ends(turns: TurnTokens, budget: Ints, tokenizer: Tokenizer) -> tuple[Sequences, Ints]:
    """Keep both ends of every turn that is too long, around a mark " (… 1204 characters) ".

    The first end has one token more where the budget is odd. Where there is no room for the mark and a token on both
    sides of it, the first tokens stay without a mark.

    Args:
        turns: The turns, with the ends of their tokens.
        budget: Tokens for each turn, mark included, shape (turns,).
        tokenizer: Encodes the marks.

    Returns:
        One row a turn, and the tokens of text in each, shape (turns,).
    """
    assert turns.ends is not None
    starts, stops, lengths = turns.tokens.offsets[:-1], turns.tokens.offsets[1:], turns.tokens.lengths
    head, tail = np.minimum(budget, lengths), np.zeros_like(budget)
    cut = np.flatnonzero((budget < turns.full) & (budget > 0))
    reserved = np.zeros(len(cut), np.int64)
    while True:  # the mark of more missing characters can be longer, and then leaves less room
        left = np.maximum(budget[cut] - reserved, 0)
        marked = left >= 2
        first = np.where(marked, (left + 1) // 2, head[cut])
        last = np.where(marked, left // 2, 0)
        missing = turns.ends[stops[cut] - last - 1].astype(np.int64) - turns.ends[starts[cut] + first - 1]
        counts, which = np.unique(missing, return_inverse=True)
        marks = Sequences.from_lists(tokenizer.encode([f" (… {count} characters) " for count in counts])).take(which)
        longer = marked & (marks.lengths > reserved)
        if not longer.any():
            break
        reserved = np.where(longer, marks.lengths, reserved)
    head[cut], tail[cut] = first, last
    mark_lengths = np.zeros(len(budget), np.int64)
    mark_lengths[cut] = np.where(marked, marks.lengths, 0)
    middle = Sequences(marks.take(np.flatnonzero(marked)).ids, offsets_of(mark_lengths))
    ends = [turns.tokens.spans(starts, head), middle, turns.tokens.spans(stops - tail, tail)]
    return assemble([(part, 0) for part in ends], len(budget), types=False), head + tail


PARTS = ("prompt", "a", "b")


@dataclass(frozen=True)
class TruncationReport:
    """Tokens of prompt and responses before and after truncation.

    Args:
        kept: Tokens kept of prompt, A and B, shape (n, 3).
        full: Tokens before truncation, shape (n, 3).

    Example:
        >>> cut = TruncationReport(np.array([[2, 3, 3], [1, 1, 1]]), np.array([[4, 3, 6], [1, 1, 1]]))
        >>> cut.rows_cut, cut.to_dict()
        (1, {'rows': 2, 'rows_cut': 1, 'kept': {'prompt': 0.6, 'a': 1.0, 'b': 0.571}})
    """

    kept: Ints
    full: Ints

    @classmethod
    def concat(cls, parts: Sequence[TruncationReport]) -> TruncationReport:
        """Put the rows of all parts one after the other."""
        empty = np.zeros((0, 3), np.int64)
        return cls(
            np.concatenate([empty, *(part.kept for part in parts)]),
            np.concatenate([empty, *(part.full for part in parts)]),
        )

    @classmethod
    def of_answers(cls, a: TruncationReport, b: TruncationReport) -> TruncationReport:
        """Combine the reports of (prompt, A) and (prompt, B); the prompt's is that of the shorter."""
        kept, full = a.kept + b.kept, a.full + b.full
        kept[:, 0], full[:, 0] = np.minimum(a.kept[:, 0], b.kept[:, 0]), a.full[:, 0]
        return cls(kept, full)

    def __len__(self) -> int:
        return len(self.full)

    def take(self, indices: ArrayLike) -> TruncationReport:
        """Return the rows at these positions, in this order."""
        rows = np.asarray(indices, np.int64)
        return TruncationReport(self.kept[rows], self.full[rows])

    @property
    def cut(self) -> Bools:
        """Whether each row lost a token, shape (n,)."""
        return np.asarray((self.kept < self.full).any(axis=1))

    @property
    def rows_cut(self) -> int:
        """Number of rows that lost a token."""
        return int(self.cut.sum())

    def to_dict(self) -> dict[str, object]:
        """Return the number of rows, of truncated rows, and the share of the tokens kept of each part."""
        kept, full = self.kept.sum(axis=0), self.full.sum(axis=0)
        shares = {part: round(float(k / f), 3) if f else 1.0 for part, k, f in zip(PARTS, kept, full, strict=True)}
        return {"rows": len(self), "rows_cut": self.rows_cut, "kept": shares}
