"""The settings of a service, from the options of `votecast serve`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from votecast.config import Settings


class ServiceSettings(Settings):
    """Limits and resources of one service.

    Args:
        host: Address to listen on; any but loopback needs a key.
        port: Port to listen on; 0 takes a free one.
        workers: Processes that score; each loads every judge.
        threads: Threads of each worker; 0 shares the cores among the workers.
        body_bytes: Longest body of a request.
        battles: Most battles in one request.
        candidates: Most candidates in one request.
        games: Most games in one request for a leaderboard.
        in_flight: Most requests that are answered at once; further ones get 429.
        timeout: Seconds until a request that has no answer yet is given up.
        drain: Seconds that accepted requests have to finish once the service shuts down.
        batch_tokens: About how many tokens are scored at once.
        batch_wait: Seconds that a battle waits for others to be scored with.
        precision: How exactly neural judges compute; None leaves it to the judge.

    Example:
        >>> ServiceSettings().body_bytes
        2000000
    """

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    body_bytes: Annotated[int, Field(ge=1_000)] = 2_000_000
    battles: Annotated[int, Field(ge=1)] = 32
    candidates: Annotated[int, Field(ge=2)] = 32
    games: Annotated[int, Field(ge=1)] = 10_000
    in_flight: Annotated[int, Field(ge=1)] = 512
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    drain: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    batch_tokens: Annotated[int, Field(ge=1)] = 32_768
    batch_wait: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.003
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None

    @property
    def most(self) -> dict[str, int]:
        """Most items of each list of a request."""
        return {"battles": self.battles, "candidates": self.candidates, "games": self.games}
