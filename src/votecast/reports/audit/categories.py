"""What kind of task a prompt is, by simple rules in a handful of languages."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from votecast.data.battles import Battles

CHARACTERS: Final = 600
"""Characters of a prompt that are looked at, from its beginning."""

OTHER: Final = "other"

_START: Final = r"^[\s¿¡\"'(]*"
_END: Final = r"(?:[^\p{L}]|$)"

# Each category: patterns anywhere; words between word boundaries; words that open the prompt.
_CODE: Final = (
    (
        *(r"```", r"#include", r"</?(?:html|div|script|table)", r"\bdef \w+\(", r"\bimport \w+", r"c\+\+", r"\bc#"),
        *(r"\bselect .{1,80} from ", r"\bpublic (?:static|class)", "código", "函数", "代码", "编程", "程序", "算法"),
        *("コード", "プログラム", "関数", "코드", "프로그램", "함수", "программ", "функци[юя]", "алгоритм"),
    ),
    (
        *(
            "python",
            "javascript",
            "typescript",
            "java",
            "sql",
            "html",
            "css",
            "php",
            "ruby",
            "rust",
            "golang",
            "kotlin",
        ),
        *("bash", "regex", "pandas", "numpy", "pytorch", "react", "django", "flask", "docker", "kubernetes", "git"),
        *("api", "json", "yaml", "xml", "algorithm", "algorithmus", "algorithme", "algoritmo", "code", "coding"),
        *("codigo", "quellcode", "script", "skript", "debug", "compiler?", "function that", "stack trace", "software"),
        *("program (?:that|to|in|for)", "programm,? (?:der|das|die)", "programme qui", "programa (?:que|para)"),
        *("linux", "unix", "excel", "latex"),
    ),
    (),
)
_TRANSLATION: Final = (
    ("翻译", "翻譯", "译成", "訳し", "翻訳", "번역", "перевед", "перевод", "переклад", "übersetz"),
    (
        *("translat(?:e|ion|ing)", "tradu(?:is|isez|ire|ction|ce|cir|cci[oó]n|zi|zione|za|zir)", r"traduz\w*"),
        *("how do you say", "wie sagt man", "(?:in|auf) (?:englisch|deutsch|französisch|spanisch)"),
        "into (?:english|german|french|spanish|italian|chinese|japanese|russian|portuguese|korean|arabic|hindi)",
        *("en (?:anglais|français|inglés|español)", "comment dit-on", "c[oó]mo se dice"),
    ),
    (),
)
_MATHS: Final = (
    (
        *(r"\d\s*[+*×÷=^/]\s*\(?\d", r"\bx\s*=", r"\\frac", r"\\int", "数学", "方程", "计算", "概率", "证明", "几何"),
        *("数列", "計算", "確率", "수학", "계산", "방정식", "확률", "вычисл", "уравнени", "вероятност", "докаж"),
        *("посчита", "математи", "équation", "ecuaci[oó]n", "equa[cç][aã]o"),
    ),
    (
        *(
            "maths?",
            "mathematics?",
            "mathe",
            "equation",
            "gleichung",
            "equazione",
            "solve for",
            "calculate",
            "berechne",
        ),
        *("compute the", "calcul(?:e|ez|er|a|ar)", "calcola", "derivative", "ableitung", "integral of", "integrate"),
        *("probability (?:of|that)", "wahrscheinlichkeit", "theorem", "prove that", "beweise", "polynomial", "matrix"),
        *("eigenvalue", "triangle", "dreieck", "square root", "wurzel aus", "prime number", "geometry", "algebra"),
        *("arithmetic", "percent(?:age)? of", "how many .{1,60} (?:left|in total|altogether)"),
    ),
    (),
)
_REWRITING: Final = (
    (
        *("总结", "概括", "改写", "润色", "摘要", "要約", "書き直", "요약", "다시 써", "перефразир", "сократи"),
        *("резюмир", "кратко излож", "tl;?dr", "résum"),
    ),
    (
        *("summar(?:y|ize|ise|izing)", "key points", r"paraphras\w+", "rephrase", "rewrite", "proofread", "shorten"),
        *("simplify", "bullet points", "extract the", "classify", "correct the (?:grammar|text)", r"zusammenfass\w*"),
        *("fasse .{1,80} zusammen", r"umschreib\w*", r"reformul\w+", r"resum\w+", r"riassu[mn]\w+", r"reescrib\w+"),
    ),
    (),
)
_WORKS: Final = (
    *("story", "poem", "essay", "letter", "e-?mail", "mail", "blog", "article", "song", "lyrics", "speech", "script"),
    *("dialogue?", "novel", "scene", "tweet", "post", "ad", "haiku", "joke", "limerick", "review", "resume"),
    *("biography", "headline", "slogan", "paragraph", "geschichte", "gedicht", "aufsatz", "brief", "lied", "rede"),
    *("artikel", "histoire", "poème", "lettre", "chanson", "discours", "cuento", "historia", "poema", "carta"),
    *("canci[oó]n", "discurso", "articolo", "storia", "lettera", "canzone", "artigo"),
)
_WRITE: Final = (
    r"(?:write|compose|draft|create|schreibe?|verfasse|rédige\w*|[eé]cris|escrib\w+|redacta\w*|escreva|scrivi)"
)
_WRITING: Final = (
    (
        *(
            "写一[篇首封个段]",
            "作文",
            "写诗",
            "故事",
            "小说",
            "文案",
            "書いて",
            "物語",
            "작성해",
            "시를",
            "이야기",
            "сочини",
        ),
        "напиши .{0,40}(?:рассказ|стих|письмо|эссе|сказк|пост|текст|статью)",
    ),
    (
        rf"{_WRITE} .{{0,60}}\b(?:{'|'.join(_WORKS)})",
        *("poem", "haiku", "sonnet", "limerick", "fan ?fiction", "once upon a time", "creative writing"),
        "tell me a (?:story|joke)",
    ),
    (),
)
_CHAT: Final = (
    ("扮演", "ロールプレイ", "역할극", "притворись", "представь, что ты", "^(?:你好|您好|嗨|谢谢|你是谁|안녕|감사)"),
    ("role ?play", "pretend (?:to be|you)", "act as", "you are now", "fais comme si", "actúa como", "agisci come"),
    (
        *("hi", "hello", "hey", "yo", "sup", "good (?:morning|evening|night)", "thanks?", "thank you", "how are you"),
        *(
            "how's it going",
            "who are you",
            "what(?: i|')s your name",
            "are you",
            "let's talk",
            "i feel",
            "i'm (?:sad|bored)",
        ),
        *("hallo", "guten (?:tag|morgen|abend)", "wie geht", "danke", "bonjour", "salut", "merci", "hola", "buen[oa]s"),
        *("gracias", "qué tal", "ciao", "grazie", "olá", "oi", r"obrigad\w", "bom dia", "привет", "здравствуй(?:те)?"),
        *("спасибо", "как дела", "こんにちは", "ありがとう"),
    ),
)
_REASONING: Final = (
    (
        *(
            "为什么",
            "解释",
            "比较",
            "区别",
            "分析",
            "推理",
            "优缺点",
            "なぜ",
            "説明",
            "違い",
            "比較",
            "왜",
            "설명",
            "차이",
        ),
        *(
            "비교",
            "почему",
            "зачем",
            "объясни",
            "сравни",
            "отличи",
            "разниц",
            "загадк",
            "erklär",
            "rätsel",
            "perch[eé]",
        ),
        *("por ?qu[eéê]", "différence"),
    ),
    (
        *("why", "explain", "reason(?:ing)?", "compare", "comparison", "difference between", "pros and cons"),
        *("(?:dis)?advantages", "analy[sz]e", "evaluate", "argue", "logic(?:al)?", "riddle", "puzzle", "step by step"),
        *("what would happen", "suppose", "should i", "is it better", "what if", "warum", "wieso", r"vergleich\w*"),
        *("unterschied", "vorteile", "nachteile", "pourquoi", r"expliqu\w+", r"compar\w+", r"explica\w*"),
        *(r"diferen[cç]\w+", "ventajas", r"spiega\w*", r"confront\w+", r"differenz\w+"),
    ),
    (),
)
_FACT: Final = (
    (
        *(
            "谁",
            "什么",
            "何时",
            "哪[里个些]",
            "多少",
            "几[个年]",
            "如何",
            "怎么",
            "是否",
            "吗[?？]?",
            "介绍",
            "誰",
            "何",
            "いつ",
        ),
        *("どこ", "どの", "いくつ", "ですか", "とは", "누구", "무엇", "언제", "어디", "어느", "몇", "인가요", "입니까"),
    ),
    (),
    (
        *(
            "who",
            "what",
            "when",
            "where",
            "which",
            "whose",
            "how",
            "is",
            "are",
            "was",
            "were",
            "does",
            "do",
            "did",
            "can",
        ),
        *(
            "name",
            "list",
            "define",
            "tell me about",
            "give me",
            "wer",
            "was",
            "wann",
            "wo",
            r"welche\w*",
            "ist",
            "sind",
        ),
        *("wie (?:viele?|alt|lange|weit|hoch|groß|heißt|kann)", "gibt es", "nenne", "qui", "quand", "où", r"quel\w*"),
        *("combien", "qu'est", "est-ce", "comment", "qui[eé]n", "qu[eé]", "cu[aá]ndo", "d[oó]nde", r"cu[aá]\w+"),
        *("c[oó]mo", "quem", "quando", "onde", "qual", "quais", r"quant\w+", "chi", "cosa", "dove", "quale", "come"),
        *("кто", "что", "когда", "где", "какой", "какая", "какие", "каков", "сколько", "как", "назови"),
    ),
)


def _pattern(anywhere: tuple[str, ...], words: tuple[str, ...], opening: tuple[str, ...]) -> str:
    parts = list(anywhere)
    if words:
        parts.append(rf"(?:^|[^\p{{L}}\d])(?:{'|'.join(words)}){_END}")
    if opening:
        parts.append(rf"{_START}(?:{'|'.join(opening)}){_END}")
    return "|".join(parts)


RULES: Final = {
    "code": _pattern(*_CODE),
    "translation": _pattern(*_TRANSLATION),
    "maths": _pattern(*_MATHS),
    "rewriting and summaries": _pattern(*_REWRITING),
    "writing": _pattern(*_WRITING),
    "chat and roles": _pattern(*_CHAT),
    "reasoning and explanation": _pattern(*_REASONING),
    "questions of fact": _pattern(*_FACT),
}
"""The first rule that fits names the category; patterns are RE2's, on text in lower case."""


def categories(battles: Battles) -> list[str]:
    """The category of every row, from the beginning of its prompt.

    The rules are words in English, German, French, Spanish, Portuguese, Italian, Russian, Chinese, Japanese and Korean;
    prompts in other languages, and those that no rule fits, are "other". They are rough: they sort a file, not a
    prompt.

    Example:
        >>> asked = ["Write a Python function.", "Übersetze das bitte.", "Who wrote Faust?", "写一首诗", "Hm."]
        >>> categories(Battles.from_rows([{"prompt": text, "response_a": "", "response_b": ""} for text in asked]))
        ['code', 'translation', 'questions of fact', 'writing', 'other']
    """
    starts = pa.array([text[:CHARACTERS] for text in battles.text("prompt", "\n")], pa.large_string())
    lower = pc.utf8_lower(starts)
    fits = [np.asarray(pc.match_substring_regex(lower, pattern)) for pattern in RULES.values()]
    first = np.argmax(np.stack([*fits, np.ones(len(starts), np.bool_)]), axis=0)
    names = np.array([*RULES, OTHER], dtype=object)
    out: list[str] = names[first].tolist()
    return out
