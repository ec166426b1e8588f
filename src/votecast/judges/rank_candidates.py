"""Rank the candidate responses of a prompt: the pairs to predict, and the ranking that follows.

`votecast rerank` and the service call it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from votecast.data.battles import SCHEMA, TURNS, Battles
from votecast.data.candidates import Candidates
from votecast.judges.predict_batch import Shard, Truncations, add_truncations, predict_batch, predict_scorable
from votecast.judges.trained import TrainedJudge
from votecast.types import Floats, Judge, Probabilities, swap_columns

GROUP = 1024
"""Pairs that are predicted at once, from as many prompts as fill them; a prompt with more is a group of its own."""

_EVEN = 0.5
_CUT, _REASONS = "cut", "reasons"
_SAME = 1e-3
"""Probabilities that move by no more when the responses are swapped are taken as equal."""

_PROBES = (
    ("Name the capital of France.", "Paris.", "I am not sure; it may be London, or perhaps Berlin."),
    ("Write a line about rain.", "Rain drums softly on the roof of the old barn.", "rain rain rain"),
    ("What is 7 times 8?", "54", "7 times 8 is 56, since 7 times 4 is 28 and twice that is 56."),
)


@dataclass(frozen=True)
class Ranking:
    """The candidates of one prompt, best first."""

    id: str  # name of the row
    order: tuple[int, ...]  # positions of all candidates, best first; equal ones in the order of their texts' hashes
    # for each candidate, in the order given, its expected win rate against the others, a tie counting one half. Their
    # mean is one half. Candidates with the same text have the same score
    scores: tuple[float, ...]

    @property
    def index(self) -> int:
        """Position of the best candidate."""
        return self.order[0]


@dataclass(frozen=True)
class PairPredictions:
    """Predictions for pairs of candidates."""

    ids: list[str]  # names of the pairs
    p: Probabilities  # probabilities (n, 3); NaN where a pair cannot be scored
    reasons: dict[int, str]  # why, for each of these
    cut: Truncations = None  # sums of the truncation

    def shard(self) -> Shard:
        """Return the form in which a resumable run keeps them."""
        reasons = {str(row): reason for row, reason in self.reasons.items()}
        return Shard(self.ids, self.p, {_CUT: self.cut, _REASONS: reasons})

    @classmethod
    def of(cls, shard: Shard) -> PairPredictions:
        """Read what `shard` returned."""
        kept = shard.cut or {}
        reasons = {int(row): reason for row, reason in kept[_REASONS].items()}
        return cls(shard.ids, shard.probabilities, reasons, kept[_CUT])


class PairPredictor:
    """Predict all pairs of candidates by any judge, in both orders where the judge depends on the order."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._orders = 0

    def predict(self, group: list[Candidates], *, after: int = 0) -> PairPredictions:
        """Predict every pair of each prompt's distinct candidates; DataError if a prediction is no distribution.

        Args:
            group: The prompts.
            after: Pairs that came before, for messages.
        """
        ids, parts, reasons, cut = list[str](), [np.empty((0, 3))], dict[int, str](), None
        for battles in _pair_battles(group):
            found = self._predict(battles, after)
            reasons |= {len(ids) + row: reason for row, reason in found.reasons.items()}
            ids += battles.ids
            parts.append(found.p)
            cut = add_truncations(cut, found.cut)
        return PairPredictions(ids, np.concatenate(parts), reasons, cut)

    def _predict(self, battles: Battles, after: int) -> PairPredictions:
        self._orders = self._orders or (1 if self._is_symmetric() else 2)
        shown, reasons = predict_scorable(self._judge, battles, after=after)
        if self._orders == 1:
            return PairPredictions(battles.ids, shown.probabilities, reasons, shown.cut)
        swapped, others = predict_scorable(self._judge, battles.swapped(), after=after)
        p = (shown.probabilities + swap_columns(swapped.probabilities)) / 2
        return PairPredictions(battles.ids, p, others | reasons, add_truncations(shown.cut, swapped.cut))

    def _is_symmetric(self) -> bool:
        """Return whether swapping the responses only swaps a and b: by its family, or on a few probes."""
        if isinstance(self._judge, TrainedJudge) and not self._judge.order_matters:
            return True
        names = ("prompt", "response_a", "response_b")
        probes = Battles.from_rows([dict(zip(names, probe, strict=True)) for probe in _PROBES])
        shown, swapped = predict_batch(self._judge, probes), predict_batch(self._judge, probes.swapped())
        return bool(np.abs(shown.probabilities - swap_columns(swapped.probabilities)).max() <= _SAME)


def group_candidates(rows: Iterable[Candidates]) -> Iterator[list[Candidates]]:
    """Group rows so that each group has up to `GROUP` pairs, and at least one and at most `GROUP` rows.

    Example:
        >>> rows = [Candidates.of({"prompt": "?", "candidates": list("abcdefgh")[:n]}) for n in (8, 1, 8)]
        >>> [len(group) for group in group_candidates(rows * 30)]
        [54, 36]
    """
    group: list[Candidates] = []
    pairs = 0
    for row in rows:
        more = _pairs(row)
        if group and (pairs + more > GROUP or len(group) == GROUP):
            yield group
            group, pairs = [], 0
        group.append(row)
        pairs += more
    if group:
        yield group


def _pairs(row: Candidates) -> int:
    return len(row.distinct) * (len(row.distinct) - 1) // 2


def _pair_battles(group: list[Candidates]) -> Iterator[Battles]:
    """Yield every pair of distinct candidates, at most `GROUP` at a time; the one whose hash comes first is a."""
    pairs = [(row, one, other) for row in group for one, other in combinations(range(len(row.distinct)), 2)]
    for start in range(0, len(pairs), GROUP):
        part = pairs[start : start + GROUP]
        ids = [
            f"{row.id}: candidates {row.places.index(one) + 1} and {row.places.index(other) + 1}"
            for row, one, other in part
        ]
        columns = {
            "id": pa.array(ids, SCHEMA.field("id").type),
            "prompt": pa.array([row.prompt for row, _, _ in part], TURNS),
            "response_a": pa.array([row.distinct[one] for row, one, _ in part], TURNS),
            "response_b": pa.array([row.distinct[other] for row, _, other in part], TURNS),
        }
        yield Battles(pa.table(columns))


def rank_group(group: list[Candidates], found: PairPredictions) -> Iterator[Ranking | str]:
    """Yield the ranking of each row of a group; for a row with a pair that cannot be scored, the reason instead."""
    # a tie counts one half for each side
    wins, start = found.p[:, 0] + found.p[:, 2] / 2, 0
    for row in group:
        stop = start + _pairs(row)
        wrong = next((pair for pair in range(start, stop) if pair in found.reasons), None)
        if wrong is None:
            yield _ranking(row, wins[start:stop])
        else:
            yield f"{found.ids[wrong].removeprefix(row.id + ': ')}: {found.reasons[wrong]}"
        start = stop


def _ranking(row: Candidates, wins: Floats) -> Ranking:
    """Rank from the probability that the first of each pair of distinct candidates wins."""
    different, places, n = len(row.distinct), np.array(row.places), len(row.places)
    rates = np.full((different, different), _EVEN)  # (candidates, candidates): win rate of row against column
    first, second = np.triu_indices(different, 1)
    rates[first, second], rates[second, first] = wins, 1 - wins
    beaten = rates @ np.bincount(places, minlength=different) - _EVEN  # but not itself
    scores = (beaten / (n - 1) if n > 1 else np.full(different, _EVEN))[places]
    order = sorted(range(n), key=lambda i: (-scores[i], places[i], i))
    return Ranking(row.id, tuple(order), tuple(scores.tolist()))
