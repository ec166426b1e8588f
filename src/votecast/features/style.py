"""Describe texts by numbers: lengths, layout, reading ease, repetition, wording, sums.

`extract` describes prompts and responses; every family reads the form of both responses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import characters
from votecast.features.characters import ALPHABETS, KIND, Texts
from votecast.features.lexicon import LANGUAGES, PHRASES, TOPICS, count_phrases
from votecast.features.words import DistinctTerms, Sentences, Words, distinct_terms

FORM = ("characters", "lines", "code_blocks", "bullets", "numbered", "bold")
"""Names of the six columns of `answer_form`; each is the logarithm of one plus a count."""

_FORM_PATTERNS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (r"\n(?=.)", r"^\s{0,3}```", r"^\s{0,3}[-*+•] ", r"^\s{0,3}\d{1,2}[.)] ", r"\*\*\S")
)


def answer_form(battles: Battles) -> NDArray[np.float32]:
    r"""Measure length and layout of both responses of n battles.

    Returns:
        Shape (n, 2, 6): responses A and B, columns `FORM`.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "", "response_b": "- one\n- two"}])
        >>> np.expm1(answer_form(battles)[0, 1]).round().tolist()
        [11.0, 1.0, 0.0, 2.0, 0.0, 0.0]
    """
    counts = [
        [len(text), *(sum(1 for _ in pattern.finditer(text)) for pattern in _FORM_PATTERNS)]
        for name in ("response_a", "response_b")
        for text in battles.text(name, "\n")
    ]
    sides = np.log1p(np.array(counts, dtype=np.float32).reshape(2, -1, len(FORM)))
    return np.stack(list(sides), axis=1)


def length_gap(battles: Battles) -> NDArray[np.float64]:
    """Compare lengths: log(1 + characters) of response A minus that of response B.

    Returns:
        Shape (n,); a swap of the responses changes the sign only.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "seven..", "response_b": ""}])
        >>> length_gap(battles).round(4)
        array([2.0794])
    """
    a, b = (np.log1p(characters(battles, name).astype(np.float64)) for name in ("response_a", "response_b"))
    return np.asarray(a - b)


Column = NDArray[np.float64]
_SHARES = ("upper", "digit", "comma", "colon", "bracket", "quote", "operator", "hyphen", "markup", "emoji")
_VOWELS = np.zeros(128, dtype=np.bool_)
_VOWELS[[ord(c) for c in "aeiouyAEIOUY"]] = True


def describe_texts(
    texts: Texts, words: Words, sentences: Sentences, terms: Mapping[str, DistinctTerms]
) -> tuple[list[str], NDArray[np.float32]]:
    """Describe n texts one by one.

    Args:
        texts: The texts.
        words: Their words and lines.
        sentences: Their sentences.
        terms: Their distinct terms by kind; "words" and "pairs" are needed.

    Returns:
        Names of the columns, and their values, shape (n, columns).
    """
    columns = _lengths(texts, words, sentences) | _layout(texts, words) | _wording(texts, words)
    # Share of the sentences, words, ... of each text that are new in it.
    again = (sentences.hashes[1:] == sentences.hashes[:-1]) & (sentences.owner[1:] == sentences.owner[:-1])
    columns["repeated_sentences"] = sentences.share(np.append(False, again)[: sentences.owner.size])
    distinct = {
        "sentences": distinct_terms(sentences.hashes, sentences.owner),
        "words": terms["words"],
        "pairs": terms["pairs"],
        "fours": distinct_terms(*words.grams(4)),
        "lines": distinct_terms(words.line_hashes, words.line_owner),
    }
    n = texts.turns.size
    for name, (_, owner, counts) in distinct.items():
        total = np.bincount(owner, counts, minlength=n)
        once = np.bincount(owner, minlength=n) / np.maximum(total, 1)
        columns[f"distinct_{name}"] = np.where(total, once, 1.0)
    columns |= _endings(texts) | _sums(texts)
    return list(columns), np.stack([column.astype(np.float32) for column in columns.values()], axis=1)


def _lengths(texts: Texts, words: Words, sentences: Sentences) -> dict[str, Column]:
    by_kind = {name: texts.by_kind[:, number].astype(np.float64) for name, number in KIND.items()}
    letters = np.maximum(texts.by_kind.sum(axis=1) - by_kind["newline"], 1)
    sentence_count = np.maximum(sentences.counts, 1)
    word_count = np.maximum(words.counts, 1)
    long_words = np.bincount(words.owner[words.length > 6], minlength=texts.turns.size)
    ascii_codes = texts.codes < 128
    vowel = np.zeros(texts.codes.size, dtype=np.bool_)
    vowel[ascii_codes] = _VOWELS[texts.codes[ascii_codes]]
    # A syllable is a run of vowels; "reading_ease" is Flesch (1948), made for English.
    syllables = texts.count(vowel & ~np.append(False, vowel[:-1])) / word_count
    columns = {
        "chars": np.log1p(texts.written),
        "words": np.log1p(words.counts),
        "sentences": np.log1p(sentence_count),
        "turns": texts.turns.astype(np.float64),
        "empty": (texts.written == 0).astype(np.float64),
        "empty_turns": texts.blank / np.maximum(texts.turns, 1),
        "sentence_words": np.log1p(words.counts / sentence_count),
        "word_chars": sum(by_kind[name] for name in ("lower", "upper", *ALPHABETS)) / word_count,
        "long_words": long_words / word_count,
        "reading_ease": 206.835 - 1.015 * words.counts / sentence_count - 84.6 * syllables,
        "questions": np.log1p(by_kind["question"]),
        "exclamations": np.log1p(by_kind["exclamation"]),
    }
    columns |= {f"{name}_share": by_kind[name] / letters for name in _SHARES}
    return columns | {f"script_{name}": by_kind[name] / letters for name in ALPHABETS}


def _layout(texts: Texts, words: Words) -> dict[str, Column]:
    one, two = words.openings[:, 0], words.openings[:, 1]  # first characters of each line, (lines,) each
    digits = (words.openings >= 48) & (words.openings <= 57)
    stops = np.isin(words.openings, [ord(c) for c in ".):、"])
    spaced = (two == 32) | (one == ord("•"))
    after_digit = stops[:, 1] | (digits[:, 1] & (stops[:, 2] | (digits[:, 2] & stops[:, 3])))  # "1.", "12)", "123:"
    marked = {
        "lines": np.ones(one.size, dtype=np.bool_),
        "bullets": np.isin(one, [ord(c) for c in "-*+•–"]) & spaced,
        "numbered": digits[:, 0] & after_digit,
        "headings": (one == ord("#")) & np.isin(two, [32, ord("#")]),
        "table_rows": one == ord("|"),
        "quoted_lines": one == ord(">"),
        "fences": (words.openings[:, :3] == ord("`")).all(axis=1),
    }
    n = texts.turns.size
    lines = {name: np.bincount(words.line_owner[mask], minlength=n).astype(np.float64) for name, mask in marked.items()}
    fences = lines.pop("fences")
    columns = {
        "lines": lines["lines"],
        "paragraphs": _count_string(texts, "\n\n") - texts.turns,
        "bullets": lines["bullets"],
        "numbered": lines["numbered"],
        "headings": lines["headings"],
        "bold": np.floor(_count_string(texts, "**") / 2),
        "table_rows": lines["table_rows"],
        "quoted_lines": lines["quoted_lines"],
        "code_blocks": np.ceil(fences / 2),
        "open_code": fences % 2,
        "inline_code": np.maximum(_count_string(texts, "`") - 3 * fences, 0),
        "links": _count_string(texts, "://") + _count_string(texts, "]("),
        "formulas": _count_string(texts, "\\") + _count_string(texts, "$"),
        "tags": _count_string(texts, "</") + _count_string(texts, "/>"),
    }
    return {name: np.log1p(np.maximum(column, 0)) for name, column in columns.items()}


def _count_string(texts: Texts, wanted: str) -> Column:
    """Count the places of each text where a string begins."""
    codes = texts.codes
    hit = codes[: max(0, codes.size - len(wanted) + 1)] == ord(wanted[0])
    for place, character in enumerate(wanted[1:], start=1):
        hit &= codes[place : codes.size - len(wanted) + 1 + place] == ord(character)
    # The line break that ends a text begins no string, which would go on in the next text.
    last = texts.starts[1:] - 1
    hit[last[(last >= 0) & (last < hit.size)]] &= len(wanted) == 1
    return texts.count(hit).astype(np.float64)


def _wording(texts: Texts, words: Words) -> dict[str, Column]:
    counts = dict(zip(PHRASES, count_phrases(words, texts.turns.size), strict=True))
    total = np.maximum(words.counts, 1)
    columns = {name: np.log1p(counts[name]) for name in TOPICS}
    for name in ("hedge", "first_person", "second_person", "negation"):
        columns[f"{name}_share"] = counts[name] / total
    columns["refusal_turns"] = counts["refusal"] / np.maximum(texts.turns, 1)
    return columns | {f"is_{name}": counts[name] / total for name in LANGUAGES}


_ENDINGS = {
    "ends_stopped": ("stop", "exclamation", "bracket", "quote"),
    "ends_asking": ("question",),
    "ends_open": ("comma", "colon", "hyphen"),
    "ends_in_word": ("lower", "upper", "digit", *ALPHABETS),
}


def _endings(texts: Texts) -> dict[str, Column]:
    """Classify the last visible character of each text."""
    solid = np.flatnonzero(~texts.is_kind("space", "newline"))
    edges = np.searchsorted(solid, texts.starts)  # (n + 1,)
    last = texts.kinds[solid[np.maximum(edges[1:] - 1, 0)]] if solid.size else 0
    kind = np.where(np.diff(edges) > 0, last, 255)  # 255: no kind, the text is blank
    return {name: np.isin(kind, [KIND[each] for each in kinds]).astype(np.float64) for name, kinds in _ENDINGS.items()}


_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)"
_SUM = re.compile(_NUMBER + r"\s{0,2}([-+*/×÷x])\s{0,2}" + _NUMBER + r"\s{0,2}=\s{0,2}\$?" + _NUMBER)
_MAX_SUMS = 100


def _sums(texts: Texts) -> dict[str, Column]:
    """Count right and wrong sums, differences, products and quotients, such as `12 + 30 = 42`."""
    counts = np.zeros((texts.turns.size, 2))
    equal = np.flatnonzero(texts.codes == ord("="))
    hits = np.searchsorted(equal, texts.starts)
    # Only a window around each "=" is decoded, 30 characters before it and 20 from it on: the longest sum fits.
    for row in np.flatnonzero(np.diff(hits)).tolist():
        for place in equal[hits[row] : min(hits[row + 1], hits[row] + _MAX_SUMS)].tolist():
            first = max(int(texts.starts[row]), place - 30)
            window = texts.codes[first : place + 20].astype("<u4").tobytes().decode("utf-32-le")
            for found in _SUM.finditer(window):
                if found.start() < place - first < found.end():
                    counts[row, int(not is_right(*found.groups()))] += 1
    return {"right_sums": np.log1p(counts[:, 0]), "wrong_sums": np.log1p(counts[:, 1])}


def is_right(left: str, sign: str, right: str, claimed: str) -> bool:
    """Check that `left sign right = claimed` holds to the digits that are written.

    Example:
        >>> is_right("12", "+", "30", "42"), is_right("10", "/", "3", "3.33"), is_right("2", "*", "2", "5")
        (True, True, False)
    """
    x, y = float(left), float(right)
    if sign in "/÷" and y == 0:
        return False
    value = {"+": x + y, "-": x - y, "*": x * y, "×": x * y, "x": x * y}.get(sign, x / y if y else 0.0)
    digits = len(claimed.partition(".")[2])
    error = abs(value - float(claimed))
    if digits or sign in "/÷":  # rounded to the digits that are written
        return error <= 0.5 * 10.0**-digits + 1e-9
    return error < 1e-9
