"""Sequences to rewards: each distinct one once, and what cannot be scored set apart with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from votecast.errors import JudgeError
from votecast.models.reward.cache import ScoreCache
from votecast.text.sequences import Sequences

_COMMITTED = 256
"""Sequences after which a cache is written to."""

Encode = Callable[[Sequences], NDArray[np.float32]]
"""From m sequences to their rewards, shape (m, 1)."""


@dataclass
class Memo:
    """Rewards that are known already, by content.

    Args:
        rewards: Finite rewards.
        reasons: Why there is none.
    """

    rewards: dict[bytes, float] = field(default_factory=dict)
    reasons: dict[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewards:
    """Rewards of sequences.

    Args:
        values: Shape (n,); not a number where there is none.
        reasons: Why, for each of these.
    """

    values: NDArray[np.float64]
    reasons: dict[int, str]


def rewards_of(sequences: Sequences, encode: Encode, memo: Memo, cache: ScoreCache | None = None) -> Rewards:
    """Score sequences, each content once.

    What is computed together depends on the contents alone, not on their order, so that exchanged answers get the same
    rewards to the last bit.

    Args:
        sequences: n rows of token ids.
        encode: Called with distinct sequences, the longest first.
        memo: What is known; what is found is added.
        cache: A file asked first and added to.

    Raises:
        JudgeError: If the network fails for another reason than one sequence being too long for the memory.
    """
    contents = [_content(sequences, row) for row in range(len(sequences))]
    first = {content: row for row, content in reversed(list(enumerate(contents)))}
    new = [content for content in first if content not in memo.rewards and content not in memo.reasons]
    if cache is not None and new:
        memo.rewards |= cache.find(new)
        new = [content for content in new if content not in memo.rewards]
    new.sort(key=lambda content: (-len(content), content))
    step = len(new) if cache is None else _COMMITTED
    for start in range(0, len(new), max(step, 1)):
        part = new[start : start + step]
        _score(sequences.take([first[content] for content in part]), part, encode, memo)
        if cache is not None:
            cache.add((content, memo.rewards[content]) for content in part if content in memo.rewards)
    values = np.array([memo.rewards.get(content, np.nan) for content in contents], np.float64)
    reasons = {row: memo.reasons[content] for row, content in enumerate(contents) if content in memo.reasons}
    return Rewards(values, reasons)


def _score(part: Sequences, contents: list[bytes], encode: Encode, memo: Memo) -> None:
    """Score distinct sequences, longest first; those that do not fit into the memory are left out one by one."""
    start = 0
    while start < len(contents):
        try:
            found = encode(part.take(np.arange(start, len(contents))))[:, 0].astype(np.float64)
        except JudgeError as error:
            if not isinstance(error.__cause__, torch.OutOfMemoryError):
                raise
            memo.reasons[contents[start]] = str(error)
            start += 1
            continue
        for content, reward in zip(contents[start:], found.tolist(), strict=True):
            if np.isfinite(reward):
                memo.rewards[content] = reward
            else:
                memo.reasons[content] = f"its reward is {reward}, which is no number to compare"
        return


def _content(sequences: Sequences, row: int) -> bytes:
    start, stop = int(sequences.offsets[row]), int(sequences.offsets[row + 1])
    ids = np.ascontiguousarray(sequences.ids[start:stop], np.int32).tobytes()
    if sequences.types is None:
        return ids
    return ids + hashlib.sha256(sequences.types[start:stop].tobytes()).digest()
