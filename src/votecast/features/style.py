"""Describe one text by numbers: lengths, layout, reading ease, repetition, wording, sums.

`extract` compares both responses; every family reads their form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from votecast.data.battles import Battles
from votecast.data.text_columns import characters
from votecast.features.characters import ALPHABETS, KIND, NEWLINE, Texts
from votecast.features.lexicon import LANGUAGES, PHRASES, TOPICS, phrases_by_size
from votecast.features.words import Hashes, Sentences, Words, prefix_hashes, sentences_of, span_hashes, words_of

FORM = ("characters", "lines", "code_blocks", "bullets", "numbered", "bold")
"""Names of the six columns; each is the logarithm of one plus a count."""

_COUNTED = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (r"\n(?=.)", r"^\s{0,3}```", r"^\s{0,3}[-*+•] ", r"^\s{0,3}\d{1,2}[.)] ", r"\*\*\S")
)


def answer_form(battles: Battles) -> NDArray[np.float32]:
    r"""Length and layout of both answers of every battle.

    Args:
        battles: n battles.

    Returns:
        Shape (n, 2, 6): answers a and b, columns `FORM`.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "", "response_b": "- one\n- two"}])
        >>> np.expm1(answer_form(battles)[0, 1]).round().tolist()
        [11.0, 1.0, 0.0, 2.0, 0.0, 0.0]
    """
    sides = [_form(battles.text(name, "\n")) for name in ("response_a", "response_b")]
    return np.stack(sides, axis=1)


def length_gap(battles: Battles) -> NDArray[np.float64]:
    """How much longer answer a is than answer b: difference of the logarithms of one plus their characters.

    Args:
        battles: n battles.

    Returns:
        Shape (n,); exchanging the answers changes the sign and nothing else.

    Example:
        >>> battles = Battles.from_rows([{"prompt": "Hi", "response_a": "seven..", "response_b": ""}])
        >>> length_gap(battles).round(4)
        array([2.0794])
    """
    a, b = (np.log1p(characters(battles, name).astype(np.float64)) for name in ("response_a", "response_b"))
    return np.asarray(a - b)


def _form(texts: list[str]) -> NDArray[np.float32]:
    counts = [[len(text), *(sum(1 for _ in pattern.finditer(text)) for pattern in _COUNTED)] for text in texts]
    return np.log1p(np.array(counts, dtype=np.float32).reshape(-1, len(FORM)))


Column = NDArray[np.float64]
Distinct = tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]
_SHARES = ("upper", "digit", "comma", "colon", "bracket", "quote", "operator", "hyphen", "markup", "emoji")
_VOWELS = np.zeros(128, dtype=np.bool_)
_VOWELS[[ord(c) for c in "aeiouyAEIOUY"]] = True


@dataclass(frozen=True)
class ReadText:
    """Texts read once: their characters, words and lines.

    Args:
        texts: The texts.
    """

    texts: Texts

    @cached_property
    def words(self) -> Words:
        """The words of the texts."""
        return words_of(self.texts)

    @cached_property
    def distinct_words(self) -> Distinct:
        """The distinct words of each text."""
        return distinct(self.words.hashes, self.words.owner)

    @cached_property
    def distinct_pairs(self) -> Distinct:
        """The distinct pairs of neighbouring words of each text."""
        return distinct(*self.words.grams(2))

    @cached_property
    def sentences(self) -> Sentences:
        """The sentences of the texts."""
        return sentences_of(self.texts, self.words)

    @cached_property
    def lines(self) -> Lines:
        """The lines of the texts."""
        return lines_of(self.texts)

    @cached_property
    def phrases(self) -> dict[str, Column]:
        """How often phrases of each list occur in each text."""
        return _phrase_counts(self.words, len(self.texts))


@dataclass(frozen=True)
class Lines:
    """The lines of texts that hold anything.

    Args:
        owner: Text of each line.
        opening: The first four characters of each line that are not spaces, shape (lines, 4).
        hashes: Hash of the whole line.
    """

    owner: NDArray[np.int64]
    opening: NDArray[np.uint32]
    hashes: Hashes


def lines_of(texts: Texts) -> Lines:
    """Find the lines of texts and what each begins with."""
    solid = np.flatnonzero(~texts.is_kind("space", "newline"))
    breaks = np.flatnonzero(texts.is_kind("newline"))
    line = np.searchsorted(breaks, solid)
    first = solid[np.flatnonzero(np.diff(line, prepend=-1))]
    ends = breaks[np.searchsorted(breaks, first)] if first.size else first
    padded = np.append(texts.codes, np.full(4, NEWLINE, dtype=np.uint32))
    return Lines(
        texts.owner[first], padded[first[:, None] + np.arange(4)], span_hashes(prefix_hashes(texts), first, ends)
    )


def style_of(reading: ReadText) -> tuple[list[str], NDArray[np.float32]]:
    """Describe texts one by one.

    Args:
        reading: The texts, read.

    Returns:
        Names, and values of shape (texts, names).
    """
    columns = _lengths(reading) | _layout(reading) | _wording(reading) | _repetition(reading) | _ending(reading.texts)
    columns |= sums_of(reading.texts)
    return list(columns), np.stack([column.astype(np.float32) for column in columns.values()], axis=1)


def _lengths(reading: ReadText) -> dict[str, Column]:
    texts, words = reading.texts, reading.words
    by_kind = texts.by_kind.astype(np.float64)
    letters = np.maximum(by_kind.sum(axis=1) - by_kind[:, KIND["newline"]], 1)
    sentences = np.maximum(reading.sentences.counts(len(texts)), 1)
    count = np.maximum(words.counts, 1)
    long_words = texts.count(words.first[words.length > 6])
    lower = texts.codes < 128
    vowel = np.zeros(texts.codes.size, dtype=np.bool_)
    vowel[lower] = _VOWELS[texts.codes[lower]]
    syllables = texts.count(vowel & ~np.append(False, vowel[:-1])) / count
    columns = {
        "chars": np.log1p(texts.written),
        "words": np.log1p(words.counts),
        "sentences": np.log1p(sentences),
        "turns": texts.turns.astype(np.float64),
        "empty": (texts.written == 0).astype(np.float64),
        "empty_turns": texts.blank / np.maximum(texts.turns, 1),
        "sentence_words": np.log1p(words.counts / sentences),
        "word_chars": texts.count(texts.is_kind("lower", "upper", *ALPHABETS)) / count,
        "long_words": long_words / count,
        "reading_ease": 206.835 - 1.015 * words.counts / sentences - 84.6 * syllables,
        "questions": np.log1p(by_kind[:, KIND["question"]]),
        "exclamations": np.log1p(by_kind[:, KIND["exclamation"]]),
    }
    columns |= {f"{name}_share": by_kind[:, KIND[name]] / letters for name in _SHARES}
    return columns | {f"script_{name}": by_kind[:, KIND[name]] / letters for name in ALPHABETS}


def _layout(reading: ReadText) -> dict[str, Column]:
    texts, lines, codes = reading.texts, reading.lines, reading.texts.codes
    one, two, three, four = lines.opening.T

    def _per_text(mask: NDArray[np.bool_]) -> Column:
        return np.bincount(lines.owner[mask], minlength=len(texts)).astype(np.float64)

    def _run(text: str) -> Column:
        hit = codes[: max(0, codes.size - len(text) + 1)] == ord(text[0])
        for place, character in enumerate(text[1:], start=1):
            hit &= codes[place : codes.size - len(text) + 1 + place] == ord(character)
        last = texts.starts[1:] - 1
        hit[last[(last >= 0) & (last < hit.size)]] &= len(text) == 1
        return texts.count(hit).astype(np.float64)

    bullet = np.isin(one, [ord(c) for c in "-*+•–"]) & ((two == 32) | (one == ord("•")))
    stop = np.array([ord(c) for c in ".):、"])
    digit = _is_digit(one)
    numbered = digit & (
        np.isin(two, stop) | (_is_digit(two) & (np.isin(three, stop) | (_is_digit(three) & np.isin(four, stop))))
    )
    fence = (one == 96) & (two == 96) & (three == 96)
    fences = _per_text(fence)
    columns = {
        "lines": _per_text(np.ones(one.size, dtype=np.bool_)),
        "paragraphs": _run("\n\n") - texts.turns,
        "bullets": _per_text(bullet),
        "numbered": _per_text(numbered),
        "headings": _per_text((one == ord("#")) & np.isin(two, [32, ord("#")])),
        "bold": np.floor(_run("**") / 2),
        "table_rows": _per_text(one == ord("|")),
        "quoted_lines": _per_text(one == ord(">")),
        "code_blocks": np.ceil(fences / 2),
        "open_code": fences % 2,
        "inline_code": np.maximum(_run("`") - 3 * fences, 0),
        "links": _run("://") + _run("]("),
        "formulas": _run("\\") + _run("$"),
        "tags": _run("</") + _run("/>"),
    }
    return {name: np.log1p(np.maximum(column, 0)) for name, column in columns.items()}


def _is_digit(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return (codes >= 48) & (codes <= 57)


def _wording(reading: ReadText) -> dict[str, Column]:
    counts, words = reading.phrases, np.maximum(reading.words.counts, 1)
    common = np.stack([counts[name] for name in LANGUAGES], axis=1)
    columns = {name: np.log1p(counts[name]) for name in TOPICS}
    columns |= {
        f"{name}_share": counts[name] / words for name in ("hedge", "first_person", "second_person", "negation")
    }
    columns["refusal_turns"] = counts["refusal"] / np.maximum(reading.texts.turns, 1)
    return columns | {f"is_{name}": common[:, i] / words for i, name in enumerate(LANGUAGES)}


def _phrase_counts(words: Words, n: int) -> dict[str, Column]:
    counts = {name: np.zeros(n) for name in PHRASES}
    for size, lists in phrases_by_size().items():
        for name, found in lists.counts(*words.grams(size), n).items():
            counts[name] += found
    return counts


def _repetition(reading: ReadText) -> dict[str, Column]:
    n, words, lines = len(reading.texts), reading.words, reading.lines
    return {
        "repeated_sentences": reading.sentences.share(reading.sentences.repeated(), n),
        "distinct_sentences": distinct_share(reading.sentences.hashes, reading.sentences.owner, n),
        "distinct_words": _share(reading.distinct_words, n),
        "distinct_pairs": _share(reading.distinct_pairs, n),
        "distinct_fours": distinct_share(*words.grams(4), n),
        "distinct_lines": distinct_share(lines.hashes, lines.owner, n),
    }


def distinct_share(hashes: Hashes, owner: NDArray[np.int64], n: int) -> Column:
    """Share of the hashes of each text that are distinct, 1 for a text without any."""
    return _share(distinct(hashes, owner), n)


def _share(terms: Distinct, n: int) -> Column:
    _, owner, often = terms
    total = np.bincount(owner, often, minlength=n)
    return np.where(total, np.bincount(owner, minlength=n) / np.maximum(total, 1), 1.0)


def distinct(hashes: Hashes, owner: NDArray[np.int64]) -> Distinct:
    """Distinct hashes of each text, shortened to 40 bits, in order of text and hash.

    Returns:
        Keys (text in the upper 24 bits, hash in the lower 40), the text of each, and how often each occurs.
    """
    keys = np.sort((owner.astype(np.uint64) << np.uint64(40)) | (hashes >> np.uint64(24)))
    place = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if keys.size else np.zeros(0, np.int64)
    keys_once = keys[place]
    return keys_once, (keys_once >> np.uint64(40)).astype(np.int64), np.diff(place, append=keys.size)


def _ending(texts: Texts) -> dict[str, Column]:
    solid = np.flatnonzero(~texts.is_kind("space", "newline"))
    last = np.searchsorted(solid, texts.starts[1:]) - 1
    has = np.diff(np.searchsorted(solid, texts.starts)) > 0
    kind = np.where(has, texts.kinds[solid[np.maximum(last, 0)]] if solid.size else 0, 255)

    def _ends(*names: str) -> Column:
        return np.isin(kind, [KIND[name] for name in names]).astype(np.float64)

    return {
        "ends_stopped": _ends("stop", "exclamation", "bracket", "quote"),
        "ends_asking": _ends("question"),
        "ends_open": _ends("comma", "colon", "hyphen"),
        "ends_in_word": _ends("lower", "upper", "digit", *ALPHABETS),
    }


_NUMBER = r"(-?\d{1,9}(?:\.\d{1,6})?)"
_SUM = re.compile(_NUMBER + r"\s{0,2}([-+*/×÷x])\s{0,2}" + _NUMBER + r"\s{0,2}=\s{0,2}\$?" + _NUMBER)
_MOST = 100


def sums_of(texts: Texts) -> dict[str, NDArray[np.float64]]:
    """Count right and wrong sums, differences, products and quotients, such as `12 + 30 = 42`.

    Args:
        texts: The texts.

    Returns:
        Logarithms of the counts, one value a text.
    """
    counts = np.zeros((len(texts), 2))
    equal = np.flatnonzero(texts.codes == ord("="))
    hits = np.searchsorted(equal, texts.starts)
    for row in np.flatnonzero(np.diff(hits)).tolist():
        for place in equal[hits[row] : min(hits[row + 1], hits[row] + _MOST)].tolist():
            first = max(int(texts.starts[row]), place - 30)
            window = texts.codes[first : place + 20].astype("<u4").tobytes().decode("utf-32-le")
            for found in _SUM.finditer(window):
                if found.start() < place - first < found.end():
                    counts[row, int(not is_right(*found.groups()))] += 1
    return {"right_sums": np.log1p(counts[:, 0]), "wrong_sums": np.log1p(counts[:, 1])}


def is_right(left: str, sign: str, right: str, claimed: str) -> bool:
    """Whether `left sign right = claimed` holds to the digits that are written.

    Example:
        >>> is_right("12", "+", "30", "42"), is_right("10", "/", "3", "3.33"), is_right("2", "*", "2", "5")
        (True, True, False)
    """
    x, y = float(left), float(right)
    if sign in "/÷" and y == 0:
        return False
    value = {"+": x + y, "-": x - y, "*": x * y, "×": x * y, "x": x * y}.get(sign, x / y if y else 0.0)
    digits = len(claimed.partition(".")[2])
    return (
        abs(value - float(claimed)) <= 0.5 * 10.0**-digits + 1e-9
        if digits or sign in "/÷"
        else abs(value - float(claimed)) < 1e-9
    )
