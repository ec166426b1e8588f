"""Connections that only keep a place are closed; those at work are not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from votecast.serving.leaving import QUIET, Leaving
from votecast.serving.limits import Doors


class Connection:
    """A connection as uvicorn keeps them; `cycle` is its last request."""

    def __init__(self, done: bool | None) -> None:
        self.cycle = None if done is None else SimpleNamespace(response_complete=done)
        self.closed = False
        self.transport = self

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def server() -> Leaving:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    return Leaving(uvicorn.Config(app, log_config=None), Doors(1), None, 1.0)  # type: ignore[arg-type]


def test_only_quiet_connections_are_closed(server: Leaving) -> None:
    silent, idle, busy, lively = (Connection(done) for done in (None, True, False, True))
    server.server_state.connections = {silent, idle, busy, lively}  # type: ignore[arg-type]
    server.close_quiet(0.0)
    lively.cycle = SimpleNamespace(response_complete=True)
    server.close_quiet(QUIET / 2)
    assert not any(each.closed for each in (silent, idle, busy, lively))
    server.close_quiet(QUIET + 1)
    assert [each.closed for each in (silent, idle, busy, lively)] == [True, True, False, False]


def test_a_second_signal_ends_at_once(server: Leaving) -> None:
    server.told(15)
    assert (server.should_exit, server.force_exit, server.ended_by) == (True, False, None)
    server.told(2)
    assert (server.force_exit, server.ended_by) == (True, 2)
