"""A fast model with a checkpoint every step, for tests of fits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load_file, save_file

from votecast.config import Settings
from votecast.data.battles import Battles
from votecast.models.base import Model
from votecast.text.truncation import TruncationReport
from votecast.types import Run

STEP = "step.json"
LOG = "CHEAP_LOG"
"""Environment variable: a file that gets a line for every step."""
PREDICTED = "CHEAP_PREDICTED"
"""Environment variable: a file that gets a line for every prediction outside of `fit`, with its number of rows."""


class CheapSettings(Settings):
    """Training steps, position bias and whether it is declared; whether both orders are averaged."""

    steps: int = 3
    bias_to_a: float = 0.0
    declares_order: bool = True
    averages: bool = False


class Lengths:
    def __init__(self, x: np.ndarray) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: Any) -> Lengths:
        return Lengths(self.x[np.asarray(indices)])


class CheapModel(Model[Lengths]):
    settings_type: ClassVar[type[Settings]] = CheapSettings
    packages = ("safetensors",)
    base: ClassVar[dict[str, str]] = {"name": "paper", "sha256": "0" * 64, "licence": "none"}

    can_be_averaged = True

    def __init__(self, settings: CheapSettings | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.weights = np.random.default_rng(seed).normal(size=2) / 10
        self.released = False

    @property
    def order_matters(self) -> bool:
        return self.settings.averages or (self.settings.declares_order and self.settings.bias_to_a != 0)

    @property
    def averages_orders(self) -> bool:
        return self.settings.averages

    def prepare(self, battles: Battles) -> Lengths:
        a, b = ([len(text) for text in battles.text(name)] for name in ("response_a", "response_b"))
        return Lengths(np.log1p(np.array([a, b], dtype=float).T))

    def truncation(self, prepared: Lengths) -> TruncationReport:
        full = np.column_stack([np.ones(len(prepared)), prepared.x]).astype(np.int64)
        return TruncationReport(np.minimum(full, 5), full)

    def fit(self, prepared: Lengths, targets: Any, weights: Any, groups: Any, run: Run = Run()) -> CheapModel:
        step = run.folder / STEP if run.folder else None
        done = 0
        if step and step.exists():
            kept = json.loads(step.read_text())
            done, self.weights = kept["done"], np.array(kept["weights"])
        for number in range(done, self.settings.steps):
            gap = targets - self._predict(prepared)
            apart = prepared.x[:, 0] - prepared.x[:, 1]
            pull = [(gap[:, 0] - gap[:, 1]) @ apart, gap[:, 2].sum()]
            self.weights = self.weights + 0.5 * np.array(pull) / len(prepared)
            if log := os.environ.get(LOG):
                with Path(log).open("a") as file:
                    file.write(f"{run.folder and run.folder.name} {number}\n")
            if step:
                part = step.with_suffix(".new")
                part.write_text(json.dumps({"done": number + 1, "weights": self.weights.tolist()}))
                part.replace(step)
        return self

    def predict(self, prepared: Lengths) -> np.ndarray:
        if log := os.environ.get(PREDICTED):
            with Path(log).open("a") as file:
                file.write(f"{len(prepared)}\n")
        return self._predict(prepared)

    def _predict(self, prepared: Lengths) -> np.ndarray:
        strength = self.weights[0] * (prepared.x[:, 0] - prepared.x[:, 1])
        kind = self.settings.bias_to_a
        logits = np.column_stack([strength + kind, -strength - kind, np.full(len(prepared), self.weights[1])])
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def release(self) -> None:
        self.released = True

    @classmethod
    def averaged(cls, members: list[CheapModel]) -> CheapModel:
        made = cls(members[0].settings, seed=members[0].seed)
        made.weights = np.mean([member.weights for member in members], axis=0)
        return made

    def save(self, folder: Path) -> None:
        save_file({"weights": self.weights}, folder / "weights.safetensors")

    def _restore(self, folder: Path) -> None:
        self.weights = load_file(folder / "weights.safetensors")["weights"]
