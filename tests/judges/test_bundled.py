"""The judge that ships with votecast: small, complete, free of texts, and sensible."""

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from votecast import load_judge
from votecast.data import Battles
from votecast.judges.judge import TrainedJudge

FOLDER = Path(__file__).parents[2] / "src" / "votecast" / "bundled" / "baseline"


@pytest.fixture(scope="module")
def bundled() -> TrainedJudge:
    return load_judge("bundled:baseline")


def test_it_is_small_and_of_safe_formats() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2_000_000
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".txt", ".md", ".parquet"}


SKY = "Sunlight is scattered by the air, and blue light is scattered most. That is why the sky looks blue."
HAIKU = "Soft rain on the roof,\nthe garden drinks in silence;\nmorning smells of earth."
REFUSAL = "I'm sorry, but as an AI language model I cannot help with that."
CODE = "Here it is:\n\n```python\ndef add(a, b):\n    return a + b\n```\n\nCall it as `add(1, 2)`."
EGG = "1. Boil water.\n2. Add the egg for eight minutes.\n3. Cool it in cold water."


@pytest.mark.parametrize(
    ("prompt", "good", "bad"),
    [
        ("Why is the sky blue?", SKY, "Because."),
        ("Write a haiku about rain.", HAIKU, ""),
        ("Write a function that adds two numbers.", CODE, REFUSAL),
        ("How do I boil an egg?", EGG, "egg egg egg egg egg egg"),
    ],
)
def test_the_better_answer_is_likely_to_win(bundled: TrainedJudge, prompt: str, good: str, bad: str) -> None:
    p = bundled.predict_proba([{"prompt": prompt, "response_a": good, "response_b": bad}])
    assert p[0, 0] > p[0, 1]


def test_the_card_names_every_source_with_licence_and_thanks() -> None:
    card = (FOLDER / "README.md").read_text("utf-8")
    for needed in (
        "dustalov/llmfao",
        "CC BY 4.0",
        "Ustalov",
        "bcdnlp/PRD",
        "artidoro/qlora",
        "FineGrainedRLHF",
        "hh-rlhf",
        "open-instruct",
    ):
        assert needed in card


def test_the_card_says_what_is_known_to_go_wrong() -> None:
    card = (FOLDER / "README.md").read_text("utf-8")
    for needed in ("leans on form and length", "long refusal", "checks no facts", "calibrated on the crowds"):
        assert needed in card


def test_it_holds_no_text_of_the_votes(outside_votes: Path) -> None:
    held = b"".join(path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()).decode("utf-8", "replace")
    with gzip.open(outside_votes / "votes_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [text for row in rows for name in ("prompt", "response_a", "response_b") for text in row[name] if text]
    pieces = {text[:40] for text in texts if len(text) >= 25 and not re.fullmatch(r"[\W\d]*", text)}
    assert not [piece for piece in pieces if piece in held]


def test_order_plays_no_part(bundled: TrainedJudge) -> None:
    battles = Battles.from_rows([{"prompt": "Hi", "response_a": "Hello there.", "response_b": "No."}])
    assert np.array_equal(bundled.predict_proba(battles.swapped())[:, [1, 0, 2]], bundled.predict_proba(battles))
