"""What a baseline reads, sorted into a handful of groups that can be told in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from votecast.features import PairFeatures
from votecast.judges.measures import MEASURES, measured

Look = dict[str, float]
"""What one answer looks like: every feature of `PairFeatures` by name."""

_PHRASES = (
    "hedge", "opener", "closer", "order", "reason", "example", "first_person", "second_person", "we", "negation",
    "abuse", "wants_list", "wants_table", "wants_code", "wants_text", "hedge_share", "first_person_share",
    "second_person_share", "negation_share",
)  # fmt: skip
_COUNTED: dict[str, dict[str, tuple[str, ...]]] = {
    "layout": {
        "list item": ("bullets", "numbered"),
        "heading": ("headings",),
        "bold phrase": ("bold",),
        "table row": ("table_rows",),
        "sign of a link": ("links",),
    },
    "code": {
        "code block": ("code_blocks",),
        "backtick": ("inline_code",),
        "right sum": ("right_sums",),
        "wrong sum": ("wrong_sums",),
    },
    "refusal": {
        "phrase of refusal": ("refusal",),
        "apology": ("apology",),
        "caution": ("caution",),
        "word about AI": ("machine",),
    },
}
_PLURALS = {
    "sign of a link": "signs of a link",
    "apology": "apologies",
    "phrase of refusal": "phrases of refusal",
    "word about AI": "words about AI",
}
_TELLING = 0.02
_SPACED = 0.1
"""Share of Chinese and Japanese letters up to which a text is counted in words."""
_LEAST_WORDS, _LEAST_CHARACTERS = 8, 40


@dataclass(frozen=True)
class Group:
    """Features that are told together.

    Args:
        name: Short name, as a heading.
        features: Features of one answer that belong to it.
        tell: A sentence on what a pair shows of it, given answer a, answer b and what both share.
        told: Features that this sentence tells.
    """

    name: str
    features: tuple[str, ...]
    tell: Callable[[Look, Look, Look], str]
    told: tuple[str, ...] = ()

    def text(self, shown: tuple[Look, Look, Look], moved: Mapping[str, float]) -> str:
        """What a pair shows of it, first of all of the feature that moved most and differs.

        Args:
            shown: Answer a, answer b, and what both share.
            moved: How far each feature moved the forecast to the side to which all of the group moved it.
        """
        a, b, _ = shown
        pairs = {name: (measured(name, a), measured(name, b)) for name in self.features if name in MEASURES}
        apart = {name: pair for name, pair in pairs.items() if pair[0] != pair[1] and moved.get(name, 0) > 0}
        said = self.tell(*shown)
        most = max(apart, key=lambda name: moved[name], default=None)
        if most is None or most in self.told:
            return said
        return f"{MEASURES[most].words.format(*apart[most])} {said}"


def group_of(column: str) -> int:
    """Position in `GROUPS` of a column that the trees or the linear model read.

    Example:
        >>> [GROUPS[group_of(name)].name for name in ("own_chars", "gap_words_3", "prompt_wants_code")]
        ['Length', 'Choice of words', 'The prompt']
    """
    if column in _GROUP_OF:
        return _GROUP_OF[column]
    name = column.removeprefix("own_").removeprefix("gap_")
    return _GROUP_OF.get(name, _REST if column != name else _GROUP_OF["prompt"])


def looks(features: PairFeatures) -> list[tuple[Look, Look, Look]]:
    """What every battle shows: of answer a, of answer b, and of both alike."""
    parts = ((features.names, features.a), (features.names, features.b), (features.shared_names, features.shared))
    return list(zip(*([_by_name(names, row) for row in rows] for names, rows in parts), strict=True))


def _by_name(names: tuple[str, ...], row: NDArray[np.float32]) -> Look:
    return dict(zip(names, row.tolist(), strict=True))


def _length(a: Look, b: Look, _: Look) -> str:
    han = max(look["script_han"] + look["script_kana"] for look in (a, b)) > _SPACED
    unit, column = ("character", "chars") if han else ("word", "words")
    one, two = (_many(round(float(np.expm1(look[column]))), unit) for look in (a, b))
    return f"Answer A has {one}, answer B has {two}."


def _layout(a: Look, b: Look, _: Look) -> str:
    if not any(_counts(look, "layout") for look in (a, b)):
        one, two = (_many(round(float(np.expm1(look["lines"]))), "line") for look in (a, b))
        return f"Plain text: {one} in answer A, {two} in answer B."
    return _both(a, b, "layout")


def _code(a: Look, b: Look, _: Look) -> str:
    return _both(a, b, "code", "Neither answer shows code or sums; what is left are digits and signs.")


def _refusal(a: Look, b: Look, _: Look) -> str:
    return _both(a, b, "refusal", "Neither answer declines, apologises or warns.")


def _closeness(a: Look, b: Look, _: Look) -> str:
    one, two = (round(100 * look["prompt_words_in"]) for look in (a, b))
    return f"Of the words of the prompt, answer A takes up {one} in 100, answer B {two} in 100."


def _language(a: Look, b: Look, _: Look) -> str:
    one, two = map(_language_of, (a, b))
    short = [_is_short(look) for look in (a, b)]
    if all(short):
        return "The answers are too short to tell their languages."
    if one == two and not any(short):
        return f"Both answers seem to be in {one}." if one else "The languages of the answers are not known here."
    told = [
        f"answer {side} is too short to tell its language"
        if is_short
        else f"answer {side} seems to be in {name or 'a language that is not known here'}"
        for side, is_short, name in zip("AB", short, (one, two), strict=True)
    ]
    return _sentence("; ".join(told))


def _is_short(look: Look) -> bool:
    characters, words = (np.expm1(look[name]) for name in ("chars", "words"))
    spaced = look["script_han"] + look["script_kana"] <= _SPACED
    return bool(characters < _LEAST_CHARACTERS or (spaced and words < _LEAST_WORDS))


def _language_of(look: Look) -> str:
    scripts = {"cyrillic": "Russian", "han": "Chinese", "kana": "Japanese", "hangul": "Korean"}
    found = {name.removeprefix("is_").capitalize(): look[name] for name in _LANGUAGES if name.startswith("is_")}
    found |= {language: look[f"script_{script}"] for script, language in scripts.items()}
    best = max(found, key=lambda name: found[name])
    return best if found[best] > _TELLING else ""


def _sentences(a: Look, b: Look, _: Look) -> str:
    one, two = (_many(round(float(np.expm1(look["sentence_words"]))), "word") for look in (a, b))
    unlike = [round(100 * look["distinct_words"]) for look in (a, b)]
    return (
        f"Sentences of answer A have {one} on average, those of answer B {two}; of 100 words, {unlike[0]} in answer A "
        f"and {unlike[1]} in answer B are different ones."
    )


def _wording(a: Look, b: Look, _: Look) -> str:
    kinds = {
        "hedges": "hedge", "openings such as “Sure”": "opener", "closing phrases": "closer", "words of order": "order",
        "reasons": "reason", "examples": "example",
        "“you”": "second_person", "“I”": "first_person", "“not”": "negation",
    }  # fmt: skip
    gaps = {words: a[name] - b[name] for words, name in kinds.items()}
    more = [
        [words for words in sorted(gaps, key=lambda w: -side * gaps[w]) if side * gaps[words] > 0][:3]
        for side in (1, -1)
    ]
    told = [
        f"answer {side} has more {' and '.join(words[:2])}" for side, words in zip("AB", more, strict=True) if words
    ]
    return _sentence("; ".join(told)) if told else "Both answers use the same turns of phrase."


def _vocabulary(_: Look, __: Look, ___: Look) -> str:
    return "Words and word beginnings, weighed by how answers with such words fared in the votes."


def _likeness(_: Look, __: Look, shared: Look) -> str:
    return (
        f"The answers share {round(100 * shared['likeness_words'])} in 100 words; the more alike, the closer the vote."
    )


def _prompt(_: Look, __: Look, shared: Look) -> str:
    wants = [name for name in ("list", "table", "code", "text") if shared[f"prompt_wants_{name}"] > 0]
    words = _many(round(float(np.expm1(shared["prompt_words"]))), "word")
    asks = f" and seems to ask for {' and '.join(wants)}" if wants else ""
    return f"The prompt has {words}{asks}, which changes what counts in an answer."


def _both(a: Look, b: Look, group: str, neither: str = "") -> str:
    one, two = (_counts(look, group) for look in (a, b))
    if not one and not two:
        return neither
    return f"Answer A: {one or 'none of it'}; answer B: {two or 'none of it'}."


def _counts(look: Look, group: str) -> str:
    counts = {
        word: sum(round(float(np.expm1(look[name]))) for name in names) for word, names in _COUNTED[group].items()
    }
    return ", ".join(_many(count, word) for word, count in counts.items() if count)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word if count == 1 else _PLURALS.get(word, word + 's')}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


_LANGUAGES: Final = (
    "is_english", "is_spanish", "is_french", "is_german", "is_portuguese", "is_italian", "is_russian", "script_latin",
    "script_greek", "script_cyrillic", "script_semitic", "script_indic", "script_thai", "script_hangul", "script_kana",
    "script_han", "same_script",
)  # fmt: skip

GROUPS: Final = (
    Group("Length", ("chars", "words", "sentences", "turns", "empty", "empty_turns"), _length, ("words",)),
    Group(
        "Layout",
        (
            "lines", "paragraphs", "bullets", "numbered", "headings", "bold", "table_rows", "quoted_lines", "links",
            "colon_share", "markup_share", "hyphen_share", "emoji_share",
        ),
        _layout,
        ("lines", "bullets", "numbered", "headings", "bold", "table_rows", "links"),
    ),
    Group(
        "Code and figures",
        (
            "code_blocks", "open_code", "inline_code", "formulas", "tags", "operator_share", "bracket_share",
            "digit_share", "right_sums", "wrong_sums",
        ),
        _code,
        ("code_blocks", "inline_code", "right_sums", "wrong_sums"),
    ),
    Group(
        "Closeness to the prompt",
        (
            "prompt_words_in", "prompt_long_words_in", "prompt_pairs_in", "words_from_prompt", "long_words_from_prompt",
            "pairs_from_prompt", "on_topic",
        ),
        _closeness,
        ("prompt_words_in",),
    ),
    Group("Language", _LANGUAGES, _language),
    Group("Refusals and cautions", ("refusal", "refusal_turns", "machine", "apology", "caution"), _refusal),
    Group("Turns of phrase", _PHRASES, _wording),
    Group(
        "Sentences and repetition",
        (
            "sentence_words", "word_chars", "long_words", "reading_ease", "questions", "exclamations", "upper_share",
            "comma_share", "quote_share", "repeated_sentences", "distinct_sentences", "distinct_words",
            "distinct_pairs", "distinct_fours", "distinct_lines", "ends_stopped", "ends_asking", "ends_open",
            "ends_in_word",
        ),
        _sentences,
        ("sentence_words", "distinct_words"),
    ),
    Group("Choice of words", ("terms",), _vocabulary),
    Group("Likeness of the answers", ("likeness_words", "likeness_long_words", "likeness_pairs"), _likeness),
    Group("The prompt", ("prompt",), _prompt),
)  # fmt: skip
"""Every column that a baseline reads belongs to exactly one."""

_GROUP_OF: Final = {name: place for place, group in enumerate(GROUPS) for name in group.features}
_REST: Final = _GROUP_OF["terms"]
