"""The queues of rows that wait for a worker, one for each judge.

`pool` puts the rows of requests into them and takes batches from them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from votecast.data.battles import TEXT_COLUMNS
from votecast.serving.request_errors import UnscoredError

Row = Mapping[str, str | Sequence[str | None]]
"""A checked battle: its id, texts, and perhaps language and source."""

_ROW_TOKENS: Final = 32  # that every row costs beside its texts
# seconds of work: larger batches would not be faster, and others would wait
_GOOD_BATCH: Final = 0.15
_LONGEST_BATCH: Final = 3.0  # seconds of work of a batch of several rows
# tokens after which the speed of a judge is known; single short rows do not show it
_MEASURED: Final = 8_192
_GATHERING: Final = 2  # times `wait` that a row waits at most while others keep coming
# batches made of all that waits for a slow judge: a late row waits for all of it anyway
_PARTS: Final = 4


class PendingRequest:
    """The rows of one request, whose answers are returned together."""

    def __init__(self, rows: int) -> None:
        self.done: asyncio.Future[list[dict[str, object]]] = asyncio.get_running_loop().create_future()
        self._answers: list[dict[str, object]] = [{}] * rows
        self._left = rows

    @property
    def is_over(self) -> bool:
        """Whether no more answers are expected."""
        return self.done.done()

    def answer(self, place: int, answer: dict[str, object]) -> None:
        """Set the answer of one row: a prediction, or why it is `unscored`."""
        self._answers[place] = answer
        self._left -= 1
        if self._left or self.is_over:
            return
        if reasons := {row: str(each["unscored"]) for row, each in enumerate(self._answers) if "unscored" in each}:
            self.done.set_exception(UnscoredError(reasons))
        else:
            self.done.set_result(self._answers)

    def fail(self, error: Exception) -> None:
        """Fail the whole request."""
        if not self.is_over:
            self.done.set_exception(error)


@dataclass(eq=False, slots=True)
class QueuedRow:
    """One battle of a request, at a place among its rows."""

    request: PendingRequest
    place: int
    message: Mapping[str, object]  # the battle and its options, as workers read them
    tokens: int  # about how many the judge reads
    since: float  # when it came, by the clock of the event loop
    tries: int = 0  # workers that died over it


def texts_of(battle: Row) -> list[str]:
    """List the texts of a battle, without missing turns.

    Example:
        >>> texts_of({"prompt": ("Hi", None), "response_a": "Hello", "response_b": ["a", "b"]})
        ['Hi', 'Hello', 'a', 'b']
    """
    parts = [battle[name] for name in TEXT_COLUMNS]
    return [turn for part in parts for turn in ([part] if isinstance(part, str) else part) if turn]


def count_tokens(battle: Row, most: int | None = None) -> int:
    """Estimate the tokens that a judge reads of a battle.

    Example:
        >>> battle = {"prompt": ("x" * 200, None), "response_a": "x" * 100, "response_b": "x" * 100}
        >>> count_tokens(battle), count_tokens(battle, 64)
        (132, 96)
    """
    # a token is about 4 bytes of ASCII, or 3 of other UTF-8
    sizes = [
        len(text) // 4 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) // 3
        for text in texts_of(battle)
    ]
    return _ROW_TOKENS + (sum(sizes) if most is None else min(sum(sizes), most))


class RowQueue:
    """The rows that wait for one judge, first come, first served.

    Args:
        budget: Most tokens of one batch.
        wait: Seconds that a row waits for others before a smaller batch is made.
        most: Tokens that the judge reads of a row; None if it reads all.
    """

    def __init__(self, budget: int, wait: float, most: int | None = None) -> None:
        self.budget, self.wait, self.most = budget, wait, most
        self.tokens = 0
        self._done, self._spent = 0.0, 0.0
        self._rows: deque[QueuedRow] = deque()
        self._last = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def speed(self) -> float:
        """Tokens per second of one worker; 0 before the first batch."""
        return self._done / self._spent if self._spent else 0.0

    @property
    def seconds(self) -> float:
        """Seconds that one worker needs for what waits; 0 until the speed is known."""
        return self.tokens / self.speed if self._done > _MEASURED else 0.0

    @property
    def since(self) -> float:
        """When the oldest row came; there must be one."""
        return self._rows[0].since

    @property
    def batch_tokens(self) -> int:
        """Tokens of a full batch: the budget, or less for a slow judge."""
        if not (speed := self.speed):
            return self.budget
        share = min(self.tokens // _PARTS, int(speed * _LONGEST_BATCH))
        return min(self.budget, max(1, int(speed * _GOOD_BATCH), share))

    @property
    def due(self) -> float:
        """When a free worker should take a batch; there must be a row."""
        if self.tokens >= self.batch_tokens or self._rows[0].tries:
            return self.since
        # others are waited for since the last row came, but not for ever
        return min(self.since + _GATHERING * self.wait, self._last + self.wait)

    def put(self, row: QueuedRow) -> None:
        """Append a row."""
        self._rows.append(row)
        self._last = row.since
        self.tokens += row.tokens

    def put_back(self, rows: Iterable[QueuedRow]) -> None:
        """Put the rows of a lost worker before all others; behind them where several workers died over them."""
        rows = [row for row in rows if not row.request.is_over]
        first, last = ([row for row in rows if (row.tries > 1) == again] for again in (False, True))
        self._replace([*first, *self._rows, *last])

    def take(self) -> list[QueuedRow]:
        """Take the rows of the next batch."""
        taken: list[QueuedRow] = []
        tokens, full = 0, self.batch_tokens
        while self._rows:
            row = self._rows[0]
            if taken:
                # a request over which a worker died may kill the next, and gets a batch of its own
                is_apart = bool(taken[0].tries or row.tries) and taken[0].request is not row.request
                if is_apart or tokens + row.tokens > full:
                    break
            taken.append(self._rows.popleft())
            tokens += row.tokens
        self.tokens -= tokens
        return taken

    def drop(self, request: PendingRequest) -> None:
        """Forget the rows of a request."""
        self._replace(row for row in self._rows if row.request is not request)

    def clear(self) -> list[QueuedRow]:
        """Take all rows."""
        rows = list(self._rows)
        self._replace(())
        return rows

    def measure(self, tokens: int, seconds: float) -> None:
        """Learn the speed of a worker from a batch."""
        # exponential decay: about the last ten batches count, large ones more
        self._done = 0.9 * self._done + tokens
        self._spent = 0.9 * self._spent + max(seconds, 1e-4)

    def _replace(self, rows: Iterable[QueuedRow]) -> None:
        self._rows = deque(rows)
        self.tokens = sum(row.tokens for row in self._rows)


def next_due(queues: Mapping[str, RowQueue], names: Iterable[str]) -> tuple[str, float] | None:
    """Return which judge is due first, and when; None without rows."""
    waiting = [(queues[name].due, queues[name].since, name) for name in names if len(queues[name])]
    if not waiting:
        return None
    due, _, name = min(waiting)
    return name, due
