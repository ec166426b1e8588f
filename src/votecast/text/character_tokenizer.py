"""Stand in for a tokenizer that is not on this machine: one token for every four characters.

Estimates count tokens with it; nothing is trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CHARACTERS_A_TOKEN = 4
"""About what the tokenizers of large models need for English; other languages and code need more tokens."""


class CharacterTokenizer:
    """Divide texts into tokens of four characters; ids mean nothing.

    Example:
        >>> CharacterTokenizer().encode(["Why?", "Because."])
        [[5], [5, 5]]
    """

    pad_id, cls_id, sep_id, bos_id, eos_id = 0, 1, 2, 3, 4
    has_types = False

    def encode(self, texts: Sequence[str], *, specials: bool = False) -> list[list[int]]:  # noqa: ARG002
        """Return a token for every four characters of each text."""
        return [[5] * -(-len(text) // CHARACTERS_A_TOKEN) for text in texts]

    def spans(self, texts: Sequence[str], *, specials: bool = False) -> list[tuple[list[int], list[int]]]:
        """Return what `encode` does, each with the ends of its tokens in the text."""
        size = CHARACTERS_A_TOKEN
        ends = [[min(end, len(text)) for end in range(size, len(text) + size, size)] for text in texts]
        return list(zip(self.encode(texts, specials=specials), ends, strict=True))

    def render(self, turns: Sequence[tuple[str, str]]) -> str | None:  # noqa: ARG002
        """Return None: there is no chat template, and ChatML is assumed."""
        return None

    def save(self, folder: str | Path) -> None:
        """Refuse: this is no tokenizer of a judge."""
        raise NotImplementedError("a stand-in that counts tokens is not saved")
