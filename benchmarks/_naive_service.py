"""The peer of the service: FastAPI in one uvicorn process, one forward pass a request, as such endpoints are written.

    python benchmarks/_naive_service.py JUDGE

A plain `def` endpoint runs in FastAPI's pool of threads; a lock lets one request at a time use the judge, since forward
passes side by side would only take each other's cores.
"""

from __future__ import annotations

import socket
import sys
import threading

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import votecast


class Battle(BaseModel):
    """What is asked."""

    id: str = ""
    prompt: list[str | None]
    response_a: list[str | None]
    response_b: list[str | None]


def app_of(place: str) -> FastAPI:
    """An application with one judge."""
    app, judge, lock = FastAPI(), votecast.load_judge(place), threading.Lock()
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
    """Serve on a free port, and say which."""
    app, place = app_of(sys.argv[1]), socket.socket()
    place.bind(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{place.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[place])


if __name__ == "__main__":
    main()
