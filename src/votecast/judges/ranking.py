"""Candidates of a prompt against each other: which pairs to ask a judge for, and what follows from its forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from votecast.data.battles import SCHEMA, TURNS, Battles
from votecast.data.candidates import Candidates
from votecast.data.shards import Shard
from votecast.judges.predict_batch import Truncations, add_truncations, predict_batch, predict_scorable
from votecast.types import Judge, Probabilities, swap_columns

Wins = NDArray[np.float64]

GROUP = 1024
"""Pairs that are asked for at once, of as many prompts as they come from; a prompt with more is a group of its own."""

_EVEN = 0.5
_CUT, _REASONS = "cut", "reasons"
_SAME = 1e-3
_PROBES = (
    ("Name the capital of France.", "Paris.", "I am not sure; it may be London, or perhaps Berlin."),
    ("Write a line about rain.", "Rain drums softly on the roof of the old barn.", "rain rain rain"),
    ("What is 7 times 8?", "54", "7 times 8 is 56, since 7 times 4 is 28 and twice that is 56."),
)


@dataclass(frozen=True)
class Ranking:
    """The candidates of one prompt, best first.

    Args:
        id: Name of the row.
        order: Positions of all candidates, best first; equal ones in the order of their texts' hashes.
        scores: For each candidate, in the order given, its expected win rate against the others, a tie counting one
            half. Their mean is one half. Candidates with the same text have the same score.
    """

    id: str
    order: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def index(self) -> int:
        """Position of the best candidate."""
        return self.order[0]


@dataclass(frozen=True)
class Forecast:
    """What a judge says of pairs.

    Args:
        ids: Names of the pairs.
        p: Probabilities, shape (n, 3); not numbers where a pair cannot be scored.
        reasons: Why, for each of these.
        cut: Sums of what the judge did not get to see.
    """

    ids: list[str]
    p: Probabilities
    reasons: dict[int, str]
    cut: Truncations = None

    def shard(self) -> Shard:
        """The form in which it is kept."""
        reasons = {str(row): reason for row, reason in self.reasons.items()}
        return Shard(self.ids, self.p, {_CUT: self.cut, _REASONS: reasons})

    @classmethod
    def of(cls, shard: Shard) -> Forecast:
        """What was kept."""
        kept = shard.cut or {}
        reasons = {int(row): reason for row, reason in kept[_REASONS].items()}
        return cls(shard.ids, shard.probabilities, reasons, kept[_CUT])


class Asker:
    """Asks a judge for all pairs of candidates, in both orders if it goes by the order.

    Args:
        judge: Any judge.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._orders = 0

    def forecast(self, group: list[Candidates], *, after: int = 0) -> Forecast:
        """What the judge says of every pair of each prompt's different answers.

        Args:
            group: The prompts.
            after: Pairs that came before, for messages.

        Raises:
            DataError: If it is no distribution.
        """
        ids, parts, reasons, cut = list[str](), [np.empty((0, 3))], dict[int, str](), None
        for battles in _battles(group):
            found = self._ask(battles, after)
            reasons |= {len(ids) + row: reason for row, reason in found.reasons.items()}
            ids += battles.ids
            parts.append(found.p)
            cut = add_truncations(cut, found.cut)
        return Forecast(ids, np.concatenate(parts), reasons, cut)

    def _ask(self, battles: Battles, after: int) -> Forecast:
        self._orders = self._orders or (1 if self._is_fair() else 2)
        shown = self._ask_as_shown(battles, after)
        if self._orders == 1:
            return shown
        swapped = self._ask_as_shown(battles.swapped(), after)
        p = (shown.p + swap_columns(swapped.p)) / 2
        return Forecast(shown.ids, p, swapped.reasons | shown.reasons, add_truncations(shown.cut, swapped.cut))

    def _ask_as_shown(self, battles: Battles, after: int) -> Forecast:
        found, reasons = predict_scorable(self._judge, battles, after=after)
        return Forecast(battles.ids, found.probabilities, reasons, found.cut)

    def _is_fair(self) -> bool:
        """Whether the order of the answers plays no part: as the family says, or as a few pairs show."""
        members = getattr(getattr(self._judge, "fitted", None), "members", None)
        if members and not any(member.order_matters for member in members):
            return True
        names = ("prompt", "response_a", "response_b")
        probes = Battles.from_rows([dict(zip(names, probe, strict=True)) for probe in _PROBES])
        shown, swapped = predict_batch(self._judge, probes), predict_batch(self._judge, probes.swapped())
        return bool(np.abs(shown.probabilities - swap_columns(swapped.probabilities)).max() <= _SAME)


def in_groups(rows: Iterable[Candidates]) -> Iterator[list[Candidates]]:
    """As many rows together as make `GROUP` pairs, at least one and at most `GROUP`.

    Example:
        >>> rows = [Candidates.of({"prompt": "?", "candidates": list("abcdefgh")[:n]}) for n in (8, 1, 8)]
        >>> [len(group) for group in in_groups(rows * 30)]
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


def _battles(group: list[Candidates]) -> Iterator[Battles]:
    """Every pair of different answers of each prompt, that whose hash comes first as a; at most `GROUP` at a time."""
    pairs = [(row, one, other) for row in group for one, other in combinations(range(len(row.distinct)), 2)]
    for start in range(0, len(pairs), GROUP):
        part = pairs[start : start + GROUP]
        columns = {
            "id": pa.array([_name(*each) for each in part], SCHEMA.field("id").type),
            "prompt": pa.array([row.prompt for row, _, _ in part], TURNS),
            "response_a": pa.array([row.distinct[one] for row, one, _ in part], TURNS),
            "response_b": pa.array([row.distinct[other] for row, _, other in part], TURNS),
        }
        yield Battles(pa.table(columns))


def _name(row: Candidates, one: int, other: int) -> str:
    return f"{row.id}: candidates {row.places.index(one) + 1} and {row.places.index(other) + 1}"


def ranked(group: list[Candidates], found: Forecast) -> Iterator[Ranking | str]:
    """Rankings of the rows of a group; for a row of which a pair cannot be scored, the reason instead.

    Args:
        group: The rows.
        found: What `Asker.forecast` says of them.
    """
    wins, start = found.p[:, 0] + found.p[:, 2] / 2, 0
    for row in group:
        stop = start + _pairs(row)
        wrong = next((pair for pair in range(start, stop) if pair in found.reasons), None)
        if wrong is None:
            yield _ranking(row, wins[start:stop])
        else:
            yield f"{found.ids[wrong].removeprefix(row.id + ': ')}: {found.reasons[wrong]}"
        start = stop


def _ranking(row: Candidates, wins: Wins) -> Ranking:
    """A ranking from the chance that the first of each pair of different answers wins."""
    different, places, n = len(row.distinct), np.array(row.places), len(row.places)
    rates = np.full((different, different), _EVEN)
    first, second = np.triu_indices(different, 1)
    rates[first, second], rates[second, first] = wins, 1 - wins
    beaten = rates @ np.bincount(places, minlength=different) - _EVEN  # but not itself
    scores = (beaten / (n - 1) if n > 1 else np.full(different, _EVEN))[places]
    order = sorted(range(n), key=lambda i: (-scores[i], places[i], i))
    return Ranking(row.id, tuple(order), tuple(scores.tolist()))
