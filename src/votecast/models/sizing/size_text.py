"""The memory of a training as text, for the command line and the log."""

from __future__ import annotations

from collections.abc import Mapping

from votecast.config.machine import size_text


def describe_memory(memory: Mapping[str, int]) -> str:
    """Describe the memory of one device."""
    names = ("weights", "gradients", "optimizer", "activations")
    return f"{size_text(memory['peak'])} at most: " + ", ".join(f"{name} {size_text(memory[name])}" for name in names)
