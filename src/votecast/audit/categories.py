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

# fmt: off
_CODE = (
    r"```|#include|</?(?:html|div|script|table)|\bdef \w+\(|\bimport \w+|\bselect .{1,80} from |\bpublic (?:static|class)"
    r"|\b(?:python|javascript|typescript|java|c\+\+|c#|sql|html|css|php|ruby|rust|golang|kotlin|bash|regex|pandas|numpy"
    r"|pytorch|react|django|flask|docker|kubernetes|git|api|json|yaml|xml|algorithm|algorithmus|algorithme|algoritmo"
    r"|code|coding|codigo|source code|quellcode|script|skript|debug|compile|compiler|function that|program(?:me|ma|m)?"
    r" (?:that|to|in|for|der|das|die|qui|que|para)|stack trace|software|linux|unix|excel|latex)\b"
    r"|código|函数|代码|编程|程序|算法|コード|プログラム|関数|코드|프로그램|함수|программ|функци[юя]|код(?:[^\p{L}]|$)|алгоритм"
)
_MATHS = (
    r"\b(?:math|maths|mathematics|mathe|equation|gleichung|équation|ecuaci[oó]n|equazione|equa[cç][aã]o|solve for"
    r"|calculate|compute the|berechne|calcul(?:e|ez|er|a|ar)|calcola|derivative|ableitung|integral of|integrate"
    r"|probability (?:of|that)|wahrscheinlichkeit|theorem|prove that|beweise|polynomial|matrix|eigenvalue|triangle|dreieck"
    r"|square root|wurzel aus|prime number|geometry|algebra|arithmetic|percent(?:age)? of|how many .{1,60} (?:left|in total|altogether))\b"
    r"|\d\s*[+*×÷=^/]\s*\(?\d|\bx\s*=|\\frac|\\int|数学|方程|计算|概率|证明|几何|数列|計算|方程式|確率|수학|계산|방정식|확률"
    r"|вычисл|уравнени|вероятност|докаж|посчита|математи"
)
_TRANSLATION = (
    r"\b(?:translat(?:e|ion|ing)|übersetz\w*|tradu(?:is|isez|ire|ction|ce|cir|cci[oó]n|zi|zione|za|zir)|traduz\w*|traduc\w*"
    r"|into (?:english|german|french|spanish|italian|chinese|japanese|russian|portuguese|korean|arabic|hindi)"
    r"|(?:in|auf) (?:englisch|deutsch|französisch|spanisch)|en (?:anglais|français|inglés|español)|how do you say|wie sagt man)\b"
    r"|翻译|翻譯|译成|訳し|翻訳|번역|перевед|перевод|переклад"
)
_SUMMARY = (
    r"\b(?:summar(?:y|ize|ise|izing)|tl;?dr|key points|paraphras\w+|rephrase|rewrite|proofread|shorten|simplify|bullet points"
    r"|zusammenfass\w*|fasse .{1,80} zusammen|umschreib\w*|résum\w+|reformul\w+|resum\w+|riassum\w+|riassunto|reescrib\w+)"
    r"|extract the|classify|correct the (?:grammar|text)|总结|概括|改写|润色|摘要|要約|書き直|요약|다시 써|перефразир|сократи|резюмир|кратко излож"
)
_WRITING = (
    r"\b(?:write|compose|draft|create|schreibe?|verfasse|rédige\w*|[eé]cris|escrib\w+|redacta\w*|escreva|scrivi)"
    r" .{0,60}\b(?:story|poem|essay|letter|e-?mail|mail|blog|article|song|lyrics|speech|script|dialogue?|novel|scene|tweet|post|ad"
    r"|haiku|joke|limerick|review|resume|biography|headline|slogan|paragraph|geschichte|gedicht|aufsatz|brief|lied|rede|artikel"
    r"|histoire|poème|lettre|chanson|discours|cuento|historia|poema|carta|canci[oó]n|discurso|articolo|storia|lettera|canzone|artigo)"
    r"|\b(?:poem|haiku|sonnet|limerick|fan ?fiction|once upon a time|creative writing|tell me a (?:story|joke))\b"
    r"|写一[篇首封个段]|作文|写诗|故事|小说|文案|書いて|物語|작성해|시를|이야기|напиши .{0,40}(?:рассказ|стих|письмо|эссе|сказк|пост|текст|статью)|сочини"
)
_REASONING = (
    r"\b(?:why|explain|reason(?:ing)?|compare|comparison|difference between|pros and cons|advantages|disadvantages|analy[sz]e"
    r"|evaluate|argue|logic(?:al)?|riddle|puzzle|step by step|what would happen|suppose|should i|is it better|what if"
    r"|warum|wieso|erkläre?|vergleich\w*|unterschied|vorteile|nachteile|rätsel|pourquoi|expliqu\w+|compar\w+|différence"
    r"|por ?qu[eéê]|explica\w*|explique|diferenc\w+|diferenç\w+|ventajas|perch[eé]|spiega\w*|confront\w+|differenz\w+)\b"
    r"|为什么|解释|比较|区别|分析|推理|优缺点|なぜ|説明|違い|比較|왜|설명|차이|비교|почему|зачем|объясни|сравни|отличи|разниц|загадк"
)
_FACT = (
    r"^[\s¿\"']*(?:who|what|when|where|which|whose|how (?:many|much|old|long|far|tall|big|do|does|did|to|can|is|are)|is|are|was|were"
    r"|does|do|did|can|name|list|define|tell me about|give me"
    r"|wer|was|wann|wo|welche\w*|wie (?:viele?|alt|lange|weit|hoch|groß|heißt|kann)|ist|sind|gibt es|nenne"
    r"|qui|quand|où|quel\w*|combien|qu'est|est-ce|comment|qui[eé]n|qu[eé]|cu[aá]ndo|d[oó]nde|cu[aá]l\w*|cu[aá]nt\w+|c[oó]mo"
    r"|quem|quando|onde|qual|quais|quant\w+|como|chi|cosa|dove|quale|come)\b"
    r"|(?:谁|什么|何时|哪里|哪个|哪些|多少|几[个年]|如何|怎么|是否|吗[?？]?|谁是|介绍)|(?:誰|何|いつ|どこ|どの|いくつ|ですか|とは)"
    r"|(?:누구|무엇|언제|어디|어느|몇|인가요|입니까)|(?:^|[^\p{L}])(?:кто|что|когда|где|какой|какая|какие|каков|сколько|как|назови)(?:[^\p{L}]|$)"
)
_CHAT = (
    r"^[\s¿¡\"']*(?:hi|hello|hey|yo|sup|good (?:morning|evening|night)|thanks?|thank you|how are you|how's it going|who are you"
    r"|what is your name|what's your name|are you|can you hear|let's talk|i feel|i am feeling|i'm feeling|i'm (?:sad|bored|happy)"
    r"|hallo|guten (?:tag|morgen|abend)|wie geht|danke|bonjour|salut|merci|ça va|hola|buen[oa]s|gracias|qué tal|ciao|grazie"
    r"|olá|oi|obrigad\w|bom dia)\b|^(?:你好|您好|嗨|谢谢|你是谁|こんにちは|ありがとう|안녕|감사|привет|здравствуй|спасибо|как дела)"
    r"|\b(?:role ?play|pretend (?:to be|you)|act as|you are now|stell dir vor, du bist|fais comme si|actúa como|agisci come)\b|扮演|ロールプレイ|역할극|притворись|представь, что ты"
)
# fmt: on

RULES: Final = {
    "code": _CODE,
    "translation": _TRANSLATION,
    "maths": _MATHS,
    "rewriting and summaries": _SUMMARY,
    "writing": _WRITING,
    "chat and roles": _CHAT,
    "reasoning and explanation": _REASONING,
    "questions of fact": _FACT,
}
"""The first rule that fits names the category; patterns are RE2's, on text in lower case."""


def categories(battles: Battles) -> list[str]:
    """The category of every row, from the beginning of its prompt.

    The rules are words in English, German, French, Spanish, Portuguese, Italian, Russian, Chinese, Japanese and Korean;
    prompts in other languages, and those that no rule fits, are "other". They are rough: they sort a file, not a prompt.

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
