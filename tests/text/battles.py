from __future__ import annotations

from typing import Any

from votecast.data.battles import Battles


def battle(prompt: Any, a: Any, b: Any) -> Battles:
    return Battles.from_rows([{"prompt": prompt, "response_a": a, "response_b": b}])
