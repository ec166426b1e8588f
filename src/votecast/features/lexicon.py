"""Phrases that people react to, in several languages; matched as runs of words, in lower case."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from votecast.features.words import Hashes, phrase_hashes

# fmt: off
PHRASES: dict[str, tuple[str, ...]] = {
    "refusal": (
        "i cannot", "i can't", "i can not", "i am unable", "i'm unable", "i'm not able", "i am not able", "i won't",
        "i will not", "cannot provide", "can't provide", "cannot assist", "can't assist", "can't help", "cannot help",
        "not appropriate", "unable to", "i must decline", "i do not have access", "i don't have access",
        "don't feel comfortable", "against my", "no puedo", "no me es posible", "je ne peux pas", "je ne suis pas en",
        "je suis incapable", "ich kann nicht", "kann ich nicht", "ich bin nicht in der", "não posso", "non posso",
        "non sono in grado", "я не могу", "не могу", "не в состоянии", "我无法", "我不能", "无法提供", "不能提供",
        "できません", "出来ません",
        "お答えできま", "할 수 없습니다", "없습니다", "لا أستطيع", "لا يمكنني", "मैं नहीं",
    ),
    "machine": (
        "as an ai", "an ai language model", "language model", "i'm an ai", "i am an ai", "my training",
        "my programming", "como modelo de lenguaje", "como una ia", "en tant qu'ia", "als ki", "als sprachmodell",
        "como uma ia", "come modello", "как ии", "языковая модель", "人工智能", "语言模型", "言語モデル", "언어 모델",
    ),
    "apology": (
        "sorry", "apologize", "apologies", "unfortunately", "regret", "lo siento", "disculpa", "désolé",
        "malheureusement", "leider", "entschuldigung", "desculpe", "infelizmente", "mi dispiace", "purtroppo",
        "извините", "к сожалению", "抱歉", "对不起", "很遗憾", "申し訳", "죄송합니다",
    ),
    "hedge": (
        "however", "may", "might", "could", "perhaps", "possibly", "depends", "generally", "typically", "usually",
        "likely", "probably", "sometimes", "not sure", "don't know", "it seems", "can vary", "quizás", "peut-être",
        "vielleicht", "talvez", "forse", "可能", "也许",
    ),
    "opener": (
        "sure", "certainly", "of course", "absolutely", "great question", "here is", "here's", "here are", "happy to",
        "glad to",
    ),
    "closer": (
        "let me know", "hope this helps", "feel free", "any questions", "further assistance", "happy to help",
        "in conclusion", "in summary", "to summarize", "overall", "ultimately", "good luck",
    ),
    "caution": (
        "important to", "please note", "it's important", "it is important", "keep in mind", "consult", "be careful",
        "make sure", "illegal", "harmful", "dangerous", "unethical", "inappropriate", "offensive", "respectful",
        "professional", "safety",
    ),
    "order": (
        "first", "firstly", "second", "secondly", "third", "then", "next", "finally", "step", "lastly",
        "additionally", "furthermore", "moreover",
    ),
    "reason": ("because", "since", "therefore", "thus", "hence", "so that", "due to", "as a result", "reason", "why"),
    "example": ("for example", "for instance", "such as", "example", "e g", "including", "like"),
    "first_person": ("i", "i'm", "i'll", "i've", "i'd", "me", "my", "mine", "myself"),
    "second_person": ("you", "your", "you're", "you'll", "yours", "yourself"),
    "we": ("we", "our", "us", "we're", "let's"),
    "negation": (
        "not", "no", "never", "don't", "doesn't", "isn't", "aren't", "can't", "won't", "didn't", "cannot", "nothing",
        "none",
    ),
    "abuse": ("fuck", "shit", "bitch", "ass", "damn", "stupid", "idiot", "kill", "hate", "dumb", "crap", "sex"),
    "wants_list": (
        "list", "lists", "steps", "bullet", "bullets", "points", "ideas", "tips", "ways", "reasons", "examples",
        "lista", "liste", "pasos", "étapes", "schritte", "aufzählung", "список", "列表", "清单", "列出",
        "リスト", "목록",
    ),
    "wants_table": (
        "table", "columns", "spreadsheet", "csv", "tabla", "tableau", "tabelle", "tabela", "tabella", "таблица",
        "таблицу", "表格", "表",
    ),
    "wants_code": (
        "code", "function", "script", "program", "python", "javascript", "java", "sql", "html", "regex", "algorithm",
        "implement", "código", "función", "fonction", "funktion", "programm", "função", "funzione", "код", "функцию",
        "代码", "函数", "コード", "関数", "코드",
    ),
    "wants_text": (
        "write", "essay", "story", "poem", "email", "letter", "haiku", "rewrite", "summarize", "summary", "translate",
        "paraphrase",
    ),
    "english": (
        "the", "of", "and", "to", "in", "is", "that", "it", "for", "was", "with", "are", "this", "be", "have", "from",
        "or", "by", "what", "how",
    ),
    "spanish": (
        "el", "la", "de", "que", "y", "los", "las", "una", "por", "con", "para", "es", "del", "se", "como", "cómo",
        "qué", "más",
    ),
    "french": (
        "le", "la", "les", "des", "et", "est", "une", "dans", "pour", "que", "qui", "du", "sur", "pas", "plus",
        "vous", "au", "ce",
    ),
    "german": (
        "der", "die", "das", "und", "ist", "ein", "eine", "nicht", "zu", "den", "von", "mit", "für", "auf", "sich",
        "auch", "wie", "ich",
    ),
    "portuguese": (
        "o", "os", "que", "e", "do", "da", "em", "um", "uma", "para", "com", "não", "por", "mais", "como", "é", "ao",
        "você",
    ),
    "italian": (
        "il", "di", "che", "è", "e", "un", "una", "per", "non", "con", "sono", "del", "della", "come", "gli", "più",
        "i", "le",
    ),
    "russian": (
        "и", "в", "не", "на", "что", "с", "как", "это", "по", "для", "из", "к", "то", "от", "или", "вы", "я", "а",
    ),
}
# fmt: on
LANGUAGES = ("english", "spanish", "french", "german", "portuguese", "italian", "russian")
_EMPTY_TOPICS = (
    "wants_list", "wants_table", "wants_code", "wants_text", "hedge", "order", "reason", "example",
    "first_person", "second_person", "negation",
)  # fmt: skip
TOPICS = tuple(name for name in PHRASES if name not in LANGUAGES)


@dataclass(frozen=True)
class PhraseTable:
    """Phrases of one number of words.

    Args:
        hashes: Sorted hashes of the phrases of each list.
        sieve: Whether any phrase's hash starts with these 16 bits; most words fall through it at once.
        all_hashes: The phrases of all lists in one, sorted; a phrase of several lists is there several times.
        lists: The list of each of them, by its place in `hashes`.
    """

    hashes: dict[str, Hashes]
    sieve: NDArray[np.bool_]
    all_hashes: Hashes
    lists: NDArray[np.int64]

    @classmethod
    def of(cls, hashes: dict[str, Hashes]) -> Self:
        """The table of these lists."""
        flat = np.concatenate(list(hashes.values()))
        lists = np.repeat(np.arange(len(hashes)), [own.size for own in hashes.values()])
        order = np.argsort(flat, kind="stable")
        sieve = np.zeros(2**16, dtype=np.bool_)
        sieve[flat >> np.uint64(48)] = True
        return cls(hashes, sieve, flat[order], lists[order])

    def counts(self, hashes: Hashes, owner: NDArray[np.int64], n: int) -> dict[str, NDArray[np.int64]]:
        """How often phrases of each list are among the hashes of each of n texts."""
        likely = np.flatnonzero(self.sieve[hashes >> np.uint64(48)])
        hashes, owner = hashes[likely], owner[likely]
        first = np.searchsorted(self.all_hashes, hashes)
        often = np.searchsorted(self.all_hashes, hashes, side="right") - first
        skipped = np.cumsum(often) - often
        place = np.arange(often.sum()) + np.repeat(first - skipped, often)
        cells = self.lists[place] * n + np.repeat(owner, often)
        found = np.bincount(cells, minlength=len(self.hashes) * n).reshape(len(self.hashes), n)
        return dict(zip(self.hashes, found, strict=True))


@cache
def phrases_by_size() -> dict[int, PhraseTable]:
    """The phrases of all lists, by their number of words."""
    sizes: dict[int, dict[str, Hashes]] = {}
    for name, phrases in PHRASES.items():
        for size, hashes in phrase_hashes(phrases).items():
            sizes.setdefault(size, {})[name] = hashes
    return {size: PhraseTable.of(lists) for size, lists in sorted(sizes.items())}


@cache
def function_words() -> Hashes:
    """Sorted hashes of the words that carry no topic."""
    return np.unique(np.concatenate([phrase_hashes(PHRASES[name])[1] for name in (*LANGUAGES, *_EMPTY_TOPICS)]))
