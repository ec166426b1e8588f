"""Text of strangers made fit for a page: what would be invisible or obeyed is shown instead, and no text is endless."""

from __future__ import annotations

import re

LONGEST = 6_000
"""Characters of one text that are shown."""

_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
_LINE_ENDS = re.compile("\r\n?")


def visible(text: str) -> str:
    r"""Show what a page would hide or obey: control characters, lone surrogates, orders to turn the direction.

    Args:
        text: Any text.

    Returns:
        The text with control characters and direction overrides by their names, and U+FFFD for what is no character.

    Example:
        >>> visible("a\x00b\x1b[1m \u202ecod"), visible("\ud83d\r\nend")
        ('a␀b␛[1m [U+202E]cod', '�\nend')
    """
    return _HARMFUL.sub(_name, _LINE_ENDS.sub("\n", text)) if text else text


def shortened(text: str, longest: int = LONGEST) -> tuple[str, str]:
    """The start of a text, and what is said about the rest.

    Args:
        text: Any text.
        longest: Characters to keep.

    Returns:
        What is shown, and a sentence about what is not; "" where nothing is missing.

    Example:
        >>> shortened("abcdef", 4)
        ('abcd', '2 more characters are not shown')
    """
    if len(text) <= longest:
        return text, ""
    left = len(text) - longest
    return text[:longest], f"{left:,} more character{'s are' if left > 1 else ' is'} not shown"


def brief(name: str, longest: int = 80) -> str:
    """A name that fits into a sentence.

    Example:
        >>> brief("a name", 4)
        'a na…'
    """
    return name if len(name) <= longest else f"{name[:longest]}\u2026"


def _name(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code < 0xA0 or 0x202A <= code <= 0x2069:
        return f"[U+{code:04X}]"
    return "\ufffd"
