"""Features of an answer as people read them: the number of each, and the sentence that holds both numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import expm1
from typing import Final, Literal


@dataclass(frozen=True)
class Measure:
    """How a feature is told.

    Args:
        kind: "count": the feature is the logarithm of one more than a count; "share": it is a share; "number": it is
            told as it is.
        words: A sentence with a place for the number of answer a, and for that of answer b.
    """

    kind: Literal["count", "share", "number"]
    words: str


def measured(name: str, look: Mapping[str, float]) -> str:
    """The number of one answer that the sentence of a feature tells.

    Example:
        >>> measured("prompt_long_words_in", {"prompt_long_words_in": 0.25})
        '25'
    """
    kind, value = MEASURES[name].kind, look[name]
    if kind == "count":
        return f"{round(expm1(value)):,}"
    return f"{100 * value:.3g}" if kind == "share" else f"{value:.1f}"


_TAKEN: Final = "Of the {} of the prompt, answer A takes up {{}} in 100, answer B {{}} in 100."
_FROM: Final = "Of 100 {} of answer A, {{}} stand in the prompt; of 100 of answer B, {{}} do."
_HAS: Final = "Answer A has {{}} {0}, answer B {{}}."
_OF_SIGNS: Final = "Of 100 characters, {{}} in answer A and {{}} in answer B are {}."
_OF_WORDS: Final = "Of 100 words, {{}} in answer A and {{}} in answer B are {}."

_SIGNS: Final = {
    "colon_share": "colons", "markup_share": "signs of markup", "hyphen_share": "hyphens", "emoji_share": "emoji",
    "operator_share": "signs of sums", "bracket_share": "brackets", "digit_share": "digits",
    "upper_share": "capital letters", "comma_share": "commas", "quote_share": "quotes",
    "script_latin": "Latin letters beyond English ones", "script_greek": "Greek letters",
    "script_cyrillic": "Cyrillic letters", "script_semitic": "Hebrew or Arabic letters",
    "script_indic": "Indic letters", "script_thai": "Thai letters", "script_hangul": "Korean letters",
    "script_kana": "Japanese letters", "script_han": "Chinese letters",
}  # fmt: skip
_COUNTS: Final = {
    "chars": "characters", "words": "words", "sentences": "sentences", "lines": "lines",
    "paragraphs": "breaks between paragraphs", "bullets": "bullet points", "numbered": "numbered points",
    "headings": "headings", "bold": "bold phrases", "table_rows": "table rows", "quoted_lines": "quoted lines",
    "links": "signs of links", "code_blocks": "code blocks", "inline_code": "backticks", "formulas": "formulas",
    "tags": "tags", "right_sums": "right sums", "wrong_sums": "wrong sums", "questions": "question marks",
    "exclamations": "exclamation marks",
}  # fmt: skip
_UNLIKE: Final = {
    "distinct_words": "words", "distinct_pairs": "pairs of words", "distinct_fours": "groups of four words",
    "distinct_lines": "lines", "distinct_sentences": "sentences",
}  # fmt: skip
_ENDS: Final = {
    "ends_stopped": "end in a full stop", "ends_asking": "end in a question mark",
    "ends_open": "end in a comma, colon or hyphen", "ends_in_word": "end without a stop", "refusal_turns": "decline",
}  # fmt: skip
_LANGUAGES: Final = ("english", "spanish", "french", "german", "portuguese", "italian", "russian")

MEASURES: Final[Mapping[str, Measure]] = {
    "prompt_words_in": Measure("share", _TAKEN.format("words")),
    "prompt_long_words_in": Measure("share", _TAKEN.format("longer words")),
    "prompt_pairs_in": Measure("share", _TAKEN.format("pairs of words")),
    "words_from_prompt": Measure("share", _FROM.format("words")),
    "long_words_from_prompt": Measure("share", _FROM.format("longer words")),
    "pairs_from_prompt": Measure("share", _FROM.format("pairs of words")),
    "sentence_words": Measure("count", "Sentences have {} words in answer A, {} in answer B."),
    "word_chars": Measure("number", "Words have {} letters on average in answer A, {} in answer B."),
    "long_words": Measure("share", _OF_WORDS.format("long ones")),
    "reading_ease": Measure("number", "On a scale of easy reading, answer A is at {}, answer B at {}."),
    "on_topic": Measure("share", "Of 100 sentences, {} in answer A and {} in answer B hold a word of the prompt."),
    "same_script": Measure("share", "Of 100 letters, {} in answer A and {} in answer B are of the prompt's alphabets."),
    **{
        name: Measure("share", f"Of 100 {what}, {{}} in answer A and {{}} in answer B are different ones.")
        for name, what in _UNLIKE.items()
    },
    **{
        name: Measure("share", f"Of 100 turns, {{}} of answer A and {{}} of answer B {what}.")
        for name, what in _ENDS.items()
    },
    **{name: Measure("count", _HAS.format(words)) for name, words in _COUNTS.items()},
    **{name: Measure("share", _OF_SIGNS.format(words)) for name, words in _SIGNS.items()},
    **{f"is_{name}": Measure("share", _OF_WORDS.format(f"typical of {name.capitalize()}")) for name in _LANGUAGES},
}
"""The features that can be told by a number."""
