"""Send requests over several connections in the background."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import httpx
from tests.serving.asking import BATTLE
from tests.serving.running import Service


class Load:
    """Connections that each send one request after another until stopped.

    Each response must carry the id of its request.

    Args:
        service: The service.
        connections: Number of connections.
        words: Number of words of each response.
    """

    def __init__(self, service: Service, connections: int = 8, words: int = 30) -> None:
        self.statuses: Counter[int] = Counter()
        self.unanswered: list[str] = []
        self.mixed_up: list[Any] = []
        self._battle = BATTLE | {"response_a": "word " * words}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._service = service
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(connections)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ended(self) -> bool:
        """Return whether every connection has ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, number: int) -> None:
        with self._service.client() as client:
            count = 0
            while not self._stop.is_set():
                count += 1
                name = f"{number}-{count}"
                try:
                    answer = client.post("/v1/compare", json=self._battle | {"id": name})
                except httpx.ConnectError:
                    return  # the door is closed
                except httpx.TransportError as error:
                    with self._lock:
                        self.unanswered.append(f"{type(error).__name__}: {error}")
                    return
                with self._lock:
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 200 and answer.json()["id"] != name:
                        self.mixed_up.append((name, answer.json()["id"]))
