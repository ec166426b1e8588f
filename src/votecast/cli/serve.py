"""votecast serve: judges as an HTTP service with a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def serve(
    *,
    judge: Annotated[list[str] | None, Parameter(negative=(), consume_multiple=False)] = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int | None = None,
    threads: int = 0,
    api_key_file: Path | None = None,
    body_bytes: int = 2_000_000,
    battles: int = 32,
    candidates: int = 32,
    games: int = 10_000,
    in_flight: int = 512,
    timeout: float = 30.0,
    drain: float = 30.0,
    batch_tokens: int | None = None,
    batch_wait: float | None = None,
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None,
) -> None:
    """Serve judges over HTTP, with a page to try them.

    The page is at /, the description of the routes at /docs. Every request is logged as one line of JSON on standard
    error, without its texts. SIGTERM or Ctrl-C shuts down gracefully; a second one ends at once.

    Args:
        judge: A judge folder, bundled:baseline, bundled:encoder or default, optionally as NAME=FOLDER; given several
            times, several judges. The first is used for requests that name none.
        host: Address to listen on; any but loopback needs a key.
        port: Port to listen on; 0 takes a free one.
        workers: Worker processes, each with all judges; by default 2, or 1 on a machine with one core.
        threads: Threads of each worker; by default the cores are shared among the workers.
        api_key_file: File with the key that requests must send (Authorization: Bearer KEY); without it the key is
            taken from VOTECAST_API_KEY, if that is set.
        body_bytes: Longest body of a request.
        battles: Most battles in one request.
        candidates: Most candidates in one request.
        games: Most games in one request for a leaderboard.
        in_flight: Most requests at once; further ones get 429.
        timeout: Deadline of a request in seconds.
        drain: Seconds that accepted requests have to finish at a shutdown.
        batch_tokens: About how many tokens are scored at once.
        batch_wait: Seconds that a battle waits for others to be scored with.
        precision: Precision of neural judges; by default that of each judge.
    """
    # locals() are the options as long as nothing else is bound
    given = {name: value for name, value in locals().items() if name not in ("judge", "api_key_file")}
    from votecast.cli.screen import print_note
    from votecast.config.extras import need
    from votecast.config.machine import usable_cores
    from votecast.serving.settings import ServiceSettings

    for package in ("fastapi", "uvicorn", "prometheus_client"):
        need(package)
    from votecast.serving.auth import read_key
    from votecast.serving.judge_names import name_judges
    from votecast.serving.server import serve as run

    given["workers"] = min(2, usable_cores()) if workers is None else workers
    values = {name: value for name, value in given.items() if value is not None}
    settings = ServiceSettings.parse(values, origin="votecast serve", options=True)
    run(name_judges(judge or []), settings, key=read_key(api_key_file), announce=print_note)
