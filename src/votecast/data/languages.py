"""The languages of prompts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from votecast.data.battles import Battles
from votecast.data.pairs import rows_of

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNKNOWN = "und"
"""ISO 639 code for text whose language cannot be told."""

_CHARACTERS = 300
_CONFIDENCE = 0.3
_CHINESE = frozenset({"yue", "wuu"})  # written Chinese is told apart no further than zh, their macrolanguage


def detect_languages(texts: Sequence[str]) -> list[str]:
    """Name the language of each text by its ISO 639 code, from its first 300 characters; "und" where it cannot be told.

    Args:
        texts: Texts, n of them; equal beginnings are looked at once.

    Returns:
        n codes, by py3langid (after Lui and Baldwin, 2012, "langid.py").

    Example:
        >>> detect_languages(["Why does the sky look blue at noon?", "Warum ist der Himmel am Mittag blau?", "1+1"])
        ['en', 'de', 'und']
    """
    identifier = _identifier()
    known: dict[str, str] = {}
    out = []
    for text in texts:
        start = text[:_CHARACTERS]
        if start not in known:
            code = identifier.classify(start)[0]
            known[start] = "zh" if code in _CHINESE else code
        out.append(known[start])
    return out


def prompt_languages(battles: Battles) -> list[str]:
    """The language of every row: what its `language` column says, else what its prompt looks like."""
    given = battles.column("language")
    if given.null_count == 0:
        return given.to_pylist()  # type: ignore[no-any-return]
    blank = pc.is_null(given).to_pylist()
    starts = ["\n".join(turn for turn in turns if turn)[:_CHARACTERS] for turns in rows_of(battles.column("prompt"))]
    found = iter(detect_languages([start for start, missing in zip(starts, blank, strict=True) if missing]))
    return [next(found) if missing else name for name, missing in zip(given.to_pylist(), blank, strict=True)]


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENCE)
