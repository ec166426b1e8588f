"""The rows of an audit: votes and forecasts in both orders, asked for once, and what follows from them row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from votecast.data.battles import TEXT_COLUMNS, Battles
from votecast.data.duplicates import prompt_clusters
from votecast.data.frames import as_battles
from votecast.data.reader import read_votes
from votecast.errors import DataError
from votecast.judges.evaluate import Predictions
from votecast.judges.trained import TrainedJudge
from votecast.metrics.bootstrap import ClusterDraws
from votecast.metrics.checks import check_probabilities, check_rows
from votecast.metrics.rows import EPSILON, Floats, decisions, log_losses, row_sum, without_ties
from votecast.models.base import order_matters
from votecast.reports.audit.sums import Sums
from votecast.text.report import Cut
from votecast.types import Probabilities, swap_columns

ORDER_ROWS: Final = 2_000
"""Rows whose other order is asked for where the family of the judge says that it does not see the order."""

_SAME: Final = 1e-6
NO_HASHES = "it is not known on which prompts the judge was trained, so overlap with these votes cannot be ruled out"
NO_PROMPTS = "the rows have no prompts: leaks are not looked for, and every row counts by itself"
NO_JUDGE = (
    "only predictions were given: nothing is known of the judge's training, of what it did not read, or of how it "
    "forecasts the exchanged order"
)


@dataclass(frozen=True)
class Rows:
    """Votes and forecasts.

    Args:
        battles: The rows, n of them.
        targets: Votes, shape (n, 3).
        p: Forecasts, shape (n, 3); nothing for a tie where the votes are binary.
        reverse: Forecasts from the exchanged order, columns exchanged back, shape (n, 3); None where there are none.
        sums: Weights, clusters of prompts, and the files drawn from them.
        binary: Whether no tie was voted.
        has_texts: Whether any row has a text.
        cut: What the judge did not get to read; None where it reads everything, or nobody knows.
        leaks: How many rows have prompts of the judge's training data; None where that cannot be told.
        notes: What a reader must know.
    """

    battles: Battles
    targets: Probabilities
    p: Probabilities
    reverse: Probabilities | None
    sums: Sums
    binary: bool
    has_texts: bool
    cut: Cut | None
    leaks: int | None
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.battles)

    @cached_property
    def losses(self) -> Floats:
        """Log loss of each row, shape (n,)."""
        return log_losses(self.targets, self.p)

    @cached_property
    def excess(self) -> Floats:
        """Log loss minus what the forecast itself expects of it, its entropy, shape (n,).

        0 on average for a calibrated judge; above 0 where it is surer than it should be, below 0 where it is less sure.
        It is the derivative of the log-likelihood by the inverse temperature at 1, with its sign changed.
        """
        safe = np.clip(self.p, EPSILON, 1 - EPSILON)
        return self.losses + row_sum(self.p * np.log(safe))

    @cached_property
    def hits(self) -> Floats:
        """Share of the votes of each row that the decision meets, shape (n,)."""
        return np.asarray((self.targets * decisions(self.p)).sum(axis=1))

    @cached_property
    def tie_gap(self) -> Floats:
        """Forecast of a tie minus voted tie, shape (n,)."""
        return np.asarray(self.p[:, 2] - self.targets[:, 2])

    @cached_property
    def side_gap(self) -> Floats:
        """How much more a was favoured over b in the forecast than in the vote, shape (n,); ties count half to each."""
        return np.asarray(((self.p[:, 0] - self.p[:, 1]) - (self.targets[:, 0] - self.targets[:, 1])) / 2)

    @cached_property
    def single(self) -> Floats:
        """1 for rows with a single vote, 0 for shares of votes, which scatter less than votes; shape (n,)."""
        return np.asarray((self.targets.max(axis=1) == 1).astype(np.float64))

    @cached_property
    def excess_noise(self) -> Floats:
        """Variance of `excess` if the forecasts were true, 0 where the vote is not single, shape (n,)."""
        logs = np.log(np.clip(self.p, EPSILON, 1 - EPSILON))
        return np.asarray(self.single * (row_sum(self.p * np.square(logs)) - np.square(row_sum(self.p * logs))))

    @cached_property
    def tie_noise(self) -> Floats:
        """The same of `tie_gap`."""
        return np.asarray(self.single * self.p[:, 2] * (1 - self.p[:, 2]))

    @cached_property
    def side_noise(self) -> Floats:
        """The same of `side_gap`."""
        a, b = self.p[:, 0], self.p[:, 1]
        return np.asarray(self.single * ((a + b) - np.square(a - b)) / 4)


def rows_of(judge: Any, votes: Any, *, allow_leak: bool, draws: int, seed: int) -> Rows:
    """Ask a judge for both orders of the answers, once each, and lay out what is audited.

    Raises:
        DataError: If there are no votes, one is missing, or predictions do not belong to them.
        LeakError: If the votes share prompts with the training data of the judge.
    """
    if isinstance(votes, str | Path):
        votes = read_votes(votes, labels="required", numbers=getattr(judge, "numbers", ()))
    battles = as_battles(votes)
    if not len(battles):
        raise DataError("there are no votes to audit on; give at least one row with a vote")
    targets, weights = battles.targets(), battles.weights()
    has_texts = any(pc.sum(pc.list_value_length(battles.column(name))).as_py() for name in TEXT_COLUMNS)
    leaks, notes = _leaks(judge, battles, has_texts=has_texts, allow=allow_leak)
    p, cut = _asked(judge, battles)
    _, p, _ = check_rows(targets, p, weights)
    q, said = _other_order(judge, battles, p)
    clusters = prompt_clusters(battles, seed=seed) if has_texts else np.arange(len(battles))
    binary = not weights @ targets[:, 2]
    if binary:
        p, q = without_ties(p), None if q is None else without_ties(q)
    sums = Sums(weights, clusters, ClusterDraws(clusters, draws, seed))
    return Rows(battles, targets, p, q, sums, binary, has_texts, cut, leaks, (*notes, *said))


def _asked(judge: Any, battles: Battles) -> tuple[Probabilities, Cut | None]:
    if isinstance(judge, Predictions):
        return judge.on(battles), None
    both = getattr(judge, "predict_with_cuts", None)
    return both(battles) if both is not None else (judge.predict_proba(battles), None)


def _other_order(judge: Any, battles: Battles, p: Probabilities) -> tuple[Probabilities | None, tuple[str, ...]]:
    """Forecasts from the exchanged order, columns exchanged back.

    A family that does not see the order is asked for it on a part of the rows alone, and for all if that shows it does.
    """
    if isinstance(judge, Predictions):
        return None, ()
    is_blind = isinstance(judge, TrainedJudge) and not order_matters(judge.fitted.members[0])
    if is_blind and len(battles) > ORDER_ROWS:
        rows = np.linspace(0, len(battles) - 1, ORDER_ROWS).astype(np.int64)
        if np.abs(_turned(judge, battles.take(rows)) - p[rows]).max() <= _SAME:
            return p, (f"judges of this family do not see the order: checked on {ORDER_ROWS:,} rows, taken for all",)
    return _turned(judge, battles), ()


def _turned(judge: Any, battles: Battles) -> Probabilities:
    q = check_probabilities(judge.predict_proba(battles.swapped()), "probabilities of the exchanged order")
    if len(q) != len(battles):
        raise DataError(f"the judge forecast {len(q)} rows in the exchanged order and was asked for {len(battles)}")
    return swap_columns(q)


def _leaks(judge: Any, battles: Battles, *, has_texts: bool, allow: bool) -> tuple[int | None, tuple[str, ...]]:
    if isinstance(judge, Predictions):
        return None, (NO_JUDGE,)
    if not has_texts:
        return None, (NO_PROMPTS,)
    hashes = getattr(judge, "prompt_hashes", None)
    if hashes is None:
        return None, (NO_HASHES,)
    found: NDArray[np.int64] = hashes.check(battles, allow=allow)
    unknown = getattr(judge, "notes", {}).get("unknown_prompts") or []
    return len(found), (f"{NO_HASHES}: {', '.join(map(str, unknown))}",) if unknown else ()
