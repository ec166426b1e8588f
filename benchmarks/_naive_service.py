"""Serve a judge naively: FastAPI, one process, one pass per request.

    python benchmarks/_naive_service.py JUDGE [--one-at-a-time] [--engine votecast]

A plain `def` endpoint runs in FastAPI's pool of threads, where passes side by side take each other's cores; with
`--one-at-a-time` a lock keeps them apart. The forward pass is that of transformers, the shorter answer padded to the
longer; with `--engine votecast` it is votecast's own, as `predict_proba` runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import votecast
from votecast.inference import engine

ONE_PASS = 1 << 20
"""Tokens of one forward pass: more than a request has."""


class Battle(BaseModel):
    """Body of a request."""

    id: str = ""
    prompt: list[str | None]
    response_a: list[str | None]
    response_b: list[str | None]


def app_of(place: str, lock: contextlib.AbstractContextManager[object]) -> FastAPI:
    """Return an application with one judge."""
    app, judge = FastAPI(), votecast.load_judge(place)
    judge.run_with(max_tokens=ONE_PASS)
    judge.predict_proba([{"prompt": "Hi", "response_a": "Hello.", "response_b": "Go away."}])

    @app.post("/v1/compare")
    def compare(battle: Battle) -> dict[str, object]:
        with lock:
            p = judge.predict_proba([battle.model_dump()])[0]
        return {"id": battle.id, "probabilities": dict(zip(("a", "b", "tie"), p.tolist(), strict=True))}

    @app.get("/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    return app


def main() -> None:
    """Serve on a free port and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judge")
    parser.add_argument("--one-at-a-time", action="store_true")
    parser.add_argument("--engine", choices=["transformers", "votecast"], default="transformers")
    asked = parser.parse_args()
    if asked.engine == "transformers":
        engine.fast_network = lambda network, *_, **__: network
    app = app_of(asked.judge, threading.Lock() if asked.one_at_a_time else contextlib.nullcontext())
    place = socket.socket()
    place.bind(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{place.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[place])


if __name__ == "__main__":
    main()
