"""Provide a fast judge and files of battles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from votecast.errors import UnscoredRowsError


class Lengths:
    """A judge of lengths whose rounding depends on the batch."""

    name = "lengths"

    def __init__(self, fails_at: int | None = None, hash: str = "5a", refuses: str | None = None) -> None:
        self.hash = hash
        self.asked: list[int] = []
        self._fails_at = fails_at
        self._refuses = refuses

    def predict_proba(self, battles: Any) -> np.ndarray:
        if len(self.asked) == self._fails_at:
            raise RuntimeError("the accelerator is gone")
        prompts = battles.text("prompt")
        bad = {row: "its reward is nan" for row, prompt in enumerate(prompts) if prompt == self._refuses}
        if bad:
            raise UnscoredRowsError(bad, len(battles))
        self.asked.append(len(battles))
        sizes = np.array([[len(t) for t in battles.text(name)] for name in ("response_a", "response_b", "prompt")])
        p = np.exp(sizes.T % 7 / 3 + sizes.mean() % 0.01)
        return p / p.sum(axis=1, keepdims=True)


def write_votes(path: Path, rows: int, first: str = "why") -> Path:
    lines = [
        json.dumps({"prompt": f"{first} {n}", "response_a": "x" * (n % 11), "response_b": "y"}) for n in range(rows)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def judge() -> Callable[..., Lengths]:
    """Return a function that makes a judge."""
    return Lengths


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write three files of 2,500, 1,024 and 3 rows."""
    monkeypatch.chdir(tmp_path)
    for name, rows in (("b", 1024), ("a", 2500), ("c", 3)):
        write_votes(tmp_path / "pairs" / f"{name}.jsonl", rows, first=name)
    return tmp_path / "pairs"
