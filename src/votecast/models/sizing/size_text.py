"""Sizes in bytes as text, for the command line and the log."""

from __future__ import annotations

from collections.abc import Mapping


def describe_memory(memory: Mapping[str, int]) -> str:
    """Describe the memory of one device."""
    names = ("weights", "gradients", "optimizer", "activations")
    return f"{size_text(memory['peak'])} at most: " + ", ".join(f"{name} {size_text(memory[name])}" for name in names)


def size_text(count: int) -> str:
    """Format a number of bytes.

    Example:
        >>> size_text(9_683_352_912), size_text(16_029_520), size_text(0)
        ('9.7 GB', '16 MB', '0')
    """
    if count == 0:
        return "0"
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.0f} MB" if count >= 1e6 else "under 1 MB"
