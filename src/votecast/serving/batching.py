"""Rows that wait for a worker: one queue for each judge, and batches made as a worker becomes free."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from votecast.serving.errors import UnscoredError

_EACH: Final = 8
"""Tokens that every row costs beside its texts."""

_PIECE: Final = 0.15
"""Seconds of work that make a whole batch: more at once would not be faster, and others would wait."""

_ENOUGH: Final = 8_192
"""Tokens that tell how fast a judge is; single short rows do not."""

_GATHER: Final = 2
"""How many times as long a row waits where others keep on coming."""

_LONGEST: Final = 3.0
"""Seconds of work that a batch may make at most, as long as it has more than one row."""

_PARTS: Final = 4
"""Batches that may be made of all that waits, however slow the judge: who comes late waits for all of it anyway."""


class Request:
    """What was asked for together; its answers come together.

    Args:
        judge: Name of the judge.
        rows: How many battles it has.
    """

    def __init__(self, judge: str, rows: int) -> None:
        self.judge = judge
        self.done: asyncio.Future[list[dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._answers: list[dict[str, Any]] = [{}] * rows
        self._reasons: dict[int, str] = {}
        self._open = rows

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for more answers."""
        return self.done.done()

    def answer(self, place: int, answer: dict[str, Any]) -> None:
        """Take the answer of one row."""
        self._answers[place] = answer
        self._close()

    def refuse(self, place: int, reason: str) -> None:
        """Note that the judge cannot score a row."""
        self._reasons[place] = reason
        self._close()

    def fail(self, error: Exception) -> None:
        """Give up the whole request."""
        if not self.done.done():
            self.done.set_exception(error)

    def _close(self) -> None:
        self._open -= 1
        if self._open or self.done.done():
            return
        if self._reasons:
            self.done.set_exception(UnscoredError(dict(sorted(self._reasons.items()))))
        else:
            self.done.set_result(self._answers)


@dataclass(eq=False, slots=True)
class Row:
    """One battle of a request.

    Args:
        request: The request.
        place: Its place there.
        body: The battle and what is asked of it, packed for a worker.
        tokens: About how many tokens a judge reads of it.
        since: When it came, by the clock of the event loop.
        tries: Workers that died over it.
    """

    request: Request
    place: int
    body: bytes
    tokens: int
    since: float
    tries: int = 0


def tokens_of(body: bytes, most: int | None = None) -> int:
    """About how many tokens a judge makes of a packed row, and no more than it reads.

    Example:
        >>> tokens_of(b"x" * 400), tokens_of(b"x" * 400, 64)
        (108, 72)
    """
    found = len(body) // (4 if body.isascii() else 3)
    return _EACH + (found if most is None else min(found, most))


class Queue:
    """The rows that wait for one judge, first come, first served.

    Args:
        budget: Most tokens of one batch.
        wait: Seconds that a row waits for others before a batch is made of fewer.
        most: Tokens of a row that the judge reads; None where it reads all.
    """

    def __init__(self, budget: int, wait: float, most: int | None = None) -> None:
        self.budget, self.wait, self.most = budget, wait, most
        self.tokens = 0
        self._done, self._spent = 0.0, 0.0
        self._rows: deque[Row] = deque()
        self._last = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def speed(self) -> float:
        """Tokens a second of one worker; 0 before the first batch."""
        return self._done / self._spent if self._spent else 0.0

    @property
    def seconds(self) -> float:
        """How long one worker takes for what waits; 0 as long as too little was done to tell."""
        return self.tokens / self.speed if self._done > _ENOUGH else 0.0

    @property
    def since(self) -> float:
        """When the row came that has waited longest; there must be one."""
        return self._rows[0].since

    @property
    def whole(self) -> int:
        """Tokens of a whole batch: the budget, and less where that would take this judge long and little waits."""
        if not (speed := self.speed):
            return self.budget
        share = min(self.tokens // _PARTS, int(speed * _LONGEST))
        return min(self.budget, max(1, int(speed * _PIECE), share))

    @property
    def due(self) -> float:
        """When a free worker should take a batch; there must be a row."""
        if self.tokens >= self.whole or self._rows[0].tries:
            return self.since
        return min(self.since + _GATHER * self.wait, self._last + self.wait)

    def put(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        for row in rows:
            self._rows.append(row)
            self._last = row.since
            self.tokens += row.tokens

    def put_back(self, rows: Iterable[Row]) -> None:
        """Put rows where they were taken from: before all others."""
        back = [row for row in rows if not row.request.is_over]
        self._rows.extendleft(reversed(back))
        self._count()

    def take(self) -> list[Row]:
        """The rows of the next batch; those of one request over which a worker died are a batch of their own."""
        taken: list[Row] = []
        tokens, whole = 0, self.whole
        while self._rows:
            row = self._rows[0]
            if taken and (tokens + row.tokens > whole or _apart(taken[0], row)):
                break
            taken.append(self._rows.popleft())
            tokens += row.tokens
        self.tokens -= tokens
        return taken

    def drop(self, request: Request) -> None:
        """Forget the rows of a request."""
        self._rows = deque(row for row in self._rows if row.request is not request)
        self._count()

    def clear(self) -> list[Row]:
        """Take all rows."""
        rows = list(self._rows)
        self._rows.clear()
        self._count()
        return rows

    def measured(self, tokens: int, seconds: float) -> None:
        """Learn how fast a worker is with this judge; what is long ago counts less, and large batches count more."""
        self._done = 0.9 * self._done + tokens
        self._spent = 0.9 * self._spent + max(seconds, 1e-4)

    def _count(self) -> None:
        self.tokens = sum(row.tokens for row in self._rows)


def next_due(queues: Mapping[str, Queue], names: Iterable[str]) -> tuple[str, float] | None:
    """Of the judges that a worker has, the one whose oldest row is first due, and when; None where nothing waits."""
    waiting = [(queues[name].due, queues[name].since, name) for name in names if len(queues[name])]
    if not waiting:
        return None
    due, _, name = min(waiting)
    return name, due


def _apart(one: Row, other: Row) -> bool:
    """Whether rows must not share a batch: what may have killed a worker is tried again by itself."""
    return bool(one.tries or other.tries) and one.request is not other.request
