"""Test categories of prompts in the supported languages."""

from __future__ import annotations

import pytest

from votecast.data.battles import Battles
from votecast.reports.audit.slices import OTHER, categorise

ASKED = {
    "code": [
        "Write a function in Python that reverses a string",
        "Why does this crash?\n```\nint main() {}\n```",
        "Schreibe mir eine SQL Abfrage",
        "用代码实现快速排序",
        "Напиши программу на Паскале",
        "What is the best way to learn C++?",
    ],
    "translation": [
        "Translate this into French: good morning",
        "Übersetze den Satz",
        "Traduce al inglés este texto",
        "Traduis cette phrase",
        "把这句话翻译成英文",
        "Переведи на английский",
        "これを英語に翻訳して",
    ],
    "maths": [
        "Calculate 15% of 80",
        "What is 12 * 13?",
        "Solve for x: 2x + 3 = 7",
        "Berechne die Fläche",
        "计算这个积分",
        "Prove that there are infinitely many primes",
    ],
    "rewriting and summaries": [
        "Summarize the text below",
        "Rewrite this paragraph politely",
        "Fasse den Text in zwei Sätzen zusammen",
        "总结一下这篇文章",
        "Résume ce texte",
    ],
    "writing": [
        "Write a short story about a lighthouse",
        "Schreibe ein Gedicht über den Herbst",
        "Escribe una carta a mi abuela",
        "写一首关于春天的诗",
        "Напиши короткий рассказ",
        "Rédige une lettre de motivation",
    ],
    "chat and roles": [
        "Hello!",
        "hi there",
        "Act as a travel guide",
        "Bonjour",
        "你好",
        "Привет, как дела?",
        "こんにちは",
    ],
    "reasoning and explanation": [
        "Explain how vaccines work",
        "What is the difference between a lake and a pond?",
        "Warum ist der Himmel blau?",
        "¿Por qué duermen los gatos?",
        "为什么天空是蓝色的",
        "Почему трава зелёная?",
    ],
    "questions of fact": [
        "Who wrote Faust?",
        "When was the bridge built",
        "Wo liegt Bremen?",
        "¿Quién pintó este cuadro?",
        "Кто написал роман?",
        "世界上最高的山是什么",
    ],
    OTHER: ["", "Hmm.", "12345", "...", "Bananas and pears"],
}


@pytest.mark.parametrize(("category", "prompt"), [(name, text) for name, texts in ASKED.items() for text in texts])
def test_a_prompt_is_categorised_by_its_request(category: str, prompt: str) -> None:
    assert categorise(Battles.from_rows([{"prompt": prompt, "response_a": "", "response_b": ""}])) == [category]


def test_only_the_beginning_of_the_prompt_counts() -> None:
    row = {"prompt": ["Who wrote Faust?" + " " * 1000, "Translate it"], "response_a": "```code```", "response_b": ""}
    assert categorise(Battles.from_rows([row])) == ["questions of fact"]


def test_no_rows_have_no_categories() -> None:
    assert categorise(Battles.from_rows([])) == []
