"""Test queues: batches, their order and rows of dead workers."""

import asyncio
from collections.abc import Callable
from functools import wraps

import pytest

from votecast.serving.request_errors import UnscoredError
from votecast.serving.request_queue import PendingRequest, QueuedRow, RowQueue, next_due


def in_loop(test: Callable[[], None]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        async def inside() -> None:
            test()

        asyncio.run(inside())

    return run


def requested(rows: int = 1, tokens: int = 10, since: float = 0.0) -> list[QueuedRow]:
    request = PendingRequest(rows)
    return [QueuedRow(request, place, {}, tokens, since) for place in range(rows)]


def put(queue: RowQueue, rows: list[QueuedRow]) -> None:
    for row in rows:
        queue.put(row)


@in_loop
def test_a_batch_has_as_many_rows_as_fit_its_budget_and_at_least_one() -> None:
    queue = RowQueue(budget=35, wait=0.0)
    small, large = requested(5), requested(1, tokens=1000)
    put(queue, [*small, *large, *requested(1)])
    assert [len(queue.take()) for _ in range(4)] == [3, 2, 1, 1]
    assert (len(queue), queue.tokens) == (0, 0)


@in_loop
def test_a_row_waits_for_others_unless_the_batch_is_whole() -> None:
    queue = RowQueue(budget=25, wait=0.5)
    put(queue, requested(since=7.0))
    assert queue.due == 7.5
    put(queue, requested(2, since=7.1))
    assert queue.due == 7.0


@in_loop
def test_the_judge_whose_rows_came_first_is_served_first() -> None:
    queues = {name: RowQueue(budget=10, wait=0.0) for name in "abc"}
    put(queues["a"], requested(since=3.0))
    put(queues["b"], requested(since=2.0))
    assert next_due(queues, "abc") == ("b", 2.0)
    assert next_due(queues, "ac") == ("a", 3.0)
    assert next_due(queues, "c") is None


@in_loop
def test_requeued_rows_come_first_one_request_at_a_time() -> None:
    queue = RowQueue(budget=100, wait=1.0)
    one, two, new = requested(2), requested(1), requested(1, since=9.0)
    put(queue, [*one, *two])
    taken = queue.take()
    assert taken == [*one, *two]
    put(queue, new)
    for row in taken:
        row.tries += 1
    queue.put_back(taken)
    assert queue.due == 0.0, "they do not wait again"
    assert [queue.take(), queue.take(), queue.take()] == [one, two, new]


@in_loop
def test_rows_of_requests_that_are_over_are_not_put_back_and_can_be_dropped() -> None:
    queue = RowQueue(budget=100, wait=0.0)
    over, gone, kept = requested(2), requested(2), requested(1)
    over[0].request.done.cancel()
    queue.put_back([*over, *gone, *kept])
    queue.drop(gone[0].request)
    assert (queue.take(), queue.tokens) == (kept, 0)


@in_loop
def test_batches_of_a_slow_judge_grow_with_the_queue() -> None:
    queue = RowQueue(budget=1000, wait=0.0)
    queue.measure(tokens=100, seconds=1.0)
    put(queue, requested(4))
    assert len(queue.take()) == 1
    put(queue, requested(77))
    assert len(queue.take()) == 20, "a quarter of all"
    put(queue, requested(1000))
    assert len(queue.take()) == 30, "but no more than is done in some seconds"


@in_loop
def test_short_rows_do_not_set_the_wait_estimate() -> None:
    queue = RowQueue(budget=1000, wait=0.0)
    put(queue, requested(100))
    queue.measure(tokens=20, seconds=1.0)
    assert queue.seconds == 0.0
    queue.measure(tokens=20_000, seconds=1.0)
    assert 0.05 < queue.seconds < 0.2


def test_a_request_is_answered_when_its_last_row_is() -> None:
    async def ask() -> None:
        request = PendingRequest(2)
        request.answer(1, {"p": 1})
        assert not request.is_over
        request.answer(0, {"p": 0})
        assert await request.done == [{"p": 0}, {"p": 1}]

    asyncio.run(ask())


def test_rows_that_cannot_be_scored_fail_their_own_request_with_every_reason() -> None:
    async def ask() -> None:
        request = PendingRequest(3)
        request.answer(2, {"unscored": "too long"})
        request.answer(1, {})
        request.answer(0, {"unscored": "too odd"})
        with pytest.raises(UnscoredError) as error:
            await request.done
        assert error.value.rows == {0: "too odd", 2: "too long"}

    asyncio.run(ask())
