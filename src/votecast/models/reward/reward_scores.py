"""Scores of prepared battles: each distinct sequence is scored once, and rows that cannot be scored get a reason.

`RewardModel.answers` calls it with the encoder and the network of the model.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from votecast.errors import JudgeError
from votecast.inference.engine import SequenceTooLongError
from votecast.models.neural.examples import NeuralPrepared
from votecast.models.reward.score_cache import ScoreCache
from votecast.text.encoder import Encoded
from votecast.text.sequences import Sequences
from votecast.text.truncation import TruncationReport
from votecast.types import Floats, Ints, Progress, no_progress

if TYPE_CHECKING:
    from votecast.models.reward.reward_model import RewardModel

_COMMITTED = 256  # sequences between two writes to a cache

Score = Callable[[Sequences], NDArray[np.float32]]
"""From m sequences to their rewards, shape (m, 1)."""
Encode = Callable[[NeuralPrepared], tuple[Encoded, ...]]
"""From m battles to their sequences with a and with b."""


@dataclass
class Memo:
    """Finite rewards by content, and the reasons why a content has none."""

    rewards: dict[bytes, float] = field(default_factory=dict)
    reasons: dict[bytes, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RewardPrepared(NeuralPrepared):
    """Tokenized battles, with what is known of their rewards.

    Args:
        length: How much longer answer a is than b, shape (n,); None where the link does not read it.
        memo: Rewards found so far; all parts of the same battles share them.
        maker: The member that prepared them, where its network is not trained: all members score with that one.
    """

    length: Floats | None = None
    memo: Memo = field(default_factory=Memo)
    maker: RewardModel | None = None

    def take(self, indices: ArrayLike) -> RewardPrepared:
        """Return the battles at these positions, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        length = None if self.length is None else self.length[rows]
        return type(self)(self.tokens.take(rows), length=length, memo=self.memo, maker=self.maker)


@dataclass(frozen=True)
class AnswerScores:
    """Rewards of the answers of n battles.

    Args:
        scores: The rewards of a and b, shape (n, 2); not numbers where a battle cannot be scored.
        reasons: Why, for each of these battles.
        cut: What was truncated of the others.
    """

    scores: Floats
    reasons: dict[int, str]
    cut: TruncationReport


def score_answers(
    prepared: NeuralPrepared,
    encode: Encode,
    score: Score,
    memo: Memo,
    cache: ScoreCache | None = None,
    progress: Progress = no_progress,
) -> AnswerScores:
    """Score both answers of every battle; a battle with one score is as one without, since one is of no use.

    Args:
        prepared: n battles.
        encode: From battles to their sequences; it may refuse some with a JudgeError.
        score: Called with distinct sequences, the longest first.
        memo: Known rewards; new ones are added.
        cache: A file of rewards that is read first and extended.
        progress: Called with the number of distinct sequences scored, at every write to the cache.

    Raises:
        JudgeError: If the network fails for another reason than one sequence being too long for the memory.
    """
    parts, reasons = _encode_parts(prepared, np.arange(len(prepared)), encode)
    rows = np.concatenate([np.arange(0), *(rows for rows, _ in parts)])  # battles that could be encoded, m of them
    scores, m = np.full((len(prepared), 2), np.nan), len(rows)
    if m:
        sides = [Sequences.concat([pair[side].sequences for _, pair in parts]) for side in (0, 1)]
        values, failed = _score_sequences(Sequences.concat(sides), score, memo, cache, progress)
        scores[rows] = values.reshape(2, m).T
        for place, reason in failed.items():
            reasons.setdefault(int(rows[place % m]), f"answer {'ab'[place // m]}: {reason}")
    if reasons:
        scores[list(reasons)] = np.nan
    kept = np.array([row not in reasons for row in rows.tolist()], dtype=np.bool_)
    cut = TruncationReport.concat([TruncationReport.of_answers(pair[0].cut, pair[1].cut) for _, pair in parts])
    return AnswerScores(scores, reasons, cut.take(np.flatnonzero(kept)))


def _encode_parts(
    prepared: NeuralPrepared, rows: Ints, encode: Encode
) -> tuple[list[tuple[Ints, tuple[Encoded, ...]]], dict[int, str]]:
    """Encode battles; what the template refuses is halved until the rows are known that it refuses."""
    part = prepared if len(rows) == len(prepared) else prepared.take(rows)
    try:
        return [(rows, encode(part))] if len(rows) else [], {}
    except JudgeError as error:
        if len(rows) == 1:
            return [], {int(rows[0]): str(error)}
    one, two = (_encode_parts(prepared, half, encode) for half in np.array_split(rows, 2))
    return one[0] + two[0], one[1] | two[1]


def _score_sequences(
    sequences: Sequences, score: Score, memo: Memo, cache: ScoreCache | None, progress: Progress
) -> tuple[Floats, dict[int, str]]:
    """Rewards of n sequences, not a number where there is none, and the reason for each of these rows.

    What is computed together depends on the contents alone, not on their order, so that swapped answers get the same
    rewards to the last bit.
    """
    contents = []
    for start, stop in itertools.pairwise(sequences.offsets.tolist()):
        types = b"" if sequences.types is None else hashlib.sha256(sequences.types[start:stop].tobytes()).digest()
        contents.append(np.ascontiguousarray(sequences.ids[start:stop], np.int32).tobytes() + types)
    # of equal contents, the first row: the dictionary keeps what was written last
    first = {content: row for row, content in reversed(list(enumerate(contents)))}
    new = [content for content in first if content not in memo.rewards and content not in memo.reasons]
    if cache is not None and new:
        memo.rewards |= cache.find(new)
        new = [content for content in new if content not in memo.rewards]
    # the longest first: what is out of memory fails at once
    new.sort(key=lambda content: (-len(content), content))
    step = len(new) if cache is None else _COMMITTED
    for start in range(0, len(new), max(step, 1)):
        progress("scoring answers", start, len(new))
        part = new[start : start + step]
        _score_distinct(sequences.take([first[content] for content in part]), part, score, memo)
        if cache is not None:
            cache.add((content, memo.rewards[content]) for content in part if content in memo.rewards)
    values = np.array([memo.rewards.get(content, np.nan) for content in contents], np.float64)
    return values, {row: memo.reasons[content] for row, content in enumerate(contents) if content in memo.reasons}


def _score_distinct(part: Sequences, contents: list[bytes], score: Score, memo: Memo) -> None:
    """Score distinct sequences, longest first; those that do not fit in memory are left out one by one."""
    start = 0
    while start < len(contents):
        try:
            found = score(part.take(np.arange(start, len(contents))))[:, 0].astype(np.float64)
        except SequenceTooLongError as error:
            memo.reasons[contents[start]] = str(error)
            start += 1
            continue
        for content, reward in zip(contents[start:], found.tolist(), strict=True):
            if np.isfinite(reward):
                memo.rewards[content] = reward
            else:
                memo.reasons[content] = f"its reward is {reward}, which is not a finite number"
        return
